"""A sweep of two cells and nine launches, run once through the pool, and what another launcher must agree with."""

import json
from pathlib import Path
from typing import Any

from tests.sweep.programs import SLOTS, ledger, stored, sweep

CELLS = ("sweeps=smoke", "seed=0", "model@weak=nano")
LAUNCHES = 9


def through_the_pool(place: Path) -> Path:
    """Run the cells with `pool`; where they lie."""
    sweep(place, *CELLS, *SLOTS)
    return place


def assert_alike(ours: Path, theirs: Path) -> None:
    """Same digests, same bytes of every stage, same metrics of every job and group."""
    assert len(stored(ours)) > 20
    assert stored(ours) == stored(theirs)
    assert facts(ours) == facts(theirs)


def facts(place: Path) -> dict[str, Any]:
    """A ledger but for its times and its place, with the rows of every job's result."""
    content = ledger(place)
    assert content["counts"]["done"] == len(content["jobs"]) == 2
    results = [json.loads((place / "outputs" / job["folder"] / "result.json").read_text()) for job in content["jobs"]]
    kept = {key: content[key] for key in ("digest", "counts", "groups", "jobs")}
    kept["rows"] = [[result["digest"], result["rows"], result["pgr"]] for result in results]
    assert all(row["value"] is not None for _, rows, _ in kept["rows"] for row in rows if "value" in row)
    return json.loads(json.dumps(kept).replace(str(place), ""))


def logs(place: Path) -> dict[str, str]:
    """Every launch's log by its folder."""
    found = (place / "outputs" / "sweeps").glob("*/*/*/log.txt")
    return {f"{file.parts[-3]}/{file.parts[-2]}": file.read_text() for file in found}
