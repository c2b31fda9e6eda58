"""Data sets of the hub, read from rows and local folders in their columns and layout; nothing here asks the hub."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tasks import hub_rows
from tests.tasks.composing_tasks import task
from tests.tasks.conftest import Write
from tests.tasks.gsm8k_right_wrong import SOLUTIONS, needs_gsm8k
from tests.tasks.hub_rows import repository
from w2s_lightning.errors import UserError
from w2s_lightning.identity import digest
from w2s_lightning.tasks.example import SPLITS, Example, Solution, Splits, Turn, group_id, question_group
from w2s_lightning.tasks.source import Hub, SourceRow

pytestmark = pytest.mark.usefixtures("offline_datasets")

Rows = Sequence[Mapping[str, Any]]
WHOLE = ("limits.supervise=null", "limits.transfer=null", "limits.validation=null", "limits.test=null")
SUBJECTS = "source.config=[algebra,geometry]"
COMMIT = "0123456789" * 4
PREFERENCE = ("anthropic_hh", "ultrafeedback_binarized", "shp")


def made(name: str, place: Path, *overrides: str) -> Any:
    return task(name, f"source.path={place}", *WHOLE, *overrides)


def data(place: Path, **splits: Rows) -> Path:
    """The usual layout without a card: data/<split>-00000-of-00001.parquet."""
    for name, rows in splits.items():
        (place / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows)), place / "data" / f"{name}-00000-of-00001.parquet")
    return place


def all_of(splits: Splits) -> list[Example]:
    return [item for split in SPLITS for item in splits.of(split)]


def read(name: str, numbers: Sequence[int], *overrides: str) -> list[Example]:
    """The examples in rows of these numbers."""
    given = task(name, *overrides)
    rows = [SourceRow(f"hub:{n}", getattr(hub_rows, name)("test", n), own=False) for n in numbers]
    return [given.reader.read(row, given.format) for row in rows]


# ---------------------------------------------------------------- what a row becomes

OPTIONS = "reader.form=options"
BOOLQ = "Passage: test passage 2\nQuestion: is it 5"
COSMOS = "Context: test 2 .\nQuestion: why 5 ?\nAnswer: answer 5 1"
HALVES = r"Half of it is $\boxed{\dfrac{5}{2}}$. The answer is: \frac{5}{2}"
BECOMES: dict[str, tuple[str, str, dict[str, Any]]] = {  # override, what is right, other fields
    "sciq": (OPTIONS, "Q: test question 5? A: right 5", {"group": group_id("test question 5?")}),
    "openbookqa": (OPTIONS, "Q: test 5 A: 5 z", {"group": group_id("test 5")}),
    "cosmos_qa": (OPTIONS, COSMOS, {"group": group_id("test 2 .")}),
    "boolq": ("words=null", BOOLQ, {"label": 1, "group": group_id("test passage 2")}),
    "imdb": ("words=null", "test film 5", {"label": 1, "group": group_id("test film 5")}),
    "amazon_polarity": ("words=null", "test 5 thing 5", {"label": 1}),
    "anthropic_hh": ("words=null", "Human: test 2?\n\nAssistant: well\n\nHuman: so\n\nAssistant: good 5", {}),
    "shp": (
        "words=null",
        "Human: test 2?\n\nAssistant: good 5",
        {"subset": "askbaking", "margin": log(3), "difficulty": -log(3), "group": question_group("test 2?")},
    ),
    "ultrafeedback_binarized": (
        "words=null",
        "Human: test 2?\n\nAssistant: chosen 5",
        {"margin": 1.0, "difficulty": -1.0, "turns": (Turn("user", "test 2?"),)},
    ),
    "gsm8k": ("words=[]", "It is 5+2=7.\n#### 7", {"answer": "7", "difficulty": 1.0}),
    "math": ("words=[]", HALVES, {"answer": r"\frac{5}{2}", "difficulty": 1.0}),
}


@pytest.mark.parametrize("name", BECOMES)
def test_a_published_row_becomes_this_example(name: str) -> None:
    override, right, fields = BECOMES[name]
    (one,) = read(name, [5], override)
    texts = one.texts if one.answer is None else one.completions
    assert texts[(one.label or 0) % len(texts)] == right
    assert {field: getattr(one, field) for field in fields} == fields


def test_statements_are_right_or_wrong_about_half_and_half() -> None:
    items = read("sciq", range(400))
    assert 0.42 < sum(item.label for item in items) / len(items) < 0.58
    for number, item in enumerate(items):
        question, answer = item.texts[0].removeprefix("Q: ").split(" A: ")
        assert question == f"test question {number}?"
        assert answer.split()[:2] == [("wrong", "right")[item.label], str(number)]
    assert len({item.texts[0].split()[-1] for item in items if item.label == 0}) == 3


def test_options_and_better_answers_stand_anywhere() -> None:
    options = task("sciq", OPTIONS)
    assert (options.layout, options.class_names) == ("options", ("0", "1", "2", "3"))
    places = Counter(item.label for item in read("sciq", range(200), OPTIONS))
    assert min(places[place] for place in range(4)) > 25
    for name in PREFERENCE:
        numbers = [n for n in range(200) if n % 4]  # others of UltraFeedback have equal scores
        assert 50 < sum(item.label for item in read(name, numbers)) < 100


def test_none_of_the_above_is_never_called_right_and_hidden_answers_are_said() -> None:
    for number, item in enumerate(read("cosmos_qa", range(200))):
        answer = item.texts[0].split("\nAnswer: ")[1]
        right = "None of the above choices ." if number % 4 == 3 else f"answer {number} {number % 4}"
        assert (answer == right) == (item.label == 1)
        assert not (item.label == 1 and number % 4 == 3)
    hidden, asked = {**hub_rows.cosmos_qa("test", 1), "label": -1}, task("cosmos_qa")
    with pytest.raises(UserError, match=r"answer '-1' in column 'label'.*without its answers"):
        asked.reader.read(SourceRow("hub:1", hidden, own=False), asked.format)


# ---------------------------------------------------------------- what is left out, and said

THREE = {"choices": {"text": list("wxy"), "label": list("ABC")}, "answerKey": "B"}
HH, OTHER_HH = hub_rows.anthropic_hh("x", 1), hub_rows.anthropic_hh("y", 5)
NO_PARSE = "1 question without a gold answer that parses left out (the first is "
LEFT_OUT: dict[str, tuple[Rows, list[str]]] = {  # rows besides good ones to train on, beginnings of notices
    "openbookqa": (
        [{**hub_rows.openbookqa("odd", n), **THREE} for n in range(2)],
        ["(train): 2 examples with another number of options left out"],
    ),
    "imdb": (
        [{"text": "default train film 0", "label": 1}],  # 20 of 70 films come three times, film 0 too
        ["(train): 1 example with conflicting labels left out", "(train): 88 duplicate examples left out"],
    ),
    "amazon_polarity": ([{"title": "", "content": "untitled", "label": 1}], []),
    "anthropic_hh": (
        [
            {"chosen": HH["chosen"], "rejected": OTHER_HH["rejected"]},
            {"chosen": "\n\nHuman: hi\n\nHuman: ho\n\nAssistant: good", "rejected": "\n\nHuman: hi\n\nAssistant: bad"},
            {"chosen": "good", "rejected": "bad"},
            {"chosen": HH["chosen"] + "\n\nHuman: bye", "rejected": HH["rejected"]},
            {"chosen": HH["chosen"], "rejected": HH["chosen"]},
        ],
        [
            "(train): 4 pairs without a comparison left out (the first is ",
            "(train): 1 pair whose two answers are the same left out",
        ],
    ),
    "ultrafeedback_binarized": (
        [],  # a quarter of the rows have equal scores
        [f"({part}_prefs): {count} pairs without a comparison" for part, count in (("train", 40), ("test", 10))],
    ),
    "gsm8k": (
        [{"question": "?", "answer": "no"}, {"question": "main train: what is 3 + 2?", "answer": "#### 6"}],
        [f"(train): {NO_PARSE}", "(train): 1 question with conflicting answers left out"],
    ),
    "math": (
        [{"problem": "broken", "level": "Level 1", "type": "x", "solution": "so 3"}],
        [f"(train): {NO_PARSE}"],
    ),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_rows_that_cannot_be_used_are_left_out_and_counted(name: str, tmp_path: Path) -> None:
    more, beginnings = LEFT_OUT[name]
    chosen = [SUBJECTS] if name == "math" else []
    notices = made(name, repository(tmp_path / "data", name, more=more), *chosen).splits(0).notices
    for notice, beginning in zip(notices, beginnings, strict=True):
        assert notice.startswith(f"{name} {beginning}")
    if name == "anthropic_hh":
        assert "the two transcripts part before their last answer" in notices[0]


def test_data_without_any_row_that_can_be_used_are_refused_with_the_first(tmp_path: Path) -> None:
    place = repository(tmp_path / "data", "gsm8k", (0, 20), [{"question": "?", "answer": "no"}])
    with pytest.raises(UserError, match=r"none of the 1 rows can be used: .*\(train\):1: the gold answer does not"):
        made("gsm8k", place).splits(0)


# ---------------------------------------------------------------- files in place of the hub


def gsm8k(prefix: str, count: int) -> list[dict[str, Any]]:
    return [hub_rows.gsm8k(prefix, n) for n in range(count)]


def of_files(train: Path, test: Path, *overrides: str) -> Any:
    return task("gsm8k", f"train_file={train}", f"test_file={test}", *WHOLE, *overrides)


@needs_gsm8k
def test_the_published_files_are_read_whole() -> None:
    place = SOLUTIONS.parent
    splits = of_files(place / "train.jsonl", place / "test.jsonl", "shares.validation=0.059").splits(0)
    counts = [len(splits.of(split)) for split in SPLITS]
    assert counts[3] == 1319
    assert sum(counts[:3]) == pytest.approx(7473, abs=10)
    assert splits.notices == ()
    items = all_of(splits)
    assert not any("<<" in item.solution for item in items)
    assert all(item.solution.splitlines()[-1].startswith("#### ") for item in items)
    steps = [item.difficulty for item in items if item.difficulty is not None]
    assert len(steps) > 0.99 * len(items)
    assert 3 < sum(steps) / len(steps) < 4


def test_calculator_marks_go_and_count_as_steps(jsonl: Write) -> None:
    leaked = {"question": "TEST:  what is 3 + 2?", "answer": "#### 5"}  # but for case and blanks
    train = [*gsm8k("train", 60), *gsm8k("train", 2), leaked]
    splits = of_files(jsonl("train", train), jsonl("test", gsm8k("test", 20))).splits(0)
    number = int(splits.test[0].answer or "") - 2
    assert splits.test[0].solution == f"It is {number}+2={number + 2}.\n#### {number + 2}"
    assert splits.test[0].difficulty == 1
    assert splits.notices == (
        "training file: 2 duplicate questions left out",
        "1 group of the training file (1 example) removed: also in the test file",
    )


@pytest.mark.parametrize("name", ["gsm8k", "sciq"])
def test_files_enter_by_content_and_stand_in_for_the_hub(name: str, jsonl: Write, tmp_path: Path) -> None:
    row = getattr(hub_rows, name)
    train, test = (jsonl(part, [row(part, n) for n in range(count)]) for part, count in (("train", 60), ("test", 20)))

    def given(one: Path, other: Path, *overrides: str) -> Any:
        return task(name, f"train_file={one}", f"test_file={other}", *WHOLE, *overrides)

    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(train.read_bytes())
    assert digest(given(train, test)) == digest(given(moved, test, "source.path=other/repo"))
    assert digest(given(train, test)) != digest(given(test, moved))
    assert given(train, test).resolved(lambda *asked: pytest.fail("asked the hub")) == given(train, test)
    assert len(given(train, test).splits(0).test) == 20


def changed(**values: Any) -> list[Mapping[str, Any]]:
    rows = gsm8k("train", 60)
    return [*rows[:3], {**rows[3], **values}, *rows[4:]]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (changed(answer="It is five."), r"train\.jsonl:4: the gold answer does not parse: expected .*'It is five\.'"),
        (changed(answer="so 5\n#### five"), r"train\.jsonl:4: the gold answer does not parse: .*'#### five'"),
        (changed(answer=""), r"train\.jsonl:4: column 'answer' is empty"),
        (changed(question=gsm8k("train", 1)[0]["question"]), r"jsonl:1 and .*jsonl:4: one question has the answers"),
        ([{"question": "x", "solution": "#### 1"}], r"no column 'answer'.*task=local_reasoning"),
        (gsm8k("test", 20), "give two different files"),
    ],
)
def test_bad_files_are_one_clear_message(jsonl: Write, train: Rows, message: str) -> None:
    with pytest.raises(UserError, match=message):
        of_files(jsonl("train", train), jsonl("test", gsm8k("test", 20))).splits(0)


def test_one_file_alone_is_refused(jsonl: Write) -> None:
    with pytest.raises(UserError, match=r"task\.test_file has no file: .*; give both files, or none for the hub"):
        task("gsm8k", f"train_file={jsonl('train', gsm8k('train', 60))}")


# ---------------------------------------------------------------- where they come from


def test_every_subject_is_read_and_gold_solutions_pass_their_own_judge(tmp_path: Path) -> None:
    given = made("math", repository(tmp_path / "data", "math", (40, 10)), SUBJECTS)
    splits = given.splits(0)
    assert len(splits.test) == 20
    assert {item.difficulty for item in splits.test} == {1, 2, 3, 4, 5}
    odd = SourceRow("hub:1", {**hub_rows.math("test", 1), "level": "Level ?"}, own=False)
    assert given.reader.read(odd, given.format).difficulty is None
    verdicts = given.key.grade(
        [str(item.gold) for item in splits.test], [Solution(item.id, item.solution, None) for item in splits.test]
    )
    assert all(verdict.strict and verdict.flexible for verdict in verdicts)
    assert digest(task("math", "source.config=[algebra]")) != digest(task("math"))


def test_a_config_is_read_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hub_rows.CONFIGS, "openbookqa", ("additional", "main"))
    place = repository(tmp_path / "data", "openbookqa", (60, 60))
    assert all(item.texts[0].startswith("Q: main test") for item in made("openbookqa", place).splits(0).test)
    with pytest.raises(UserError, match=r"cannot load .*config other"):
        made("openbookqa", place, "source.config=other").splits(0)


def test_large_splits_are_read_at_even_distances(tmp_path: Path) -> None:
    rows = [{"text": f"{n}", "label": int(n >= 500)} for n in range(1000)]
    source = made("imdb", data(tmp_path / "imdb", train=rows, test=rows), "source.max_train_rows=10").source
    assert [int(row.values["text"]) for row in source.rows("train", ["text", "label"])] == list(range(0, 1000, 100))
    assert len(source.split("train", ["text"], 5000, None)) == 1000


def test_labels_that_are_no_class_are_refused(tmp_path: Path) -> None:
    rows = [{"text": f"{n}", "label": n % 2} for n in range(60)]
    place = data(tmp_path / "imdb", train=rows, test=[{"text": "x", "label": -1}])
    with pytest.raises(UserError, match=r"\(test\):1: label '-1' in column 'label' is none of 0, 1"):
        made("imdb", place).splits(0)
    with pytest.raises(UserError, match="two or more different labels"):
        made("imdb", place, "reader.classes=['0']", "words=[bad]")
    with pytest.raises(UserError, match=r"task\.reader\.classes: name the labels"):
        made("imdb", place, "reader.classes=null")


def test_a_folder_enters_by_content_and_must_not_change(tmp_path: Path) -> None:
    one, same = (repository(tmp_path / name, "sciq", (40, 30)) for name in ("one", "same"))
    planned = made("sciq", same)
    assert digest(made("sciq", one)) == digest(planned)
    assert planned.resolved(lambda *asked: pytest.fail("asked the hub")) == planned
    repository(same, "sciq", (41, 30))
    assert digest(made("sciq", one)) != digest(made("sciq", same))
    with pytest.raises(UserError, match="changed after the plan"):
        planned.splits(0)


@pytest.mark.parametrize("name", ["sciq", "imdb", "gsm8k", "math", *PREFERENCE])
def test_a_repository_is_identified_by_its_commit_and_a_plan_downloads_nothing(name: str) -> None:
    unknown = task(name)
    asked: list[tuple[str, str]] = []

    def find(repository: str, revision: str) -> str:
        asked.append((repository, revision))
        return COMMIT

    known = unknown.resolved(find)
    assert asked == [(unknown.source.path, "main")]
    assert known.source.identity()["commit"] == COMMIT
    assert digest(known) == digest(task(name, f"source.commit={COMMIT}", "source.revision=v1")) != digest(unknown)
    assert unknown.sizes() == unknown.limits.by_split()
    assert all(unknown.sizes().values())
    with pytest.raises(UserError, match=r"(?s)commit .* is not known .*task\.source\.path=/path/to/folder"):
        unknown.splits(0)
    with pytest.raises(UserError, match=r"(?s)cannot load .*task\.source\.path=/path/to/folder"):
        known.splits(0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["source.test=dev"], "cannot load .*split dev"),
        (["reader.template='{qestion} {option}'"], "no column 'qestion': did you mean `question`"),
        (["reader.template='{question}'"], r"must contain \{option\}"),
        (["reader.template='{question.x} {option}'"], "only plain column names"),
        (["reader.options=[a,b]"], "has no column 'a'"),
        (["reader.keys=labels"], r"keys a list only where task\.reader\.right is none of them"),
        (["reader.num_options=5"], "none of the 40 rows can be used: .* 4 options, not task.reader.num_options=5"),
        (["source.path=/no/such/folder"], "data folder not found"),
        (["words=[wrong]"], "1 words for 2 classes"),
        (["words=[]"], "0 words for 2 classes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made("sciq", repository(tmp_path / "data", "sciq", (40, 30)), *overrides).splits(0)


def test_a_loading_script_is_refused_with_its_name(tmp_path: Path) -> None:
    place = tmp_path / "scripted"
    place.mkdir()
    (place / "scripted.py").write_text("raise SystemExit('never run')\n")
    (place / "data.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match=r"cannot load .*scripted"):
        made("sciq", place).splits(0)


def test_a_folder_name_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "allenai" / "sciq", "sciq", (4, 3))
    monkeypatch.chdir(tmp_path)
    source = task("sciq").source
    assert isinstance(source, Hub)
    assert source.label == str(tmp_path / "allenai" / "sciq")
