"""Classifier against DPO: reward models with a head minus implicit ones, on the same data and backbone.

Groups that differ in `fit.readout` alone are compared row by row (floor, student, ceiling), paired by seed and example,
on the test set and on every section of a benchmark. Both sides saw the same labels.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.sections import sections_of
from w2s_lightning.results.groups import Read, Row, group_key
from w2s_lightning.results.scored import columns_of, score_answers
from w2s_lightning.show.matrix import Labels

AXIS, CLASSIFIER, DPO = "fit.readout", "head", "implicit"
TEST = "test"


def compared(jobs: Sequence[Row], read: Read) -> list[dict[str, Any]]:
    """One record for each row and part that both sides have, over the seeds that both have finished."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    arms = list(_both_sides(jobs))
    for row in ("floor", "ceiling", "student"):
        shared = len({str(_digests(sides, "arms", row)) for _, sides in arms}) == 1
        for arm, sides in arms:
            name = arm if row == "student" else row if shared else f"{row} ({arm})"
            for kind, where in (("arms", TEST), ("benchmark_arms", None)):
                digests = _digests(sides, kind, row)
                key = (kind, row, *map(tuple, digests))
                if "" in digests[0] + digests[1] or key in found:  # paradigms share their floors and ceilings
                    continue
                found[key] = {"row": name, "n_seeds": len(sides[0]), "parts": list(_parts(digests, where, read))}
    return [record for record in found.values() if record["parts"]]


def _digests(sides: Sequence[Sequence[Row]], kind: str, row: str) -> list[list[str]]:
    """The evaluate stages of a row on either side, "" where there is none."""
    return [[str((job.get(kind) or {}).get(row) or "") for job in side] for side in sides]


def _both_sides(jobs: Sequence[Row]) -> Iterator[tuple[str, tuple[list[Row], list[Row]]]]:
    """Arms (in words that tell them apart) with their finished jobs under either read-out, seed by seed."""
    arms: dict[tuple[Any, ...], dict[str, dict[Any, Row]]] = {}
    alike: dict[tuple[Any, ...], Row] = {}
    for job in jobs:
        side, key = job["axes"].get(AXIS), group_key(job, AXIS)
        if job["state"] == "done" and job["metric"] == "accuracy" and side in (CLASSIFIER, DPO):
            arms.setdefault(key, {}).setdefault(side, {})[job["seed"]] = job
            alike[key] = {**job, "axes": {name: value for name, value in job["axes"].items() if name != AXIS}}
    labels = Labels.among(list(alike.values()))
    several_tasks = len({key[0] for key in arms}) > 1
    for key, sides in arms.items():
        seeds = sorted(sides.get(CLASSIFIER, {}).keys() & sides.get(DPO, {}).keys())
        if seeds:
            words = labels.arm(alike[key]) if labels.one_pair else labels.title(alike[key])
            words = f"{key[0]} · {words}" if several_tasks else words
            yield words, ([sides[CLASSIFIER][seed] for seed in seeds], [sides[DPO][seed] for seed in seeds])


def _parts(digests: list[list[str]], where: str | None, read: Read) -> Iterator[dict[str, Any]]:
    try:
        sides = {name: [read(digest) for digest in side] for name, side in zip((CLASSIFIER, DPO), digests, strict=True)}
        columns = columns_of(sides)
    except UserError:  # its group says what cannot be read
        return
    about = sides[CLASSIFIER][0]
    if where is not None:
        yield {"name": where, **vars(score_answers(sides).difference(CLASSIFIER, DPO))}
        return
    for part in sections_of(about.subsets):
        scores = part.scores(columns, about.groups)
        if scores is not None:
            yield {"name": part.name, **vars(scores.difference(CLASSIFIER, DPO))}
