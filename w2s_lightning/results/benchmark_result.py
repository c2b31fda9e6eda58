"""A preference job's benchmark: every row judged on the same pairs with the same resamples of prompts, a tie a loss.

In each subset, each section of RewardBench, and overall, with PGR wherever floor and ceiling are told apart. Prompts
that the job trained on are counted here; `checks` refuses them before anything is computed.
"""

from typing import Any

from w2s_lightning.checks import shared_prompts
from w2s_lightning.metrics.sections import missing, parts_of
from w2s_lightning.plan import Plan
from w2s_lightning.results.scored import NO_BENCHMARK_FLOOR, measured_rows, row_pgr
from w2s_lightning.results.stored import read_answers
from w2s_lightning.store import Store


def benchmark_of(plan: Plan, store: Store) -> dict[str, Any] | None:
    """What `result.json` says of the benchmark, None without one."""
    judged = {row.name: row.benchmark for row in plan.rows if row.benchmark is not None}
    if not judged:
        return None
    answers = {name: read_answers(store, stage) for name, stage in judged.items()}
    about, task = next(iter(answers.values())), next(iter(judged.values())).task
    assert all(one.ids == about.ids for one in answers.values()), "the rows answer other pairs of the benchmark"
    won = {name: one.correct for name, one in answers.items()}
    parts = []
    for part in parts_of(about.subsets):
        scores = part.scores(won, about.groups)
        pgrs = {name: vars(row_pgr(plan, scores, name, NO_BENCHMARK_FLOOR)) for name in measured_rows(plan.rows)}
        accuracy = {name: vars(one) for name, one in part.intervals(won, about.groups).items()}
        head = {"kind": part.kind, "name": part.name, "n": int(part.rows.sum())}
        parts.append({**head, "accuracy": accuracy, "pgr": pgrs})
    lost = missing(about.subsets)
    return {
        "name": task.name,
        "place": task.place,
        "num_rows": len(about.ids),
        "shared_prompts": shared_prompts(plan.rows[0].evaluate.task.splits(plan.name["seed"]), about.groups),
        "missing": {
            "sections": list(lost.sections),
            "subsets": {name: list(own) for name, own in lost.subsets.items()},
        },
        "parts": parts,
    }
