"""The texts that jobs write for the inspector, and how examples of each kind are shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.composing import job
from tests.report.browsing import check, opened, seen
from tests.report.making import reseal, small, written
from w2s_lightning.report.inspector import chosen, inspected
from w2s_lightning.report.records import JobRecord
from w2s_lightning.results.pooled import OUTCOMES, Pooled
from w2s_lightning.results.stored import Answers, StoreReader
from w2s_lightning.results.texts import EXAMPLES, ExampleTexts, parse_texts, write_texts
from w2s_lightning.tasks.example import Example, Splits


def stored(folder: Path, task: Any, splits: Splits) -> ExampleTexts:
    folder.mkdir(exist_ok=True)
    write_texts(folder, task, splits)
    return parse_texts((folder / EXAMPLES).read_bytes())


def test_a_choice_tasks_texts_are_read_as_they_were_written_and_seeds_share_a_name(tmp_path: Path) -> None:
    task = job("task=fact_claims", "task.items={supervise: 96, transfer: 96, validation: 32, test: 60}")[0].task
    splits = task.splits(3)
    found = stored(tmp_path / "3", task, splits)
    assert found.texts == {example.id: example.texts for example in splits.test}
    assert found.validation_gold == {example.id: example.label for example in splits.validation}
    assert (found.kind, found.class_names) == ("choice", ("wrong", "right"))
    assert stored(tmp_path / "4", task, task.splits(4)).name == found.name


def test_a_reasoning_tasks_solutions_are_kept(tmp_path: Path) -> None:
    class Task:
        name, kind = "sums", "reasoning"

    one = Example("a" * 16, "g", ("1 + 1 ?",), difficulty=1.0, completions=("1 + 1 = 2\nanswer 2",), answer="2")
    found = stored(tmp_path, Task(), Splits((), (), (), (one,), ()))
    assert found.solutions == {"a" * 16: "1 + 1 = 2\nanswer 2"}
    assert pq.read_table(tmp_path / EXAMPLES).column("gold").to_pylist() == ["2"]


def test_every_outcome_has_its_share_of_the_shown_rows() -> None:
    outcome = np.repeat([0, 1, 2, 3], [900, 8, 60, 32])
    rows = chosen(outcome, 200)
    counts = np.bincount(outcome[rows], minlength=len(OUTCOMES)).tolist()
    assert len(rows) == len(set(rows.tolist())) == 200
    assert counts == [110, 8, 50, 32, 0, 0, 0]
    assert len(chosen(outcome[:30], 200)) == 30


GIVEN = [  # (the supervisor's answer, the student's, what the student made of it); gold is 12
    ("12", "12", "followed_right"),
    ("12", "24/2", "followed_right"),
    ("12", "13", "overruled_right"),
    ("12", None, "overruled_right"),
    ("13", "13", "imitated_error"),
    ("13", "12", "overruled_wrong"),
    (None, "12", "overruled_wrong"),
    ("13", "14", "other_error"),
    ("13", None, "other_error"),
    (None, None, "other_error"),
]


class Kept(StoreReader):
    """Answers from memory, in place of a store."""

    def __init__(self, **answers: list[str | None]) -> None:
        self._answers = answers

    def answers(self, digest: str) -> Answers:
        answer = self._answers[digest]
        ids = tuple(f"{place:016x}" for place in range(len(answer)))
        correct, unknown = np.array([one in ("12", "24/2") for one in answer], float), np.full(len(ids), np.nan)
        return Answers(ids, ids, np.full(len(ids), "12"), np.array(answer, object), correct, unknown)


def test_a_wrong_supervisor_is_overruled_by_a_right_answer_alone() -> None:
    supervisor, student, outcomes = map(list, zip(*GIVEN, strict=True))
    rows = [{"name": name, "role": name, "evaluate": name} for name in ("floor", "student")]
    result = {"rows": rows, "student_of_record": "student", "supervisor": "floor", "agreement": {"with_supervisor": {}}}
    pooled = Pooled(Kept(floor=supervisor, student=student))
    found = inspected(JobRecord({}, None, result, {}, None), pooled)
    assert found is not None
    assert [list(OUTCOMES)[number] for number in found.outcome] == outcomes
    right, wrong = pooled.following([result]) or (None, None)
    assert right is not None
    assert wrong is not None
    assert (right.value, wrong.value) == (1 / 4, 1 / 6), "two outputs without an answer do not agree"


def test_options_are_shown_apart_from_what_they_share(tmp_path: Path) -> None:
    texts = [[f"Q {i} : what is it ? A : {option}" for option in ("one", "two", "three")] for i in range(40)]
    shown = written(small(tmp_path, num_options=3, texts=lambda i: texts[i])).shown
    assert shown["questions"][0] == "Q 0 : what is it ? A :"
    assert shown["options"][0] == ["one", "two", "three"]


def test_examples_whose_texts_are_not_known_are_shown_by_their_ids(tmp_path: Path) -> None:
    assert set(written(small(tmp_path, with_examples=False)).shown["questions"]) == {None}


def test_answers_are_marked_as_the_judge_found_them_and_not_by_their_spelling(tmp_path: Path) -> None:
    made = small(tmp_path, kind="reasoning", seeds=(0,))
    (folder,) = (made.store / "evaluate").glob("small-student*")
    table = pq.read_table(folder / "predictions.parquet")
    spelt = [f"{answer}.0" for answer in table.column("prediction").to_pylist()]
    place = table.column_names.index("prediction")
    pq.write_table(table.set_column(place, "prediction", [spelt]), folder / "predictions.parquet")
    reseal(folder)
    (cell,) = written(made).cells
    student, right = cell["arms"]["student"], table.column("correct").to_pylist()
    assert all(answer.endswith(".0") for answer in student["answer"])
    assert student["right"] == [int(right[row]) for row in cell["rows"]]
    assert 0 < sum(student["right"]) < 40


def test_thirds_of_difficulty_are_of_all_test_examples_and_long_texts_say_what_is_left_out(tmp_path: Path) -> None:
    shown = written(small(tmp_path, num_examples=900, seeds=(0,), texts=lambda i: ["x" * 4100])).shown
    grades = np.array([float(i % 9) for i in range(900)])
    assert [int((grades < end).sum()) for end in shown["thirds"]] == [300, 600]
    assert shown["questions"][0] == "x" * 4000 + " … (100 more characters)"


@pytest.mark.browser
def test_reasoning_is_shown_line_by_line(chromium: Any, tmp_path: Path) -> None:
    made = small(tmp_path, kind="reasoning", solutions=lambda i: f"{i} + 1 = {i + 1}\nso the answer is {i + 1}")
    with opened(chromium, written(made).path, "examples") as tab:
        card = seen(tab, ".card").first
        check(card.locator("h3")).to_have_text(["supervisor", "student", "ceiling", "gold"])
        check(card.locator(".lines").first.locator("li")).to_have_count(2)


@pytest.mark.browser
def test_preference_pairs_stand_side_by_side_with_the_better_one_marked(chromium: Any, tmp_path: Path) -> None:
    texts = ["write a poem . roses are red", "write a poem . no"]
    made = small(tmp_path, kind="preference", texts=lambda i: texts)
    with opened(chromium, written(made).path, "examples") as tab:
        first, second = (seen(tab, ".card .side").nth(place).bounding_box() for place in (0, 1))
        assert first["y"] == second["y"]
        assert first["x"] < second["x"]
        check(seen(tab, ".card").first.locator(".side.gold")).to_have_count(1)
