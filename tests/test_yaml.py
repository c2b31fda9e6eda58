"""Every YAML file under `conf/`: its target exists, its keys bind, and a job composes with it."""

import importlib
from pathlib import Path
from types import FunctionType

import pytest
import yaml

from tests.composing import ROOT, job

CONF = ROOT / "conf"
GROUPS = {"task", "model", "paradigm", "fit", "objective", "generation", "trainer", "tracking", "paths", "run"}
FILES = sorted(f for f in CONF.rglob("*.yaml") if f.parent.name in GROUPS and not f.stem.startswith("_"))

GIVEN = {
    "model/local": ["weak.path={folder}"],
    "task/local_choice": ["task.train_file={train}", "task.test_file={test}"],
    "task/local_preference": [
        "task.train_file={train}",
        "task.test_file={test}",
        "task.reader={{prompt: text, chosen: text, rejected: label}}",
    ],
    "task/local_reasoning": [
        "task.train_file={train}",
        "task.test_file={test}",
        "task.reader.question=text",
        "task.reader.solution=text",
        "task.reader.answer=label",
    ],
}


def test_the_walk_finds_every_group() -> None:
    assert {f.parent.name for f in FILES} == GROUPS
    assert len(FILES) >= 60


def mounted(file: Path) -> str:
    group = file.parent.name
    return f"model@weak={file.stem}" if group == "model" else f"{group}={file.stem}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_file_binds(file: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    rows = "".join(f"text {n},{n % 2}\n" for n in range(40))
    (tmp_path / "train.csv").write_text("text,label\n" + rows)
    (tmp_path / "test.csv").write_text("text,label\n" + rows.replace("text ", "other "))
    places = {"folder": tmp_path, "train": tmp_path / "train.csv", "test": tmp_path / "test.csv"}
    given = [o.format(**places) for o in GIVEN.get(f"{file.parent.name}/{file.stem}", [])]
    bound, _ = job(mounted(file), *given)
    if file.parent.name == "model":
        assert bound.weak.name == file.stem
    if file.parent.name == "task":
        assert bound.task.name == file.stem


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name == "objective"], ids=lambda f: f.stem)
def test_an_objective_file_is_named_after_its_function(file: Path) -> None:
    block = yaml.safe_load(file.read_text())
    module, _, name = block["_target_"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
    assert name == file.stem


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name == "paradigm"], ids=lambda f: f.stem)
def test_a_paradigm_file_names_a_recipe_and_a_module(file: Path) -> None:
    block = yaml.safe_load(file.read_text())
    for part, kind in (("recipe", FunctionType), ("module", type)):
        module, _, name = block[part]["_target_"].rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), name), kind)
    assert block["recipe"]["_target_"].endswith(f".{file.stem}.build")


@pytest.mark.parametrize("file", sorted(CONF.glob("for_task*/*.yaml")), ids=lambda f: f.stem)
def test_what_a_task_sets_is_listed_where_it_is_set(file: Path) -> None:
    """`set_by_task` is what a run names in its first lines; with a paradigm it lists the task's own too."""
    block = yaml.safe_load(file.read_text())
    listed = block.pop("set_by_task")
    task = CONF / "for_task" / f"{file.stem.partition('_weak_to_strong')[0]}.yaml"
    set_here = {f"{group}.{key}" for group, values in block.items() for key in values}
    set_before = set(yaml.safe_load(task.read_text())["set_by_task"])
    assert set(listed) == set_here | (set_before if task != file else set())
