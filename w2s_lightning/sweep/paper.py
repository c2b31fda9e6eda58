"""`run=plan` for a sweep: jobs, stages, what is shared, what is in the store, and what the rest costs. Runs nothing."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.cost import HERE, Cost, Rate, total
from w2s_lightning.refs import UNRESOLVED
from w2s_lightning.show.words import counted, size
from w2s_lightning.stage import Stage
from w2s_lightning.stages import Fit, FolderWeights, HubWeights, Label
from w2s_lightning.sweep.grid import Grid

KINDS = ("pretrain", "fit", "label", "select", "evaluate")


@dataclass(frozen=True)
class Paper:
    """The unique stages of a grid: how many jobs use each, what each costs, and whether it is in the store."""

    num_jobs: int
    num_done: int
    stages: tuple[Stage, ...]
    uses: dict[str, int]
    stored: dict[str, bool]
    costs: dict[str, Cost]

    def missing(self, kind: str | None = None) -> list[Cost]:
        """Costs of what is to be computed."""
        chosen = [s for s in self.stages if kind in (None, s.kind) and not self.stored[s.digest]]
        return [self.costs[s.digest] for s in chosen]


def on_paper(grid: Grid, has: Callable[[Stage], bool], num_done: int, rate: Rate) -> Paper:
    """Count and price a grid's stages."""
    uses: Counter[str] = Counter()
    stages: dict[str, Stage] = {}
    costs: dict[str, Cost] = {}
    for job in grid.jobs:
        for stage in job.plan.stages:
            uses[stage.digest] += 1
            if stage.digest not in stages:
                stages[stage.digest] = stage
                costs[stage.digest] = job.cost(stage, rate)
    stored = {digest: has(stage) for digest, stage in stages.items()}
    return Paper(len(grid.jobs), num_done, tuple(stages.values()), dict(uses), stored, costs)


def show_plan(console: Console, paper: Paper, rate: Rate, slots: int) -> None:
    """A line a kind of stage, and the sum; on a named accelerator the slots are part of its name."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("kind", no_wrap=True)
    for column in ("uses", "unique", "stored", "to do", "FLOPs", "time", "disk"):
        table.add_column(column, justify="right", no_wrap=True)
    for kind in KINDS:
        own = [stage for stage in paper.stages if stage.kind == kind]
        if own:
            table.add_row(kind, *_figures(paper, own, kind))
    console.print(table)
    price = total(paper.missing())
    where = f"on {slots} cores of this machine" if rate is HERE else f"on {rate.name}"
    for line in (
        f"{counted(paper.num_jobs, 'job')} ({paper.num_done} done) ask for {sum(paper.uses.values())} stages, "
        f"{len(paper.stages)} of them different, {len(paper.missing())} to compute",
        f"about {price.flops:.1e} FLOPs, {in_time(price.seconds / slots)} {where}, {size(price.bytes)} of disk",
        *_doubts(paper.stages),
    ):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _figures(paper: Paper, own: Sequence[Stage], kind: str) -> list[str]:
    missing = paper.missing(kind)
    price = total(missing)
    asked = sum(paper.uses[stage.digest] for stage in own)
    counts = [asked, len(own), len(own) - len(missing), len(missing)]
    return [*map(str, counts), f"{price.flops:.1e}", in_time(price.seconds), size(price.bytes)]


def in_time(seconds: float) -> str:
    """`37 s`, `4.2 min`, `13 hours`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.3g} hours"


def _doubts(stages: Sequence[Stage]) -> list[str]:
    """What the figures do not know."""
    hub = [w for w in map(_weights, stages) if isinstance(w, HubWeights | FolderWeights)]
    doubts = ["FLOPs of hub models and folders go by their parameters alone, without attention"] if hub else []
    if any(isinstance(w, HubWeights) and w.commit == UNRESOLVED for w in hub):
        doubts.append("hub commits could not be looked up: digests are not final")
    return [f"note: {doubt}" for doubt in doubts]


def _weights(stage: Stage) -> object:
    if isinstance(stage, Label):
        return stage.source.weights
    return stage.weights if isinstance(stage, Fit) else None
