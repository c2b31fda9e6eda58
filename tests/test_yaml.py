"""Every YAML file under `conf/`: its target exists, its keys bind, and a job composes with it."""

import importlib
import json
from pathlib import Path
from types import FunctionType

import pytest
import yaml

from tests.composing import ROOT, job

CONF = ROOT / "conf"
# Of people's own files, for readers of every kind.
COLUMNS = ("text", "prompt", "chosen", "rejected", "question", "solution", "answer")
GROUPS = {"task", "model", "paradigm", "fit", "objective", "generation", "trainer", "tracking", "paths", "run"}
FILES = sorted(f for f in CONF.rglob("*.yaml") if f.parent.name in GROUPS and not f.stem.startswith("_"))


def test_the_walk_finds_every_group() -> None:
    assert {f.parent.name for f in FILES} == GROUPS
    assert len(FILES) >= 60


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_file_binds(file: Path, tmp_path: Path) -> None:
    group, name = file.parent.name, file.stem
    given = []
    if group == "task" and name.startswith("local_"):
        for part in ("train", "test"):
            rows = [json.dumps({c: f"{c} {part} {n}" for c in COLUMNS} | {"label": n % 2}) for n in range(40)]
            (tmp_path / f"{part}.jsonl").write_text("\n".join(rows))
            given.append(f"task.{part}_file={tmp_path}/{part}.jsonl")
    if group == "model" and name == "local":
        (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
        given.append(f"weak.path={tmp_path}")
    bound, _ = job(f"model@weak={name}" if group == "model" else f"{group}={name}", *given)
    if group in ("model", "task"):
        named = bound.weak if group == "model" else bound.task
        assert named.name == getattr(named, "path", name).rpartition("/")[2]  # a model of others as they call it


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
