"""A preference job's benchmark: which rows are refused before anything is trained, and what came out of it.

Every row of the job is judged on the same benchmark rows with the same resamples of prompts, a tie being a loss: in
each subset, each section of RewardBench, and overall, with PGR wherever floor and ceiling are told apart.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.pgr import PGR
from w2s_lightning.metrics.rates import JobScores
from w2s_lightning.metrics.sections import Part, missing, parts_of
from w2s_lightning.recipes.setting import Row
from w2s_lightning.results.scored import NO_BENCHMARK_FLOOR, ONE_PROMPT
from w2s_lightning.results.stored import Array, read_answers
from w2s_lightning.schema import Benchmark
from w2s_lightning.stages import Evaluate
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Splits, trained_on

# ---------------------------------------------------------------- before


def check_benchmark(evaluate: Evaluate | None, splits: Splits, settings: Benchmark) -> tuple[str, ...]:
    """What was left out of the benchmark, for people; raise UserError where it holds prompts that the job trains on."""
    if evaluate is None:
        return ()
    rows = evaluate.task.rows()
    shared = shared_prompts(splits, rows.groups)
    whose = f"task.benchmark={settings.benchmark}: {shared} of its {len(rows.pairs)} rows have a prompt that stands"
    refuse_shared(shared, settings, whose)
    return tuple(rows.notices)


def refuse_shared(shared: int, settings: Benchmark, whose: str) -> None:
    """Raise UserError where anything is shared with the training splits, and that is not allowed."""
    if shared and not settings.benchmark_overlap:
        raise UserError(
            f"{whose} in the training splits: take other rows, or task.benchmark_overlap=true to have them counted in "
            "the result"
        )


def shared_prompts(splits: Splits, groups: Iterable[str]) -> int:
    """How many of the benchmark's rows (by the group of their prompt) have a prompt of the training splits."""
    known = trained_on(splits)
    return sum(group in known for group in groups)


# ---------------------------------------------------------------- after


def benchmark_of(
    rows: Sequence[Row], splits: Splits, store: Store, pgr: Callable[[JobScores, str], PGR]
) -> dict[str, Any] | None:
    """What `result.json` says of the benchmark, None without one; `pgr` is a row's PGR from the scores of a part."""
    judged = {row.name: row.benchmark for row in rows if row.benchmark is not None}
    if not judged:
        return None
    answers = {name: read_answers(store, stage) for name, stage in judged.items()}
    first = next(iter(answers.values()))
    assert all(one.ids == first.ids for one in answers.values()), "the rows answer other pairs of the benchmark"
    subsets, groups = first.subsets, np.array(first.groups)
    won = {name: one.correct for name, one in answers.items()}
    lost = missing(subsets)
    task = next(iter(judged.values())).task
    measured = [row.name for row in rows if row.role not in ("untuned", "floor", "ceiling")]
    has_floor = any(row.role == "floor" and row.name in judged for row in rows)
    return {
        "name": task.name,
        "place": task.place,
        "num_rows": len(subsets),
        "shared_prompts": shared_prompts(splits, groups.tolist()),
        "missing": {
            "sections": list(lost.sections),
            "subsets": {name: list(own) for name, own in lost.subsets.items()},
        },
        "parts": [_scored(part, won, groups, measured, pgr if has_floor else _no_floor) for part in parts_of(subsets)],
    }


def _scored(
    part: Part,
    won: dict[str, Array],
    groups: Array,
    measured: Collection[str],
    pgr: Callable[[JobScores, str], PGR],
) -> dict[str, Any]:
    scores = part.scores(won, groups)
    found = {
        name: pgr(scores, name) if isinstance(scores, JobScores) else PGR.undefined(ONE_PROMPT) for name in measured
    }
    return {
        "kind": part.kind,
        "name": part.name,
        "n": int(part.rows.sum()),
        "accuracy": {name: vars(interval) for name, interval in part.intervals(won, groups).items()},
        "pgr": {name: vars(one) for name, one in found.items()},
    }


def _no_floor(scores: JobScores, name: str) -> PGR:
    return PGR.undefined(NO_BENCHMARK_FLOOR)
