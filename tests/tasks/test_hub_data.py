"""Data sets of the hub, read from local folders with the hub's layout and columns; nothing here asks the hub."""

import json
from collections.abc import Mapping, Sequence
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
from w2s_lightning.tasks.example import SPLITS, Example, Splits, Turn
from w2s_lightning.tasks.source import Hub

pytestmark = pytest.mark.usefixtures("offline_datasets")

Rows = Sequence[Mapping[str, Any]]
WHOLE = ("limits.supervise=null", "limits.transfer=null", "limits.validation=null", "limits.test=null")
SUBJECTS = "source.config=[algebra,geometry]"
COMMIT = "0123456789" * 4


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


# ---------------------------------------------------------------- questions with options


def test_statements_are_right_or_wrong_about_half_and_half_whatever_the_seed(tmp_path: Path) -> None:
    sciq = made("sciq", repository(tmp_path / "data", "sciq", (400, 200)))
    splits, other = sciq.splits(0), sciq.splits(1)
    items = all_of(splits)
    assert len(splits.test) == 200
    assert 0.42 < sum(item.label for item in items) / len(items) < 0.58
    for item in items:
        question, answer = item.texts[0].removeprefix("Q: ").split(" A: ")
        number = question.removesuffix("?").split()[-1]
        assert answer.split()[:2] == [("wrong", "right")[item.label], number]
    assert len({item.texts[0].split()[-1] for item in items if item.label == 0}) == 3
    assert splits.test == other.test
    both = {*splits.supervise, *splits.transfer, *other.supervise, *other.transfer}
    assert len({item.group for item in both}) == len(both)


def test_options_have_a_text_each_and_the_right_one_anywhere(tmp_path: Path) -> None:
    options = made("sciq", repository(tmp_path / "data", "sciq", (200, 200)), "reader.form=options")
    assert (options.layout, options.num_classes, options.class_names) == ("options", 4, ("0", "1", "2", "3"))
    test = options.splits(0).test
    assert all("right" in item.texts[item.label] for item in test)
    assert all(sum("right" in text for text in item.texts) == 1 for item in test)
    assert min(sum(item.label == k for item in test) for k in range(4)) > 25


def test_cosmos_reads_validation_and_never_calls_none_of_the_above_right(tmp_path: Path) -> None:
    place = repository(tmp_path / "data", "cosmos_qa", (200, 100))
    splits = made("cosmos_qa", place).splits(0)
    assert len(splits.test) == 100
    for item in splits.test:
        asked, answer = item.texts[0].split("\nAnswer: ")
        number = int(asked.split()[-2])
        right = "None of the above choices ." if number % 4 == 3 else f"answer {number} {number % 4}"
        assert (answer == right) == (item.label == 1)
        assert not (item.label == 1 and number % 4 == 3)
    hidden = [{**hub_rows.cosmos_qa("test", n), "label": -1} for n in range(10)]
    unanswered = data(tmp_path / "more", train=hidden, validation=hidden)
    with pytest.raises(UserError, match=r"answer '-1' in column 'label'.*without its answers"):
        made("cosmos_qa", unanswered).splits(0)


def test_openbookqa_reads_nested_lists_and_a_named_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hub_rows.CONFIGS, "openbookqa", ("additional", "main"))
    place = repository(tmp_path / "data", "openbookqa", (60, 60))
    test = made("openbookqa", place, "reader.form=options").splits(0).test
    assert all(item.texts[0].startswith("Q: main test") for item in test)
    for item in test:
        number = int(item.texts[0].split()[3])
        assert item.texts[item.label].endswith(f"A: {number} {'wxyz'[number * 7 % 4]}")
    with pytest.raises(UserError, match=r"cannot load .*config other"):
        made("openbookqa", place, "source.config=other").splits(0)


def test_questions_with_another_number_of_options_are_counted(tmp_path: Path) -> None:
    three = {"text": list("wxy"), "label": list("ABC")}
    odd = [{**hub_rows.openbookqa("odd", n), "choices": three, "answerKey": "B"} for n in range(2)]
    splits = made("openbookqa", repository(tmp_path / "data", "openbookqa", more=odd)).splits(0)
    assert any("(train): 2 examples with another number of options left out" in said for said in splits.notices)


# ---------------------------------------------------------------- texts with a label


def test_boolq_has_boolean_labels_and_goes_by_passage(tmp_path: Path) -> None:
    boolq = made("boolq", repository(tmp_path / "data", "boolq", (200, 60)))
    test = boolq.splits(0).test
    assert boolq.class_names == ("false", "true")
    assert len(test) == 60
    assert all(item.label == (int(item.texts[0].split()[-1]) % 3 > 0) for item in test)
    assert len({item.group for item in test}) == 30


@pytest.mark.parametrize(("name", "column"), [("imdb", "text"), ("amazon_polarity", "content")])
def test_reviews_may_repeat_contradict_and_lack_a_title(tmp_path: Path, name: str, column: str) -> None:
    rows = [
        [{column: f"{split} {n}", "label": n % 2} | ({"title": ""} if column != "text" else {}) for n in range(count)]
        for split, count in (("train", 200), ("test", 50))
    ]
    train = [*rows[0], rows[0][0], {**rows[0][1], "label": 0}]
    splits = made(name, data(tmp_path / name, train=train, test=rows[1])).splits(0)
    assert len(splits.test) == 50
    assert splits.notices == (
        f"{name} (train): 1 example with conflicting labels left out",
        f"{name} (train): 1 duplicate example left out",
    )


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


# ---------------------------------------------------------------- preferences

PREFERENCE = ("anthropic_hh", "ultrafeedback_binarized", "shp")


@pytest.mark.parametrize("name", PREFERENCE)
def test_hub_columns_become_pairs_with_the_better_answer_chosen(tmp_path: Path, name: str) -> None:
    splits = made(name, repository(tmp_path / "data", name, (80, 20))).splits(0)
    assert len(splits.test) == (15 if name == "ultrafeedback_binarized" else 20)  # a quarter has equal scores
    found, better = all_of(splits), ("good ", "chosen ")
    assert all(item.chosen.startswith(better) and not item.rejected.startswith(better) for item in found)
    assert 10 < sum(item.label == 1 for item in found) < len(found) - 10


def test_transcripts_become_turns_and_those_that_part_early_are_counted(tmp_path: Path) -> None:
    one, other = hub_rows.anthropic_hh("x", 1), hub_rows.anthropic_hh("y", 5)
    odd = [
        {"chosen": one["chosen"], "rejected": other["rejected"]},
        {"chosen": "\n\nHuman: hi\n\nHuman: there\n\nAssistant: good", "rejected": "\n\nHuman: hi\n\nAssistant: bad"},
        {"chosen": "good", "rejected": "bad"},
        {"chosen": one["chosen"] + "\n\nHuman: bye", "rejected": one["rejected"]},
        {"chosen": one["chosen"], "rejected": one["chosen"]},
    ]
    splits = made("anthropic_hh", repository(tmp_path / "data", "anthropic_hh", (80, 20), odd)).splits(0)
    first = all_of(splits)[0]
    assert [turn.role for turn in first.turns] == ["user", "assistant", "user"]
    assert first.turns[2] == Turn("user", "so")
    others, same = splits.notices
    assert same.startswith("anthropic_hh (train): 1 pair whose two answers are the same left out")
    assert others.startswith("anthropic_hh (train): 4 pairs without a comparison left out (the first is ")
    assert "the two transcripts part before their last answer" in others


def test_scores_and_votes_become_margins_and_equal_scores_are_counted(tmp_path: Path) -> None:
    splits = made("ultrafeedback_binarized", repository(tmp_path / "uf", "ultrafeedback_binarized", (80, 20))).splits(0)
    assert {(item.margin, item.difficulty) for item in all_of(splits)} == {(1.0, -1.0), (2.0, -2.0), (3.0, -3.0)}
    assert [notice.split(" left")[0] for notice in splits.notices] == [
        "ultrafeedback_binarized (train_prefs): 20 pairs without a comparison",
        "ultrafeedback_binarized (test_prefs): 5 pairs without a comparison",
    ]
    voted = made("shp", repository(tmp_path / "shp", "shp", (80, 20))).splits(0)
    assert {item.subset for item in all_of(voted)} == {"askbaking"}
    assert len({item.group for item in voted.test}) == 10
    assert {round(item.margin or 0, 4) for item in all_of(voted)} == {1.0986}
    assert all(item.difficulty == -(item.margin or 0) for item in all_of(voted))


# ---------------------------------------------------------------- problems


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


def test_published_gaps_are_left_out_and_counted(tmp_path: Path) -> None:
    broken = {"question": "broken?", "answer": "no answer here"}
    other = {"question": "main train: what is 3 + 2?", "answer": "#### 6"}
    unparsed, conflicting = made("gsm8k", repository(tmp_path / "a", "gsm8k", more=[broken, other])).splits(0).notices
    assert unparsed.startswith("gsm8k (train): 1 question without a gold answer that parses left out (the first is ")
    assert conflicting == "gsm8k (train): 1 question with conflicting answers left out"
    with pytest.raises(UserError, match=r"none of the 1 rows can be used: .*\(train\):1: the gold answer does not"):
        made("gsm8k", repository(tmp_path / "b", "gsm8k", (0, 20), [broken])).splits(0)
    unboxed = {"problem": "broken", "level": "Level 1", "type": "x", "solution": "so 3"}
    (notice,) = made("math", repository(tmp_path / "c", "math", more=[unboxed]), SUBJECTS).splits(0).notices
    assert notice.startswith("math (train): 1 question without a gold answer that parses left out (the first is ")


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


def test_levels_and_boxed_answers_of_every_subject_are_kept(tmp_path: Path) -> None:
    odd = {**hub_rows.math("algebra train", 999), "level": "Level ?"}
    made_of = made("math", repository(tmp_path / "data", "math", (40, 10), [odd]), SUBJECTS)
    splits = made_of.splits(0)
    assert len(splits.test) == 20
    assert {item.difficulty for item in splits.test} == {1, 2, 3, 4, 5}
    assert [item.difficulty for item in all_of(splits) if "999" in item.question] in ([], [None])
    for item in splits.test:
        number = item.question.split()[-1].rstrip(".")
        assert item.answer == rf"\frac{{{number}}}{{2}}"
        assert item.solution.endswith(rf"The answer is: \frac{{{number}}}{{2}}")
    verdicts = made_of.key.grade([str(item.gold) for item in splits.test], [item.solution for item in splits.test])
    assert all(verdict.strict and verdict.flexible for verdict in verdicts)
    with pytest.raises(UserError, match=r"cannot load .*config topology"):
        made("math", tmp_path / "data", "source.config=[topology]").splits(0)
    assert digest(task("math", "source.config=[algebra]")) != digest(task("math"))


# ---------------------------------------------------------------- where they come from


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
    (place / "data.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UserError, match=r"cannot load .*scripted"):
        made("sciq", place).splits(0)


def test_a_folder_name_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "allenai" / "sciq", "sciq", (4, 3))
    monkeypatch.chdir(tmp_path)
    source = task("sciq").source
    assert isinstance(source, Hub)
    assert source.label == str(tmp_path / "allenai" / "sciq")
