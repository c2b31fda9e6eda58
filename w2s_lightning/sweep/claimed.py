"""Verdicts of claims, from the jobs of the sweep that was run for them."""

from pathlib import Path
from typing import Any

from w2s_lightning.results.claims import Results, Verdict, decide, key_of
from w2s_lightning.sweep.asked import Asked
from w2s_lightning.sweep.finished import Finished
from w2s_lightning.sweep.grid import Grid


def verdicts_of(asked: Asked, grid: Grid, finished: Finished, store: Path) -> list[Verdict]:
    """Decide every claim from the grid's results; those whose jobs are not all there are `waiting`."""
    given = key_of(asked.arguments)
    found: dict[tuple[frozenset[str], int], Any] = {}
    for job in grid.jobs:
        result = finished.result(job)
        for overrides in (job.overrides, *grid.also.get(job.plan.digest, ())) if result else ():
            found[key_of(overrides) - given, job.job.seed] = result
    results = Results(found, store)
    return [decide(claim, results) for claim in asked.claims]
