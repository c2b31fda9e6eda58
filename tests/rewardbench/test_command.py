"""`python -m w2s_lightning.rewardbench`: what it writes and prints, and every mistake as one or two lines."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.rewardbench.rows import CHAT, END, TALK, TEMPLATE
from tests.tasks.composing_tasks import task
from w2s_lightning.identity import canonical
from w2s_lightning.rewardbench.__main__ import main
from w2s_lightning.rewardbench.reward_models import PLAIN
from w2s_lightning.tasks.format import Format

Row = dict[str, Any]
Models = Callable[..., Path]
Command = Callable[..., tuple[dict[str, Any], str]]

TOLD = [text.split(" ? ") for text in TALK]
SUBSETS = ["llmbar-natural", "llmbar-natural", "donotanswer", "shp", "my [red]own[/red]\x1b[2J"]
ROWS: list[Row] = [
    {"prompt": prompt, "chosen": answer, "rejected": TOLD[n - 1][1][: 9 + 2 * n], "subset": SUBSETS[n]}
    for n, (prompt, answer) in enumerate(TOLD)
]


def written(folder: Path, made: Sequence[Mapping[str, Any]], name: str = "rows.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in made))
    return folder / name


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """A run on these rows (or on --data) with --max-length 64 for tiny models: its summary, and what it printed; of one
    that is refused an empty summary, and the mistake in one or two lines."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    for config in (datasets.config, huggingface_hub.constants):
        monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)

    def run(model: object, *options: object, rows: Sequence[Row] = ROWS) -> tuple[dict[str, Any], str]:
        data = () if "--data" in options else ("--data", written(tmp_path, rows))
        summary = tmp_path / "out" / "rewardbench.json"
        failed = main([*map(str, (model, *data, *options)), "--out", str(summary.parent), "--max-length", "64"])
        said = capsys.readouterr()
        assert failed != summary.exists()
        assert not failed or said.err.strip().count("\n") <= 1
        return ({}, said.err) if failed else (json.loads(summary.read_text()), said.out)

    return run


def scores(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    table = pq.read_table(folder / "out" / "scores.parquet")
    return {name: table.column(name).to_numpy() for name in table.column_names}


def test_a_classifier_is_scored_row_by_row_and_in_sections(models: Models, command: Command, tmp_path: Path) -> None:
    found, shown = command(models("llama", labels=1))
    table = scores(tmp_path)
    assert [place.rsplit(":", 1)[1] for place in table["place"]] == ["1", "2", "3", "4", "5"]
    assert (table["win"] == (table["reward_chosen"] > table["reward_rejected"])).all()
    assert found["rewards"].startswith("of a classifier, read at the last token that is not its padding token")
    assert list(found["sections"]) == ["Chat Hard", "Safety", "Prior Sets"]
    hard = np.mean(table["win"][table["subset"] == "llmbar-natural"])
    assert found["sections"]["Chat Hard"]["value"] == hard == found["subsets"]["llmbar-natural"]["value"]
    assert found["missing_sections"] == ["Chat", "Reasoning"]
    assert len(found["missing_subsets"]["Chat Hard"]) == 5
    assert list(found["other_subsets"]) == ["my [red]own[/red]\x1b[2J"]
    assert sum(part["n"] for part in found["chosen_is"].values() if part) == found["num_rows"] == 5
    assert "my [red]own[/red]" in shown
    assert "\x1b" not in shown
    assert "missing sections, left out with their weight: Chat, Reasoning" in shown


def test_a_policy_is_scored_with_and_without_a_reference_and_ties_are_losses(
    models: Models, command: Command, tmp_path: Path
) -> None:
    policy, reference = models("llama"), models("llama", seed=1)
    rewards = {}
    for name, (model, *options) in {
        "sum": (policy, "--reference-free", "sum"),
        "mean": (policy, "--reference-free", "mean"),
        "reference": (reference, "--reference-free", "sum"),
        "ratio": (policy, "--ref", reference),
        "itself": (policy, "--ref", policy),
    }.items():
        found, shown = command(model, *options)
        rewards[name] = np.stack([scores(tmp_path)[side] for side in ("reward_chosen", "reward_rejected")])
        if name == "sum":
            assert found["rewards"] == "log-probabilities without a reference (sum)"
    assert rewards["ratio"] == pytest.approx(rewards["sum"] - rewards["reference"], abs=1e-4)
    assert (np.abs(rewards["mean"]) < np.abs(rewards["sum"])).all()
    assert (rewards["itself"] == 0).all()
    assert (found["ties"], found["overall"]["value"]) == (5, 0.0)
    assert "5 ties, counted as losses" in shown


@pytest.mark.parametrize(
    ("more", "num_rows", "notice"),
    [
        ({"rejected": ROWS[0]["chosen"] + " "}, 5, "1 pair whose two answers are the same left out"),
        ({}, 6, None),  # a row that stands twice counts twice
        ({"prompt": "is tea warm ? " * 40}, 6, "1 of 6 pairs are longer than the model or --max-length allows"),
    ],
    ids=["equal answers", "twice", "long"],
)
def test_rows_that_are_left_out_or_cut_are_counted_and_said(
    models: Models, command: Command, more: Row, num_rows: int, notice: str | None
) -> None:
    found, shown = command(models("llama", labels=1), rows=[{**ROWS[0], **more}, *ROWS])
    assert found["num_rows"] == num_rows
    assert [notice in one for one in found["notices"]] == ([] if notice is None else [True])
    assert notice is None or notice in shown


def saved_with_template(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place)
    (place / "chat_template.jinja").write_text(TEMPLATE)
    return place


def test_rows_are_written_as_a_model_reads_them(models: Models, command: Command, tmp_path: Path) -> None:
    """By the chat template where there is one, as a fit of ours was trained, or as asked; else as preferences are."""
    plain, fit = models("llama", labels=1), tmp_path / "fit" / "some-label"
    talking = saved_with_template(plain, tmp_path / "talking")
    own = Format(chat_template=None, user="Q: {text} A:", joint=" ", separator=" . ")
    shutil.copytree(plain, fit / "model")
    (fit / "stage.json").write_text(json.dumps({"kind": "fit", "task": {"type": "Any", "format": canonical(own)}}))
    for model, options, form in (
        (plain, (), PLAIN),
        (talking, (), CHAT),
        (talking, ("--written", "plain"), PLAIN),
        (fit, (), own),
        (fit / "model", (), own),
    ):
        assert command(model, *options)[0]["form"] == canonical(form)
    file = tmp_path / "rows.jsonl"
    assert task("local_preference", f"train_file={file}", f"test_file={file}").format == PLAIN


# ---------------------------------------------------------------- the hub's sets, from folders in their layout


def repository(place: Path, splits: Mapping[str, Sequence[Row]]) -> Path:
    place.mkdir()
    card = "".join(f"  - split: {name}\n    path: {name}.jsonl\n" for name in splits)
    (place / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{card}---\n")
    for name, made in splits.items():
        written(place, made, f"{name}.jsonl")
    return place


def test_reward_bench_reads_its_filtered_split(models: Models, command: Command, tmp_path: Path) -> None:
    more = [{**row, "chosen_model": "x", "rejected_model": "y", "id": n} for n, row in enumerate(ROWS)]
    place = repository(tmp_path / "reward-bench", {"raw": more[:1], "filtered": more})
    assert command(models("llama", labels=1), "--data", place)[0]["num_rows"] == 5
    assert command(models("llama", labels=1), "--data", place, "--split", "raw")[0]["num_rows"] == 1


def test_prior_sets_are_named_by_their_splits(models: Models, command: Command, tmp_path: Path) -> None:
    turned = [
        {"prompt": [{"role": "user", "content": row["prompt"]}], "chosen": row["chosen"], "rejected": row["rejected"]}
        for row in ROWS
    ]
    names = ["anthropic_helpful", "anthropic_hhh", "shp", "summarize"]
    bad = {**turned[0], "chosen": ""}
    place = repository(tmp_path / "pref-test-sets", {name: [*turned, bad] for name in (*names, "mtbench_human")})
    found, _ = command(models("llama", labels=1), "--data", place)
    assert (list(found["subsets"]), found["num_rows"], found["missing_subsets"]) == (names, 20, {})
    assert "4 pairs without a comparison left out" in found["notices"][0]


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{policy}"], "is a language model: give its reference with --ref MODEL, or --reference-free sum or mean"),
        (["{policy}", "--ref", "{policy}", "--reference-free", "sum"], "exclude each other"),
        (["{head}", "--reference-free", "sum"], "has a reward head: leave --ref and --reference-free away"),
        (["{head}", "--ref", "{policy}"], "has a reward head"),
        (["{two}"], "gives 2 labels, a reward model one score"),
        (["{policy}", "--ref", "{gpt2}"], "have different vocabularies"),
        (["{policy}", "--ref", "{head}"], "is no causal language model"),
        (["{encoder}", "--reference-free", "sum"], "is no causal language model: it has no implicit reward"),
        (["/no/such/folder"], "no such model: /no/such/folder"),
        (["some/model"], "cannot find model some/model"),
        (["{here}"], "is not a model folder: config.json is missing"),
        (["{head}", "--written", "chat"], "this model's tokenizer has none at all"),
        (["{head}", "--device", "gpu"], "--device gpu: "),
        (["{headless}"], "the weights do not fit config.json, 1 are missing (score.weight"),
        (["{broken}"], "rows.jsonl:1: the chosen score is no number ("),
    ],
)
def test_models_that_do_not_fit_are_refused(
    models: Models, command: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    names = {"policy": models("llama"), "head": models("llama", labels=1), "two": models("llama", labels=2)}
    copies = {"gpt2": models("gpt2"), "headless": models("llama"), "broken": models("llama", labels=1)}
    names |= {name: shutil.copytree(folder, tmp_path / name) for name, folder in copies.items()}
    vocabulary = json.loads((names["gpt2"] / "tokenizer.json").read_text())
    vocabulary["model"]["vocab"]["another"] = vocabulary["model"]["vocab"].pop("!")
    (names["gpt2"] / "tokenizer.json").write_text(json.dumps(vocabulary))
    config = json.loads((names["headless"] / "config.json").read_text())
    config |= {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "reward"}}
    (names["headless"] / "config.json").write_text(json.dumps(config))
    weights = load_file(names["broken"] / "model.safetensors")
    weights["score.weight"] = torch.full_like(weights["score.weight"], 3e38)
    save_file(weights, names["broken"] / "model.safetensors", metadata={"format": "pt"})
    given = [part.format(**names, encoder=models("bert"), here=tmp_path) for part in arguments]
    assert message in command(*given)[1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": ""}, "rows.jsonl:3: column 'chosen' is empty"),
        ({"prompt": [{"role": "assistant", "content": "x"}]}, "rows.jsonl:3: turn 1 is the assistant's"),
        ({"subset": None}, "rows.jsonl:3: column 'subset' holds no name"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(
    models: Models, command: Command, row: Row, message: str
) -> None:
    assert message in command(models("llama", labels=1), rows=[*ROWS[:2], {**ROWS[2], **row}])[1]


def test_data_that_is_not_there_is_refused(models: Models, command: Command, tmp_path: Path) -> None:
    for data, message in {
        tmp_path / "none.jsonl": "data file not found",
        tmp_path / "none": "no such data",
        "allenai/reward-bench": "cannot find dataset allenai/reward-bench",
        written(tmp_path, [{"prompt": "a", "chosen": "b", "rejected": "c"}], "bare.jsonl"): "has no column 'subset'",
        repository(tmp_path / "mine", {"train": ROWS}): "which of its splits? Give --split NAME",
    }.items():
        assert message in command(models("llama", labels=1), "--data", data)[1]


def test_the_command_runs_as_a_module(models: Models, tmp_path: Path) -> None:
    arguments = [models("llama", labels=1), "--data", written(tmp_path, ROWS), "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "w2s_lightning.rewardbench", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Chat Hard" in done.stdout
    assert END not in done.stdout.replace(f"its padding token '{END}'", "")
