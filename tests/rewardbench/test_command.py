"""`python -m w2s_lightning.rewardbench`: what it writes and prints, and every mistake as one or two lines."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.rewardbench.rows import CHAT, END, TALK, TEMPLATE
from tests.tasks.composing_tasks import task
from w2s_lightning.identity import canonical
from w2s_lightning.rewardbench.__main__ import main
from w2s_lightning.rewardbench.subject import PLAIN
from w2s_lightning.tasks.format import Format

Row = dict[str, Any]
Models = Callable[..., Path]


def rows() -> list[Row]:
    told = [text.split(" ? ") for text in TALK]
    subsets = ["llmbar-natural", "llmbar-natural", "donotanswer", "shp", "my [red]own[/red]\x1b[2J"]
    return [
        {"prompt": prompt, "chosen": answer, "rejected": told[n - 1][1][: 9 + 2 * n], "subset": subsets[n]}
        for n, (prompt, answer) in enumerate(told)
    ]


def written(folder: Path, made: Sequence[Mapping[str, Any]], name: str = "rows.jsonl") -> str:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(file)


def run(folder: Path, *arguments: object) -> dict[str, Any]:
    """The summary of a run that must succeed, with --max-length 64 for tiny models."""
    assert main([*map(str, arguments), "--out", str(folder / "out"), "--max-length", "64"]) == 0
    found: dict[str, Any] = json.loads((folder / "out" / "rewardbench.json").read_text())
    return found


def test_a_classifier_is_scored_row_by_row_and_in_sections(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(tmp_path, models("llama", labels=1), "--data", written(tmp_path, rows()))
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert [row["place"].rsplit(":", 1)[1] for row in table] == ["1", "2", "3", "4", "5"]
    assert all(row["win"] == (row["reward_chosen"] > row["reward_rejected"]) for row in table)
    assert found["rewards"] == "of a classifier"
    assert list(found["sections"]) == ["Chat Hard", "Safety", "Prior Sets"]
    hard = np.mean([row["win"] for row in table if row["subset"] == "llmbar-natural"])
    assert found["sections"]["Chat Hard"]["value"] == hard == found["subsets"]["llmbar-natural"]["value"]
    assert found["missing_sections"] == ["Chat", "Reasoning"]
    assert len(found["missing_subsets"]["Chat Hard"]) == 5
    assert list(found["other_subsets"]) == ["my [red]own[/red]\x1b[2J"]
    assert sum(part["n"] for part in found["chosen_is"].values() if part) == found["num_rows"] == 5
    shown = capsys.readouterr().out
    assert "my [red]own[/red]" in shown
    assert "\x1b" not in shown
    assert "missing sections, left out with their weight: Chat, Reasoning" in shown


def test_a_policy_is_scored_with_and_without_a_reference(models: Models, tmp_path: Path) -> None:
    data, policy, reference = written(tmp_path, rows()), models("llama"), models("llama", seed=1)
    rewards = {}
    for name, options in {
        "sum": ("--reference-free", "sum"),
        "mean": ("--reference-free", "mean"),
        "ref": ("--ref", reference),
        "itself": ("--ref", policy),
    }.items():
        assert run(tmp_path, policy, "--data", data, *options)["num_rows"] == 5
        table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
        rewards[name] = np.array([table["reward_chosen"], table["reward_rejected"]])
    own = run(tmp_path, reference, "--data", data, "--reference-free", "sum")
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    theirs = np.array([table["reward_chosen"], table["reward_rejected"]])
    assert rewards["ref"] == pytest.approx(rewards["sum"] - theirs, abs=1e-4)
    assert (np.abs(rewards["mean"]) < np.abs(rewards["sum"])).all()
    assert (rewards["itself"] == 0).all()
    assert own["rewards"] == "log-probabilities without a reference (sum)"


def test_ties_are_losses_and_said(models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, models("llama"), "--data", written(tmp_path, rows()), "--ref", models("llama"))
    assert found["ties"] == 5
    assert found["overall"]["value"] == 0.0
    assert "5 ties, counted as losses" in capsys.readouterr().out


def test_equal_answers_are_counted_and_left_out(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {**rows()[0], "rejected": rows()[0]["chosen"] + " "}
    found = run(tmp_path, models("llama", labels=1), "--data", written(tmp_path, [same, *rows()]))
    assert found["num_rows"] == 5
    assert any("1 pair whose two answers are the same left out" in notice for notice in found["notices"])
    assert "1 pair whose two answers are the same left out" in capsys.readouterr().out


def test_a_row_that_stands_twice_counts_twice(models: Models, tmp_path: Path) -> None:
    assert run(tmp_path, models("llama", labels=1), "--data", written(tmp_path, [*rows(), rows()[0]]))["num_rows"] == 6


def test_long_rows_are_counted(models: Models, tmp_path: Path) -> None:
    long = {**rows()[0], "prompt": "is tea warm ? " * 40}
    found = run(tmp_path, models("llama", labels=1), "--data", written(tmp_path, [*rows(), long]))
    assert found["notices"][0].startswith("1 of 6 pairs are longer than the model or --max-length allows")


def saved_with_template(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place)
    (place / "chat_template.jinja").write_text(TEMPLATE)
    return place


def test_rows_are_written_by_the_chat_template_where_there_is_one(models: Models, tmp_path: Path) -> None:
    data, plain = written(tmp_path, rows()), models("llama", labels=1)
    talking = saved_with_template(plain, tmp_path / "talking")
    assert run(tmp_path, plain, "--data", data)["form"] == canonical(PLAIN)
    assert run(tmp_path, talking, "--data", data)["form"] == canonical(CHAT)
    assert run(tmp_path, talking, "--data", data, "--written", "plain")["form"] == canonical(PLAIN)


def test_a_fit_of_ours_reads_rows_as_it_was_trained(models: Models, tmp_path: Path) -> None:
    fit = tmp_path / "fit" / "some-label"
    fit.mkdir(parents=True)
    shutil.copytree(models("llama", labels=1), fit / "model")
    form = Format(chat_template=None, user="Q: {text} A:", joint=" ", separator=" . ")
    (fit / "stage.json").write_text(json.dumps({"kind": "fit", "task": {"type": "Any", "format": canonical(form)}}))
    for named in (fit, fit / "model"):
        assert run(tmp_path, named, "--data", written(tmp_path, rows()))["form"] == canonical(form)


def test_plain_text_is_that_of_preference_tasks(tmp_path: Path) -> None:
    file = written(tmp_path, rows())
    assert task("local_preference", f"train_file={file}", f"test_file={file}").format == PLAIN


# ---------------------------------------------------------------- the hub's sets, from folders in their layout


def repository(place: Path, splits: Mapping[str, Sequence[Row]]) -> Path:
    place.mkdir()
    card = "".join(f"  - split: {name}\n    path: {name}.jsonl\n" for name in splits)
    (place / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{card}---\n")
    for name, made in splits.items():
        written(place, made, f"{name}.jsonl")
    return place


@pytest.mark.usefixtures("offline")
def test_reward_bench_reads_its_filtered_split(models: Models, tmp_path: Path) -> None:
    more = [{**row, "chosen_model": "x", "rejected_model": "y", "id": n} for n, row in enumerate(rows())]
    place = repository(tmp_path / "reward-bench", {"raw": more[:1], "filtered": more})
    assert run(tmp_path, models("llama", labels=1), "--data", place)["num_rows"] == 5
    assert run(tmp_path, models("llama", labels=1), "--data", place, "--split", "raw")["num_rows"] == 1


@pytest.mark.usefixtures("offline")
def test_prior_sets_are_named_by_their_splits(models: Models, tmp_path: Path) -> None:
    turned = [
        {"prompt": [{"role": "user", "content": row["prompt"]}], "chosen": row["chosen"], "rejected": row["rejected"]}
        for row in rows()
    ]
    bad = {**turned[0], "chosen": ""}
    names = ("anthropic_helpful", "anthropic_hhh", "shp", "summarize", "mtbench_human")
    place = repository(tmp_path / "pref-test-sets", {name: [*turned, bad] for name in names})
    found = run(tmp_path, models("llama", labels=1), "--data", place)
    assert list(found["subsets"]) == ["anthropic_helpful", "anthropic_hhh", "shp", "summarize"]
    assert found["num_rows"] == 20
    assert "4 pairs without a comparison left out" in found["notices"][0]
    assert found["missing_subsets"] == {}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


# ---------------------------------------------------------------- mistakes


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object) -> str:
    assert main([*map(str, arguments), "--out", str(folder / "out"), "--max-length", "64"]) == 1
    assert not (folder / "out" / "rewardbench.json").exists()
    said = capsys.readouterr().err.strip()
    assert said.count("\n") <= 1
    return said


@pytest.mark.usefixtures("offline")
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
        (["/no/such/folder"], "no such model: /no/such/folder"),
        (["some/model"], "cannot find model some/model"),
        (["{here}"], "is not a model folder: config.json is missing"),
        (["{head}", "--written", "chat"], "this model's tokenizer has none at all"),
        (["{head}", "--device", "gpu"], "--device gpu: "),
    ],
)
def test_models_that_do_not_fit_are_refused(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = {"policy": models("llama"), "head": models("llama", labels=1), "two": models("llama", labels=2)}
    other = tmp_path / "other"
    shutil.copytree(models("gpt2"), other)
    config = json.loads((other / "tokenizer.json").read_text())
    config["model"]["vocab"]["another"] = len(config["model"]["vocab"])
    (other / "tokenizer.json").write_text(json.dumps(config))
    given = [part.format(**places, gpt2=other, here=tmp_path) for part in arguments]
    assert message in refused(capsys, tmp_path, *given, "--data", written(tmp_path, rows()))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": ""}, "rows.jsonl:3: column 'chosen' is empty"),
        ({"prompt": [{"role": "assistant", "content": "x"}]}, "rows.jsonl:3: turn 1 is the assistant's"),
        ({"subset": None}, "rows.jsonl:3: column 'subset' holds no name"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: Row, message: str
) -> None:
    data = written(tmp_path, [*rows()[:2], {**rows()[2], **row}])
    assert message in refused(capsys, tmp_path, models("llama", labels=1), "--data", data)


@pytest.mark.usefixtures("offline")
def test_data_that_is_not_there_is_refused(models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = models("llama", labels=1)
    bare = written(tmp_path, [{"prompt": "a", "chosen": "b", "rejected": "c"}], "bare.jsonl")
    for data, message in {
        tmp_path / "none.jsonl": "data file not found",
        tmp_path / "none": "no such data",
        "allenai/reward-bench": "cannot find dataset allenai/reward-bench",
        bare: "has no column 'subset'",
        repository(tmp_path / "mine", {"train": rows()}): "which of its splits? Give --split NAME",
    }.items():
        assert message in refused(capsys, tmp_path, model, "--data", data)


def test_a_score_that_is_no_number_names_its_row(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(models("llama", labels=1), broken)
    weights = load_file(broken / "model.safetensors")
    weights["score.weight"] = torch.full_like(weights["score.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    data = written(tmp_path, rows())
    assert "rows.jsonl:1: the chosen score is no number (NaN), in 5 of 5 rows" in refused(
        capsys, tmp_path, broken, "--data", data
    )


def test_the_exported_arithmetic_loads_nothing_heavy() -> None:
    code = (
        "import sys, w2s_lightning.metrics.sections as r\n"
        "assert r.overall(r.section_scores({'shp': 0.5})) == 0.5\n"
        "print(*sorted({'torch', 'transformers', 'datasets', 'wandb', 'pytorch_lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_command_runs_as_a_module(models: Models, tmp_path: Path) -> None:
    arguments = [models("llama", labels=1), "--data", written(tmp_path, rows()), "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "w2s_lightning.rewardbench", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Chat Hard" in done.stdout
    assert END not in done.stdout
