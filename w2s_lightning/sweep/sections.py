"""A sweep's benchmark: PGR of every group by section, over seeds and benchmark rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.benchmarked import NO_FLOOR, ONE_PROMPT, Part, sections_of
from w2s_lightning.errors import UserError
from w2s_lightning.metrics.bootstrap import resample_job
from w2s_lightning.metrics.pgr import PGR, pgr_of_job, pgr_over_seeds
from w2s_lightning.metrics.seeds import score_seeds
from w2s_lightning.sweep.matrix import Labels

Row = Mapping[str, Any]
Columns = dict[str, np.ndarray[Any, Any]]
_ARMS = ("floor", "student", "ceiling")


def section_pgrs(done: Sequence[Row], read: Callable[[str], Any]) -> list[dict[str, Any]]:
    """The student's PGR in every section (and unknown subset, and overall) of jobs that differ in their seed alone.

    `read` gives an evaluate stage's scores by digest; empty where the jobs have no benchmark.
    """
    judged = [job.get("benchmark_arms") or {} for job in done]
    if not judged or any(arms.get("student") is None for arms in judged):
        return []
    there = [arm for arm in _ARMS if all(arms.get(arm) is not None for arms in judged)]
    scored = {arm: [read(arms[arm]) for arms in judged] for arm in there}
    about = scored["student"][0].about
    columns = {arm: np.stack([one.correct for one in column]) for arm, column in scored.items()}
    parts = sections_of(about.subsets)
    groups = np.array(about.groups)
    return [
        {"kind": part.kind, "name": part.name, "n": int(part.rows.sum()), "pgr": vars(_pgr(part, columns, groups))}
        for part in parts
    ]


def _pgr(part: Part, columns: Columns, groups: np.ndarray[Any, Any]) -> PGR:
    own, ids = {arm: values[:, part.rows] for arm, values in columns.items()}, groups[part.rows]
    if "floor" not in own:
        return PGR.undefined(NO_FLOOR)
    if len(np.unique(ids)) == 1:
        return PGR.undefined(ONE_PROMPT)
    try:
        if len(own["student"]) == 1:
            return pgr_of_job(resample_job(own, ids, metric=part.metric))
        return pgr_over_seeds(score_seeds(own, ids, metric=part.metric)).pgr
    except UserError as error:
        return PGR.undefined(str(error))


def print_sections(console: Console, groups: Sequence[Row]) -> None:
    """Sections x groups, where any group has a benchmark."""
    judged = [group for group in groups if group.get("sections")]
    if not judged:
        return
    labels = Labels.among(groups)
    alone = len({labels.pair(group) for group in judged}) == 1
    names = list(dict.fromkeys(part["name"] for group in judged for part in group["sections"]))
    console.print("PGR [95 %] on the benchmark, by section", highlight=False)
    table = Table(box=SIMPLE_HEAD)
    for column in ("", *names):
        table.add_column(escape(column), overflow="fold")
    for group in judged:
        found = {part["name"]: part["pgr"] for part in group["sections"]}
        cells = [cell(found.get(name)) for name in names]
        table.add_row(escape(labels.arm(group) if alone else labels.full(group)), *cells)
    console.print(table)


def cell(pgr: Row | None) -> str:
    """PGR with its interval."""
    if pgr is None:
        return ""
    return f"{pgr['value']:.2f} ({pgr['low']:.2f}, {pgr['high']:.2f})" if pgr["defined"] else "undefined"
