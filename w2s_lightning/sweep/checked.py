"""Reads the data of every cell once before anything runs: what is wrong with a task refuses its own cells alone."""

from collections.abc import Callable
from dataclasses import replace

from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.job import check_data
from w2s_lightning.sweep.grid import Grid, PlannedJob, Refused, words_of


def with_checked_data(grid: Grid, needed: Callable[[PlannedJob], bool], say: Callable[[str], None]) -> Grid:
    """The grid without cells whose data cannot be used; raise UserError when none is left.

    `needed` tells which jobs are to be run; what is to be said of their data is said once.
    """
    found: dict[tuple[str, ...], str | None] = {}
    said: set[str] = set()
    refused = {}
    for job in filter(needed, grid.jobs):
        key = _data_of(job)
        if key not in found:
            found[key], notices = _check(job)
            for notice in notices - said:
                say(notice)
            said |= notices
        reason = found[key]
        if reason is not None:
            words = words_of(job.job)
            refused[job.plan.digest] = Refused(job.overrides, job.axes, words, job.plan.metric, reason)
    if len(refused) == len(grid.jobs):
        raise UserError(next(iter(refused.values())).reason)
    left = tuple(job for job in grid.jobs if job.plan.digest not in refused)
    return replace(grid, jobs=left, refused=(*grid.refused, *refused.values()))


def _data_of(job: PlannedJob) -> tuple[str, ...]:
    files = job.job.supervisor
    asked = (job.job.paradigm_name, str(files)) if files.file or files.test_file else ()  # which splits it is asked for
    return digest(job.plan.rows[0].evaluate.task), str(job.job.seed), str(job.job.benchmark), *asked


def _check(job: PlannedJob) -> tuple[str | None, set[str]]:
    try:
        return None, set(check_data(job.job, job.plan))
    except UserError as error:
        return str(error), set()
