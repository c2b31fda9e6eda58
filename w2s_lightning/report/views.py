"""All pages of all sections: made once, written as HTML, as text, or as figures and tables for wandb."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from w2s_lightning.report.agreement import agreement, sections
from w2s_lightning.report.compared import Block, compared_by_pair, paradigms
from w2s_lightning.report.figures import STYLE, Figure, Plot
from w2s_lightning.report.inspector import inspector
from w2s_lightning.report.overview import Overview, arms_figure, matrix_figure, overview
from w2s_lightning.report.records import Section
from w2s_lightning.report.runs import Runs, runs
from w2s_lightning.report.scaling import scaling
from w2s_lightning.report.sources import Library, Wanted
from w2s_lightning.report.theme import ROLES, resolve
from w2s_lightning.report.training import stage_curves, training
from w2s_lightning.results.stored import Fault

PARTS = (*ROLES, "pgr", "gain_over_untuned")
OF_JOB = ("state", "pair", "arm", "seed", "seconds", "stored", "memory", "digest")
OF_STAGE = ("kind", "label", "digest", "state", "seconds", "memory", "where", "finished", "used")
OF_CLAIM = ("claim", "text", "verdict", "as_claimed", "value", "low", "high", "p")
ENDS = ("value", "low", "high")


@dataclass(frozen=True)
class Pages:
    """One section's pages. `figures` are those of every page by its name, with sentences where there is nothing to
    draw; `blocks` the compared rows of every pair; `curves` and `inspector` what the page's scripts read."""

    section: Section
    overview: Overview
    blocks: Mapping[str, Sequence[Block]]
    figures: Mapping[str, Sequence[Figure | str]]
    curves: Mapping[str, Any]
    inspector: Mapping[str, Any]
    runs: Runs
    faults: Sequence[Fault]

    def placed(self) -> dict[str, Figure]:
        """Every figure by its place, `page/key`."""
        return {f"{page}/{f.key}": f for page, parts in self.figures.items() for f in parts if isinstance(f, Figure)}


def pages_of(
    library: Library, wanted: Wanted, claims: Mapping[str, str] | None = None
) -> tuple[list[Pages], list[pa.Table]]:
    """The pages of all sections, and the rows of every finished job; raise UserError for bad folders."""
    found, tables = [], []
    for section in library.sections(wanted):
        over, by_pair = overview(section, claims or {}), compared_by_pair(section)
        figures: dict[str, list[Figure | str]] = {"overview": [matrix_figure(section.groups, over.matrix)]}
        if section.finished:
            figures["overview"].append(arms_figure(section.finished, section.metric))
            figures["paradigms"] = [paradigms(by_pair, section.metric)]
            figures |= {"scaling": scaling(section), "agreement": agreement(section), "training": training(section)}
            figures["rewardbench"] = sections(section)
        curves = stage_curves(section) if section.finished else {"stages": [], "metrics": []}
        shown, rows = inspector(section, library.tables)
        table = runs(section)
        # What cannot be read is known once all pages are made.
        faults = list(dict.fromkeys(section.faults()))
        found.append(Pages(section, over, by_pair, figures, curves, shown, table, faults))
        tables += rows
    return found, tables


# ---------------------------------------------------------------- for wandb


Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Columns, and rows of cells under them."""


def mirrored(library: Library, wanted: Wanted) -> tuple[dict[str, Plot], dict[str, Table]]:
    """Plotly figures in light colours, and tables with the data of every figure, all by `task/name`.

    Every pair's paradigms are drawn; of other figures with several views, the first. Curves of stages are not here:
    each job's own run has those.
    """
    import plotly.graph_objects as go  # the page draws plain data, see `figures.drawing`

    plots: dict[str, Plot] = {}
    tables: dict[str, Table] = {}
    for pages in pages_of(library, wanted)[0]:
        task = pages.section.task
        for figure in pages.placed().values():
            several = figure.key == "paradigms"
            for view in figure.views if several else figure.views[:1]:
                name = f"{task}/{figure.key}" + (f"/{view.label}" if several else "")
                layout = {**view.plot["layout"], "template": {"layout": STYLE}}
                plots[name] = resolve(go.Figure({**view.plot, "layout": layout}).to_dict())
            rows = [row for view in figure.views for row in figure.table(view)]
            tables[f"{task}/{figure.key}"] = (figure.columns, rows)
        tables |= {f"{task}/{name}": table for name, table in _tables(pages)}
    return plots, tables


def _tables(pages: Pages) -> Iterator[tuple[str, Table]]:
    jobs = []
    for line, job in zip(pages.runs.jobs, pages.section.jobs, strict=True):
        parts = [job.row[part] or {} for part in PARTS]
        jobs.append([*(line[name] for name in OF_JOB), *(part.get(end) for part in parts for end in ENDS)])
    names = [part if end == "value" else f"{part} {end}" for part in PARTS for end in ENDS]
    yield "jobs", ([*OF_JOB, *names], jobs)
    yield "stages", (OF_STAGE, [[line[name] for name in OF_STAGE] for line in pages.runs.stages])
    if verdicts := pages.section.content.get("verdicts"):
        yield "claims", (OF_CLAIM, [[one.get(name) for name in OF_CLAIM] for one in verdicts])
