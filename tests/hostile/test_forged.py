"""Stored answers that the code does not write, under a manifest that agrees: of another version, or forged."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.asking import Ask, check
from w2s_lightning.report.__main__ import main as report
from w2s_lightning.store.manifest import MANIFEST, Manifest

FORGED: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no column of answers": lambda table: table.drop_columns(["prediction"]),
    "no probabilities": lambda table: table.drop_columns(["probs"]),
    "columns of other names": lambda table: table.rename_columns([f"my_{name}" for name in table.column_names]),
    "texts for numbers": lambda table: table.set_column(4, "correct", pa.array(["yes"] * len(table))),
    "nothing for numbers": lambda table: table.set_column(4, "correct", pa.nulls(len(table), pa.bool_())),
    "one number for a list": lambda table: table.set_column(6, "probs", pa.array([0.5] * len(table))),
    "lists of other lengths": lambda table: table.set_column(6, "probs", pa.array([[0.5]] * (len(table) - 1) + [[]])),
    "no rows": lambda table: table.slice(0, 0),
    "fewer rows": lambda table: table.slice(0, 7),
    "every row twice": lambda table: pa.concat_tables([table, table]),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that is done."""
    place = tmp_path_factory.mktemp("around") / "here"
    place.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        Ask(place, patch)("seed=0", "result: ", 0, job=True)
    return place


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_forged_answers_are_named_and_not_scored(ask: Ask, done: Path, forge: Callable[[pa.Table], pa.Table]) -> None:
    shutil.copytree(done, ask.place, dirs_exist_ok=True)
    folder = sorted(ask.place.glob("store/evaluate/*-test-*"))[0]
    table = pq.read_table(folder / "predictions.parquet")
    pq.write_table(forge(table), folder / "predictions.parquet")
    before = Manifest.read(folder)
    (folder / MANIFEST).unlink()
    Manifest.write(folder, before.digest, before.provenance)
    ask.monkeypatch.chdir(ask.place)
    answer = ask._run(lambda: report(["--text"]))
    check(replace(answer, code=0) if answer.out else answer, code=None)
    next(ask.place.glob("outputs/*/result.json")).unlink()
    ask("seed=0", ["predictions.parquet", folder.name], 1, job=True)
    shutil.rmtree(folder)
    ask("seed=0", "result: ", 0, job=True)  # what the line said
