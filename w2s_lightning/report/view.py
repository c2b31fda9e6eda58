"""All pages of all sections, ready to be written as HTML or as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from w2s_lightning.report.examples import Examples
from w2s_lightning.report.figures import Figure, Parts
from w2s_lightning.report.pages.agreement import agreement
from w2s_lightning.report.pages.overview import Overview, overview
from w2s_lightning.report.pages.paradigms import Paradigms, paradigms
from w2s_lightning.report.pages.rewardbench import rewardbench
from w2s_lightning.report.pages.runs import Runs, runs
from w2s_lightning.report.pages.scaling import scaling
from w2s_lightning.report.pages.training import Training, training
from w2s_lightning.report.payload import Inspector
from w2s_lightning.report.records import Section
from w2s_lightning.report.sources import Library, Wanted
from w2s_lightning.results.stored import Fault

PAGES = ("overview", "paradigms", "scaling", "agreement", "training", "examples", "rewardbench", "runs")


@dataclass(frozen=True)
class View:
    """One section's pages; what has nothing to show is None."""

    section: Section
    overview: Overview
    paradigms: Paradigms | None
    scaling: Parts
    agreement: Parts
    training: Training | None
    inspector: Mapping[str, Any]
    rewardbench: tuple[Figure, ...]
    runs: Runs
    faults: tuple[Fault, ...]

    def figures(self) -> dict[str, Figure]:
        """Every figure by its place, `page/key`."""
        by_page: dict[str, Sequence[Figure | str | None]] = {
            "overview": (self.overview.matrix_figure, self.overview.arms),
            "paradigms": (self.paradigms.figure,) if self.paradigms else (),
            "scaling": self.scaling,
            "agreement": self.agreement,
            "training": self.training.parts if self.training else (),
            "rewardbench": self.rewardbench,
        }
        return {f"{page}/{f.key}": f for page, parts in by_page.items() for f in parts if isinstance(f, Figure)}


class Desk:
    """Makes views again and again, keeping what it has read and computed in between."""

    def __init__(self) -> None:
        self.library = Library()
        self._examples = Examples()
        self._inspector = Inspector()

    def views(self, wanted: Wanted, claims: Mapping[str, str]) -> tuple[list[View], list[pa.Table]]:
        """The views of all sections, and the rows of every finished job; raise UserError for bad folders."""
        views, tables = [], []
        for section in self.library.sections(wanted):
            self._examples.faults = []
            view, rows = self._view(section, claims)
            views.append(view)
            tables += rows
        return views, tables

    def _view(self, section: Section, claims: Mapping[str, str]) -> tuple[View, list[pa.Table]]:
        pool, examples = self.library.pool(section), self._examples
        inspector, rows = self._inspector.payload(section, pool, examples)
        view = View(
            section=section,
            overview=overview(section, claims),
            paradigms=paradigms(section, pool),
            scaling=scaling(section),
            agreement=agreement(section, pool),
            training=training(section, examples),
            inspector=inspector,
            rewardbench=tuple(figure for figure in (rewardbench(section, pool),) if figure),
            runs=runs(section),
            faults=(),
        )
        faults = dict.fromkeys([*section.faults(), *examples.faults])
        return View(**{**vars(view), "faults": tuple(faults)}), rows
