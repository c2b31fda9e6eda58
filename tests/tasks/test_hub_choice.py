"""Hub data sets, read from local folders with the hub's layout and columns; nothing here asks the hub."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.source import Hub

pytestmark = pytest.mark.usefixtures("offline_datasets")

Rows = Sequence[Mapping[str, Any]]
SMALL = ("limits.supervise=null", "limits.transfer=null", "limits.validation=null", "limits.test=null")
COMMIT = "0123456789" * 4


def folder(place: Path, files: Mapping[str, Rows], readme: str | None = None) -> Path:
    """A repository's folder: Parquet files by path, and the card that names configs where there are several."""
    for name, rows in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    if readme is not None:
        (place / "README.md").write_text(readme)
    return place


def data(place: Path, readme: str | None = None, **splits: Rows) -> Path:
    """The usual layout: data/<split>-00000-of-00001.parquet."""
    return folder(place, {f"data/{name}-00000-of-00001.parquet": rows for name, rows in splits.items()}, readme)


def sciq(prefix: str, count: int) -> Rows:
    return [
        {
            "question": f"{prefix} question {n}?",
            "distractor3": f"wrong {n} c",
            "distractor1": f"wrong {n} a",
            "distractor2": f"wrong {n} b",
            "correct_answer": f"right {n}",
            "support": "because",
        }
        for n in range(count)
    ]


def made(name: str, place: Path, *overrides: str) -> Any:
    return task(name, f"source.path={place}", *SMALL, *overrides)


def test_statements_are_right_or_wrong_about_half_and_half(tmp_path: Path) -> None:
    place = data(tmp_path / "sciq", train=sciq("train", 400), validation=sciq("v", 5), test=sciq("test", 200))
    splits = made("sciq", place).splits(0)
    items = [item for split in SPLITS for item in splits.of(split)]
    assert len(splits.test) == 200
    assert 0.42 < sum(item.label for item in items) / len(items) < 0.58
    for item in items:
        question, answer = item.texts[0].removeprefix("Q: ").split(" A: ")
        number = question.removesuffix("?").split()[-1]
        assert answer.split()[:2] == [("wrong", "right")[item.label], number]
    assert len({item.texts[0].split()[-1] for item in items if item.label == 0}) == 3


def test_statements_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    place = data(tmp_path / "sciq", train=sciq("train", 100), test=sciq("test", 50))
    one, other = (made("sciq", place).splits(seed) for seed in (0, 1))
    assert one.test == other.test
    all_of = [{item for s in ("supervise", "transfer") for item in splits.of(s)} for splits in (one, other)]
    assert len({item.group for item in all_of[0] | all_of[1]}) == len(all_of[0] | all_of[1])


def test_options_have_a_text_each_and_the_right_one_anywhere(tmp_path: Path) -> None:
    place = data(tmp_path / "sciq", train=sciq("train", 200), test=sciq("test", 200))
    options = made("sciq", place, "reader.form=options")
    assert (options.layout, options.num_classes, options.class_names) == ("options", 4, ("0", "1", "2", "3"))
    test = options.splits(0).test
    assert all("right" in item.texts[item.label] for item in test)
    assert all(sum("right" in text for text in item.texts) == 1 for item in test)
    assert min(sum(item.label == k for item in test) for k in range(4)) > 25


def test_cosmos_reads_the_hubs_parquet_branch_and_validation(tmp_path: Path) -> None:
    def rows(prefix: str, count: int) -> Rows:
        none = "None of the above choices ."
        return [
            {"id": f"{prefix}{n}", "context": f"{prefix} story {n}", "question": "why?", "label": n % 4}
            | {f"answer{k}": none if k == 3 else f"answer {n} {k}" for k in range(4)}
            for n in range(count)
        ]

    files = {
        "default/train/0000.parquet": rows("train", 200),
        "default/validation/0000.parquet": rows("valid", 100),
        "default/test/0000.parquet": [dict(row, label=-1) for row in rows("test", 10)],
    }
    place = folder(tmp_path / "cosmos", files)
    splits = made("cosmos_qa", place).splits(0)
    assert len(splits.test) == 100
    for item in splits.test:
        number, answer = int(item.texts[0].split()[3]), item.texts[0].split("Answer: ")[1]
        right = "None of the above choices ." if number % 4 == 3 else f"answer {number} {number % 4}"
        assert (answer == right) == (item.label == 1)
        assert not (item.label == 1 and number % 4 == 3)
    with pytest.raises(UserError, match=r"answer '-1' in column 'label'.*without its answers"):
        made("cosmos_qa", place, "source.test=test").splits(0)


def test_openbookqa_reads_nested_lists_and_a_named_config(tmp_path: Path) -> None:
    def rows(prefix: str, count: int) -> Rows:
        return [
            {
                "id": f"{prefix}{n}",
                "question_stem": f"{prefix} {n}",
                "choices": {"text": [f"{n} {letter}" for letter in "wxyz"], "label": list("ABCD")},
                "answerKey": "ABCD"[n % 4],
            }
            for n in range(count)
        ]

    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {config}\n  data_files:\n  - split: train\n    path: {config}/train-*\n"
        f"  - split: test\n    path: {config}/test-*\n"
        for config in ("additional", "main")
    )
    files = {
        f"{config}/{split}-00000-of-00001.parquet": rows(f"{config} {split}", 60)
        for config in ("additional", "main")
        for split in ("train", "test")
    }
    place = folder(tmp_path / "openbookqa", files, card + "---\n")
    test = made("openbookqa", place, "reader.form=options").splits(0).test
    assert all(item.texts[0].startswith("Q: main test") for item in test)
    for item in test:
        number = int(item.texts[0].split()[3])
        assert item.texts[item.label].endswith(f"A: {number} {'wxyz'[number % 4]}")
    with pytest.raises(UserError, match=r"cannot load .*config other"):
        made("openbookqa", place, "source.config=other").splits(0)


def test_questions_with_another_number_of_options_are_counted(tmp_path: Path) -> None:
    def rows(prefix: str, count: int) -> Rows:
        return [
            {
                "id": "",
                "question_stem": f"{prefix} {n}",
                "choices": {"text": list("wxyz")[: 3 + (n > 1)], "label": list("ABCD")[: 3 + (n > 1)]},
                "answerKey": "B",
            }
            for n in range(count)
        ]

    place = data(tmp_path / "obqa", train=rows("train", 80), test=rows("test", 40))
    splits = made("openbookqa", place, "source.config=null").splits(0)
    assert any("(test): 2 examples with another number of options left out" in said for said in splits.notices)


def test_boolq_has_boolean_labels_and_goes_by_passage(tmp_path: Path) -> None:
    def rows(prefix: str, count: int) -> Rows:
        return [
            {"question": f"is it {n}", "answer": n % 3 > 0, "passage": f"{prefix} passage {n // 2}"}
            for n in range(count)
        ]

    place = data(tmp_path / "boolq", train=rows("train", 200), validation=rows("valid", 60))
    boolq = made("boolq", place)
    splits = boolq.splits(0)
    assert boolq.class_names == ("false", "true")
    assert len(splits.test) == 60
    assert all(item.label == (int(item.texts[0].split()[-1]) % 3 > 0) for item in splits.test)
    assert len({item.group for item in splits.test}) == 30


@pytest.mark.parametrize(("name", "label"), [("imdb", "text"), ("amazon_polarity", "content")])
def test_reviews_may_repeat_contradict_and_lack_a_title(tmp_path: Path, name: str, label: str) -> None:
    def rows(prefix: str, count: int) -> list[dict[str, Any]]:
        return [
            {label: f"{prefix} {n}", "label": n % 2} | ({"title": ""} if label != "text" else {}) for n in range(count)
        ]

    train = rows("train", 200)
    train += [train[0], {**train[1], "label": 1 - train[1]["label"]}]
    splits = made(name, data(tmp_path / name, train=train, test=rows("test", 50))).splits(0)
    assert len(splits.test) == 50
    assert splits.notices == (
        f"{name} (train): 1 example with conflicting labels left out",
        f"{name} (train): 1 duplicate example left out",
    )


def test_large_splits_are_read_at_even_distances(tmp_path: Path) -> None:
    rows = [{"text": f"{n}", "label": int(n >= 500)} for n in range(1000)]
    place = data(tmp_path / "imdb", train=rows, test=rows)
    source = made("imdb", place).source
    read = [int(row.values["text"]) for row in source.split("train", ["text", "label"], 10, None)]
    assert read == list(range(0, 1000, 100))
    assert len(source.split("train", ["text"], 5000, None)) == 1000


def test_a_folder_enters_by_content_and_must_not_change(tmp_path: Path) -> None:
    one = data(tmp_path / "one", train=sciq("train", 40), test=sciq("test", 30))
    same = data(tmp_path / "same", train=sciq("train", 40), test=sciq("test", 30))
    assert digest(made("sciq", one)) == digest(made("sciq", same))
    planned = made("sciq", same)
    data(same, train=sciq("train", 41))
    assert digest(made("sciq", one)) != digest(made("sciq", same))
    with pytest.raises(UserError, match="changed after the plan"):
        planned.splits(0)


def test_a_hub_repository_is_identified_by_its_commit() -> None:
    unknown = task("sciq")
    asked: list[tuple[str, str]] = []

    def find(repository: str, revision: str) -> str:
        asked.append((repository, revision))
        return COMMIT

    known = unknown.resolved(find)
    assert asked == [("allenai/sciq", "main")]
    assert known.source.identity()["commit"] == COMMIT
    assert digest(known) == digest(task("sciq", f"source.commit={COMMIT}", "source.revision=v1"))
    assert digest(known) != digest(unknown)


def test_a_folder_needs_no_commit(tmp_path: Path) -> None:
    place = data(tmp_path / "sciq", train=sciq("train", 4), test=sciq("test", 3))
    local = made("sciq", place)
    assert local.resolved(lambda repository, revision: pytest.fail("asked the hub")) == local


def test_plans_need_no_download() -> None:
    assert task("imdb").sizes() == {"supervise": 10000, "transfer": 10000, "validation": 1000, "test": 5000}


def test_no_network_says_how_to_use_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"(?s)commit .* is not known .*task\.source\.path=/path/to/folder"):
        task("sciq").splits(0)
    with pytest.raises(UserError, match=r"(?s)cannot load allenai/sciq .*task\.source\.path=/path/to/folder"):
        task("sciq", f"source.commit={COMMIT}").splits(0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["source.test=dev"], "cannot load .*split dev"),
        (["reader.template='{qestion} {option}'"], "no column 'qestion': did you mean 'question'"),
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
    place = data(tmp_path / "sciq", train=sciq("train", 40), test=sciq("test", 30))
    with pytest.raises(UserError, match=message):
        made("sciq", place, *overrides).splits(0)


def test_labels_that_are_no_class_are_refused(tmp_path: Path) -> None:
    rows = [{"text": f"{n}", "label": n % 2} for n in range(60)]
    place = data(tmp_path / "imdb", train=rows, test=[{"text": "x", "label": -1}])
    with pytest.raises(UserError, match=r"\(test\):1: label '-1' in column 'label' is none of 0, 1"):
        made("imdb", place).splits(0)
    with pytest.raises(UserError, match="two or more different labels"):
        made("imdb", place, "reader.classes=['0']", "words=[bad]")


def test_a_loading_script_is_refused_with_its_name(tmp_path: Path) -> None:
    place = tmp_path / "scripted"
    place.mkdir()
    (place / "scripted.py").write_text("raise SystemExit('never run')\n")
    (place / "data.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UserError, match=r"cannot load .*scripted"):
        made("sciq", place).splits(0)


def test_a_folder_name_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(tmp_path / "allenai" / "sciq", train=sciq("train", 4), test=sciq("test", 3))
    monkeypatch.chdir(tmp_path)
    source = task("sciq").source
    assert isinstance(source, Hub)
    assert source.label == str(tmp_path / "allenai" / "sciq")
