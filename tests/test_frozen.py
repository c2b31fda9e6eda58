"""What may never move, whatever is rebuilt: which example has which id, who trains on what, and in what order.

Labels in people's files join by example id, and every stored result stands on these splits, plans and draws. The
committed `frozen.json` was written before the rebuild of 2026-11-30, and its batch plans anew later that day, when the
rows of a step came to be drawn at random; a difference is a bug, never a reason to write it anew. Example ids, groups,
gold answers and their order within each split come from real configurations read without a network.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.composing import job
from tests.small_jobs import SMALL_ARITHMETIC, SMALL_PAIRS, SMALL_WORLD
from tests.tasks.hub_rows import HUB, repository
from w2s_lightning.data import rows as batches
from w2s_lightning.generate import decoding as samples
from w2s_lightning.identity import canonical_json
from w2s_lightning.tasks import draws

FROZEN = json.loads(Path(__file__).with_name("frozen.json").read_text())
SPLITS = ("supervise", "transfer", "validation", "test")
SEEDS = (0, 7)
Rows = Sequence[Mapping[str, Any]]


# ---------------------------------------------------------------- examples

MORE = {"math": ("task.source.config=[algebra,geometry]",)}
LOCAL_MODELS = ("model@weak=pythia_70m", "model@strong=pythia_70m")


def local_choice(split: str, n: int) -> dict[str, Any]:
    return {"text": f"is {split} {n} good ?", "label": ("no", "yes")[n * 7 // 3 % 2]}


def local_preference(split: str, n: int) -> dict[str, Any]:
    return {"prompt": f"{split} {n // 2}?", "chosen": f"good {n}", "rejected": f"bad {n}"}


def local_reasoning(split: str, n: int) -> dict[str, Any]:
    return {"question": f"{split} {n} and 3 ?", "solution": f"{n} + 3 = {n + 3}", "answer": str(n + 3)}


LOCAL = {"local_choice": local_choice, "local_preference": local_preference, "local_reasoning": local_reasoning}
WORLDS = {
    "fact_pairs": (),
    "fact_claims": (),
    "arithmetic": (),
    "arithmetic_pairs": (),
    "fact_claims small": SMALL_WORLD,
    "arithmetic small": SMALL_ARITHMETIC,
    "arithmetic_pairs small": SMALL_PAIRS,
}


def examples(*overrides: str) -> dict[str, list[str]]:
    """sha256 of ids, groups and gold answers by split, in their order; one a seed."""
    task = job(*overrides)[0].task
    found = {split: list[str]() for split in SPLITS}
    for seed in SEEDS:
        splits = task.splits(seed)
        for split in SPLITS:
            told = [[one.id, one.group, one.answer if one.label is None else one.label] for one in splits.of(split)]
            found[split].append(f"{len(told)} {sha256(json.dumps(told).encode()).hexdigest()[:24]}")
    return found


@pytest.mark.parametrize("name", WORLDS)
def test_examples_of_embedded_worlds(name: str) -> None:
    assert examples(f"task={name.split()[0]}", *WORLDS[name]) == FROZEN["examples"][name]


@pytest.mark.parametrize("name", HUB)
@pytest.mark.usefixtures("offline_datasets")
def test_examples_of_hub_data_sets(name: str, tmp_path: Path) -> None:
    place = repository(tmp_path / name, name)
    more = (*MORE.get(name, ()), *LOCAL_MODELS)
    assert examples(f"task={name}", f"task.source.path={place}", *more) == FROZEN["examples"][name]


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_examples_of_peoples_own_files(name: str, ending: str, tmp_path: Path) -> None:
    files = []
    for part, count in (("train", 120), ("test", 30)):
        rows, path = [LOCAL[name](part, n) for n in range(count)], tmp_path / f"{part}.{ending}"
        if ending == "jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)
        files.append(f"task.{part}_file={path}")
    assert examples(f"task={name}", *files, *LOCAL_MODELS) == FROZEN["examples"][name]


# ---------------------------------------------------------------- plans, draws, canonical JSON


def rounded(values: Any) -> str:
    """sha256 of an array's numbers."""
    array = np.asarray(values)
    return sha256(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).hexdigest()[:24]


def batch_plans() -> dict[str, Any]:
    """Plans of whole fits and their micro-batches, for lengths that a formula gives."""
    found = {}
    for rows, step, epochs, seed in ((2000, 32, 2, 0), (100, 32, 1.5, 3), (7, 8, 4, 1), (5000, 32, 1, 2**40)):
        lengths = np.arange(rows, dtype=np.int64) * 7919 % 57 + 3
        plan = batches.plan(lengths, step, epochs, seed)
        parts = batches.split(lengths[plan[0]], 200)
        name = f"{rows} rows, {step} a step, {epochs} epochs, seed {seed}"
        found[name] = [*plan.shape, rounded(plan.astype(np.int64)), rounded(np.concatenate(parts)), len(parts)]
    return found


def all_draws() -> dict[str, Any]:
    """Uniform numbers and orders by key, and those of samples by seed, example, number and position."""
    keys: tuple[tuple[Any, ...], ...] = (
        ("a",),
        ("a", 0),
        ("facts", 7, "test"),
        (1.5, None, True, ["é", {"b": 1, "a": 2}]),
    )
    streams = [samples.stream(seed, id, n) for seed in (0, 2**33) for id in ("4e07a027b3b12895", "x") for n in (0, 5)]
    return {
        "uniforms": [rounded(draws.uniforms(50, *key)) for key in keys],
        "orders": [rounded(draws.permutation(50, *key)) for key in keys],
        "streams": streams,
        "samples": rounded(samples.uniforms(streams * 3, [*range(8), *range(100, 108), *range(2**20, 2**20 + 8)])),
    }


VALUES: tuple[Any, ...] = (
    {"b": [1, 2.5, None, True], "a": {"é": "\n", "z": 1e-7}},
    [0.1, 1e22, -0.0, 10**18, "", []],
    ("tuple", ("of", {"tuples": ()})),
)


def test_batch_plans() -> None:
    assert batch_plans() == FROZEN["batches"]


def test_draws() -> None:
    assert all_draws() == FROZEN["draws"]


def test_canonical_json_of_plain_values() -> None:
    assert [canonical_json(value) for value in VALUES] == FROZEN["canonical"]
