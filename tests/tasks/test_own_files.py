"""A person's own files, for every kind of task: from good rows to every kind of bad one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.conftest import ROWS, Files, Rows, Write, pairs, problems, texts
from tests.tasks.gsm8k_right_wrong import needs_gsm8k, write_right_wrong
from w2s_lightning.errors import UserError
from w2s_lightning.identity import digest
from w2s_lightning.tasks.example import SPLITS

KINDS = ("choice", "preference", "reasoning")
PINNED = ["c924b0a05e223691", "1a3fd9a604acd42a", "c62f9e62620a8484", "66adf7b87cf63e3e"]
MATH = ("reader.answers=math", "format.worked='{solution} The answer is: {answer}'")


def turns(row: Mapping[str, Any], which: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[which]}]


def local(kind: str, train: Path, test: Path, *overrides: str) -> Any:
    return task(f"local_{kind}", f"train_file={train}", f"test_file={test}", *overrides)


# ---------------------------------------------------------------- what all kinds have in common


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_of_a_file_is_no_identity_and_its_content_is(kind: str, files: Files, tmp_path: Path) -> None:
    train, test = files[kind]
    moved = tmp_path / "other.jsonl"
    moved.write_bytes(train.read_bytes())
    assert digest(local(kind, moved, test)) == digest(local(kind, train, test))
    moved.write_bytes(train.read_bytes().replace(b"a 0", b"a x"))
    assert digest(local(kind, moved, test)) != digest(local(kind, train, test))


@pytest.mark.parametrize("kind", KINDS)
def test_plans_know_sizes_and_lengths_before_any_training(kind: str, files: Files) -> None:
    made = local(kind, *files[kind])
    splits = made.splits(0)
    assert made.sizes() == {split: len(splits.of(split)) for split in SPLITS}
    assert sum(made.sizes().values()) == 120
    tokens = {"choice": range(1, 3), "preference": range(10, 25), "reasoning": range(5, 20)}
    assert made.typical_tokens in tokens[kind]
    assert splits.notices == ()


@pytest.mark.parametrize(("kind", "group"), [("choice", "topic"), ("reasoning", "topic"), ("preference", None)])
def test_groups_stay_on_one_side(kind: str, group: str | None, jsonl: Write, files: Files) -> None:
    test = jsonl("apart", [{**row, "topic": "none"} for row in ROWS[kind]("b", 40)])
    splits = local(kind, files[kind][0], test, *([f"reader.group={group}"] if group else [])).splits(0)
    groups = [{item.group for item in splits.of(split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert sum(map(len, groups[:3])) == {"choice": 20, "reasoning": 40, "preference": 40}[kind]


def test_a_group_of_both_files_is_taken_out_of_training(files: Files) -> None:
    splits = local("choice", *files["choice"], "reader.group=topic").splits(0)
    assert splits.notices == ("10 groups of the training file (40 examples) removed: also in the test file",)
    with pytest.raises(UserError, match="every group of the training file is also in the test file"):
        local("preference", *files["preference"], "reader.group=kind").splits(0)


def test_rows_about_test_questions_are_announced(jsonl: Write, files: Files) -> None:
    marked = jsonl("marked", [{**row, "test_of": "gsm8k"} for row in pairs("a", 80)])
    (notice,) = local("preference", marked, files["preference"][1]).splits(0).notices
    assert notice.startswith("training file: 80 rows are about test questions of gsm8k: what is trained on them")


# ---------------------------------------------------------------- choice


def test_classes_are_the_sorted_labels_of_the_training_file(files: Files) -> None:
    made = local("choice", *files["choice"])
    assert made.class_names == made.words == ("bad", "good")
    assert made.layout == "text"
    labels = {item.texts[0]: item.label for item in made.splits(0).test}
    assert (labels["b 0"], labels["b 1"]) == (0, 1)
    assert local("choice", *files["choice"], "words=[awful,great]").words == ("awful", "great")
    assert [made.splits(0).of(split)[0].id for split in SPLITS] == PINNED


def test_numbers_and_booleans_are_classes_whatever_the_format(jsonl: Write, tmp_path: Path) -> None:
    train = jsonl("train", [{"text": f"a {n}", "label": n % 12} for n in range(240)])
    test = tmp_path / "test.csv"
    test.write_text("text,label\n" + "".join(f"b {n},{n % 12}\n" for n in range(48)))
    made = local("choice", train, test)
    assert made.class_names == tuple(map(str, range(12)))
    parquet = tmp_path / "test.parquet"
    pq.write_table(pa.table({"text": [f"b {n}" for n in range(48)], "label": [n % 12 for n in range(48)]}), parquet)
    assert local("choice", train, parquet).splits(0) == made.splits(0)
    flags = [jsonl(one, [{"text": f"{one} {n}", "label": n % 2 == 0} for n in range(40)]) for one in ("a", "b")]
    assert local("choice", flags[0], flags[1]).class_names == ("false", "true")


def test_texts_and_difficulty_come_from_their_columns(files: Files) -> None:
    made = local("choice", *files["choice"], "reader.template='{topic}: {text}'", "reader.difficulty=topic")
    assert {item.texts[0]: item.difficulty for item in made.splits(0).test}["9: b 39"] == 9.0


@needs_gsm8k
def test_real_solutions_are_used_or_counted_and_split_by_question(tmp_path: Path) -> None:
    given = ("reader.group=question", "reader.difficulty=failed", "words=[right,wrong]")
    made = local("choice", *write_right_wrong(tmp_path / "gsm8k"), *given)
    splits, other = made.splits(0), made.splits(1)
    used = sum(len(splits.of(split)) for split in SPLITS)
    counted = sum(int(notice.split(": ")[1].split()[0]) for notice in splits.notices)
    assert used + counted == 1319 * 4
    questions = [{item.texts[0].split("\n")[0] for item in splits.of(split)} for split in SPLITS]
    assert sum(map(len, questions)) == len(set().union(*questions)) == 1319
    assert splits.test == other.test
    assert splits.supervise != other.supervise
    for failed in range(5):
        labels = [item.label for item in splits.transfer if item.difficulty == failed]
        assert sum(labels) / len(labels) == pytest.approx(failed / 4, abs=0.1)


# ---------------------------------------------------------------- preference


def test_own_pairs_become_two_options_each(files: Files) -> None:
    made = local("preference", *files["preference"], "reader.margin=gap", "reader.subset=kind", "reader.difficulty=gap")
    assert (made.kind, made.layout, made.class_names) == ("preference", "options", ("0", "1"))
    splits = made.splits(0)
    for item in (item for split in SPLITS for item in splits.of(split)):
        number = int(item.chosen.removeprefix("good "))
        assert item.rejected == f"bad {number}"
        assert (item.margin, item.difficulty, item.subset) == (number, number, "ab"[number % 2])
        assert item.texts[item.label].endswith(f"Assistant: good {number}")


def test_turns_read_as_texts_and_whole_conversations_as_both(jsonl: Write, files: Files, tmp_path: Path) -> None:
    train, test = files["preference"]
    plain = local("preference", train, test).splits(0)
    asked = [{"role": "user", "content": ""}]
    rows = [
        {**row, "prompt": [{**asked[0], "content": row["prompt"]}], "chosen": turns(row, "chosen")}
        for row in pairs("b", 40)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
    assert local("preference", train, tmp_path / "test.parquet").splits(0) == plain
    whole = [
        jsonl(prefix, [{one: turns(row, one) for one in ("chosen", "rejected")} for row in pairs(prefix, count)])
        for prefix, count in (("a", 80), ("b", 40))
    ]
    assert local("preference", whole[0], whole[1], "reader.prompt=null").splits(0).test == plain.test


def test_the_format_is_part_of_a_task_and_of_its_identity(files: Files) -> None:
    plain, other = (local("preference", *files["preference"], *more) for more in ((), ("format.user='Q: {text} A:'",)))
    assert other.splits(0).test[0].texts[0].startswith("Q: ")
    chat = local("preference", *files["preference"], "format.chat_template=default")
    assert len({digest(plain), digest(other), digest(chat)}) == 3


# ---------------------------------------------------------------- reasoning


def test_solutions_end_in_the_marked_answer(files: Files) -> None:
    made = local("reasoning", *files["reasoning"], "reader.difficulty=level")
    assert made.typical_tokens > made.typical_solution_tokens > 1
    for item in made.splits(0).test:
        number = int(item.question.split()[1])
        assert item.answer == str(number + 2)
        assert item.solution == f"{number} + 2 = {number + 2}\n#### {number + 2}"
        assert made.key.parse_strict(made.format.completion(item.solution)) == item.answer
        assert item.difficulty == number % 3


def test_answers_may_be_mathematics(jsonl: Write, files: Files) -> None:
    def latex(prefix: str, count: int) -> Rows:
        return [
            {"question": f"{prefix} {n}", "solution": "so", "answer": rf"$\dfrac{{{n}}}{{3}}$"} for n in range(count)
        ]

    made = local("reasoning", jsonl("train", latex("train", 40)), jsonl("test", latex("test", 5)), *MATH)
    assert sorted(item.answer for item in made.splits(0).test) == [rf"\frac{{{n}}}{{3}}" for n in range(5)]
    assert digest(local("reasoning", *files["reasoning"], *MATH)) != digest(local("reasoning", *files["reasoning"]))


# ---------------------------------------------------------------- bad files


def changed(kind: str, **values: Any) -> Rows:
    """The training file with other values in its fourth row."""
    rows = ROWS[kind]("a", 80)
    return [*rows[:3], {**rows[3], **values}, *rows[4:]]


NUMBER_EXPECTED = "expected a number"
BAD: dict[str, list[tuple[Rows | None, list[str], str]]] = {
    "choice": [
        (None, ["reader.label=lable"], r"has no column 'lable' \(task.reader.label\): did you mean `label`"),
        (None, ["reader.group=topics"], "did you mean `topic`"),
        (None, ["reader.template='{txt}'"], r"has no column 'txt' \(task.reader.template\): did you mean `text`"),
        (None, ["reader.label=text"], "80 different labels in 80 rows"),
        (None, ["words=[one]"], "1 words for 2 classes"),
        (None, ["reader.difficulty=label"], rf"train\.jsonl:1: column 'label' holds 'bad', {NUMBER_EXPECTED}"),
        (changed("choice", text=""), [], r"train\.jsonl:4: column 'text' is empty"),
        (changed("choice", text=["a"]), [], r"train\.jsonl:4: column 'text' holds list"),
        (changed("choice", label=None), [], r"train\.jsonl:4: column 'label' is empty"),
        (changed("choice", label=0.5), [], r"train\.jsonl:4: label 0\.5"),
        (changed("choice", text="a 0"), [], r"train\.jsonl:1 and .*train\.jsonl:4: one text has the labels 'bad' and"),
        ([{"text": f"a {n}", "label": 1} for n in range(9)], [], "one class only, '1'"),
        (texts("a", 2), [], "no examples for|all of one class"),
        ([{"text": f"a {n}", "label": n % 2} for n in range(80)], [], r"test\.jsonl:1: label 'bad'.* none of 0, 1"),
        (texts("b", 40), [], "give two different files"),
        (None, ["limits.test=0"], "greater than or equal to 1"),
        (None, ["train_file=null"], "train_file has no file: type task.train_file="),
        (None, ["test_file=null"], "test_file has no file: .* or test on a fifth .* task.test_share=0.2"),
        (None, ["test_share=0.2"], "give that file and no task.test_file"),
        (None, ["train_file=/no/such.jsonl"], "data file not found: /no/such.jsonl"),
    ],
    "preference": [
        (None, ["reader.chosen=choosen"], r"no column 'choosen' \(task\.reader\.chosen\): did you mean `chosen`"),
        (None, ["reader.margin=kind"], rf"train\.jsonl:1: column 'kind' holds 'a', {NUMBER_EXPECTED}"),
        (None, ["reader.prompt=null"], r"train\.jsonl:1: no prompt: name its column"),
        (None, ["format=null"], "task.format is missing"),
        (changed("preference", prompt=""), [], r"train\.jsonl:4: column 'prompt' is empty"),
        (changed("preference", chosen=None), [], r"train\.jsonl:4: column 'chosen' is empty"),
        (changed("preference", rejected="  "), [], r"train\.jsonl:4: column 'rejected' is empty"),
        (changed("preference", chosen=7), [], r"train\.jsonl:4: got int; expected a text, or turns"),
        (changed("preference", gap=-2), ["reader.margin=gap"], r"train\.jsonl:4: margin -2 says"),
        (changed("preference", prompt=turns(pairs("a", 1)[0], "chosen")), [], "4: the prompt must end with a user's"),
        (changed("preference", chosen=turns(pairs("c", 1)[0], "chosen")), [], "4: the turns before the chosen"),
        (changed("preference", chosen="bad 2", rejected="good 2"), [], "jsonl:3 and .*jsonl:4: one pair with either"),
    ],
    "reasoning": [
        (changed("reasoning", answer="five"), [], r"4: the gold answer 'five' does not parse: expected one number"),
        (changed("reasoning", answer="5 or 6"), [], r"train\.jsonl:4: the gold answer '5 or 6' does not parse"),
        (changed("reasoning", answer=None), [], r"train\.jsonl:4: column 'answer' is empty"),
        (changed("reasoning", solution="#### 9"), ["format.worked='{solution}'"], "4: the solution ends in '9', the"),
        (changed("reasoning", question="a 0 + 2?"), [], "jsonl:1 and .*jsonl:4: one question has the answers '2' and"),
        (changed("reasoning", level="hard"), ["reader.difficulty=level"], rf"4: .* holds 'hard', {NUMBER_EXPECTED}"),
        (None, ["reader.answer=anser"], r"no column 'anser' \(task.reader.answer\): did you mean `answer`"),
        (None, ["reader.answers=text"], "answers"),
        (problems("a", 2), [], "no examples for"),
    ],
}


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind in KINDS for case in BAD[kind]])
def test_bad_input_is_one_clear_message(jsonl: Write, kind: str, case: tuple[Rows | None, list[str], str]) -> None:
    train, overrides, message = case
    given = jsonl("train", ROWS[kind]("a", 80) if train is None else train)
    with pytest.raises(UserError, match=message) as caught:
        local(kind, given, jsonl("test", ROWS[kind]("b", 40)), *overrides).splits(0)
    assert str(caught.value).count("\n") <= 1
