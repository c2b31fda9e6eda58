"""A sweep's figures and tables by name, for wandb's summary run: what the page shows, for others to draw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_lightning.report.figures import Cell
from w2s_lightning.report.pages.matrix import matrix_plot
from w2s_lightning.report.plots import Plot
from w2s_lightning.report.records import Job
from w2s_lightning.report.sources import Wanted
from w2s_lightning.report.theme import ROLES, resolve
from w2s_lightning.report.view import Desk, View

PARTS = (*ROLES, "pgr", "gain_over_untuned")
OF_JOB = ("state", "pair", "arm", "seed", "seconds", "stored", "memory", "digest")
OF_STAGE = ("kind", "label", "digest", "state", "seconds", "memory", "where", "finished", "used")
OF_CLAIM = ("claim", "text", "verdict", "value", "low", "high")
JOBS = (*OF_JOB, *(f"{part}{end}" for part in PARTS for end in ("", " low", " high")))


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def mirrored(sweep: Path, store: Path | None = None) -> tuple[dict[str, Plot], dict[str, Table]]:
    """Plotly figures in light colours, and tables with the data of every figure, all by `task/name`.

    Every pair's paradigms are drawn; of other figures with several views, the first. Curves of stages are not here:
    each job's own run has those.
    """
    plots: dict[str, Plot] = {}
    tables: dict[str, Table] = {}
    for view in Desk().views(Wanted((sweep,), None, store), {})[0]:
        task = view.section.task
        plots |= {f"{task}/{name}": resolve(plot) for name, plot in _plots(view)}
        tables |= {f"{task}/{name}": table for name, table in _tables(view)}
    return plots, tables


def _plots(view: View) -> Iterator[tuple[str, Plot]]:
    yield "matrix", matrix_plot(view.overview.matrix)
    for figure in view.figures().values():
        several = figure.key == "paradigms"
        for variant in figure.variants if several else figure.variants[:1]:
            if variant.plot is not None:
                yield (f"{figure.key}/{variant.label}" if several else figure.key), dict(variant.plot)


def _tables(view: View) -> Iterator[tuple[str, Table]]:
    section = view.section
    for figure in view.figures().values():
        yield figure.key, Table(figure.columns, [row for variant in figure.variants for row in variant.rows])
    ended = zip(view.runs.jobs, section.jobs, strict=True)
    yield "jobs", Table(JOBS, [[*(line[name] for name in OF_JOB), *_numbers(job)] for line, job in ended])
    yield "stages", Table(OF_STAGE, [[line[name] for name in OF_STAGE] for line in view.runs.stages])
    if section.verdicts:
        yield "claims", Table(OF_CLAIM, [[one.get(name) for name in OF_CLAIM] for one in section.verdicts])


def _numbers(job: Job) -> list[Cell]:
    found = [job.row[part] or {} for part in PARTS]
    return [part.get(name) for part in found for name in ("value", "low", "high")]
