"""What `run=plan` prints: a job's stages or a grid's, what is stored, and what the rest would cost."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from w2s_lightning.cost import HERE, Cost, Rate, total
from w2s_lightning.identity import Stage
from w2s_lightning.plan import Plan
from w2s_lightning.refs import UNRESOLVED, UNRESOLVED_TOLD
from w2s_lightning.show.numbers import counted, job_title, seconds, size, split_sizes
from w2s_lightning.show.terminal import print_lines, print_table
from w2s_lightning.stages import FolderWeights, HubWeights, Label


def print_plan(console: Console, plan: Plan, stored: Mapping[str, bool], costs: Mapping[str, Cost], rate: Rate) -> None:
    """Stages in order with what is in the store and what the rest would cost; runs nothing.

    Names stay whole: where the terminal has no room, each stands on a line above its figures.
    """
    rows = [("stage", "kind", "digest", "FLOPs", "time", "disk", "store")]
    for stage in plan.stages:
        there, price = stored[stage.digest], costs[stage.digest]
        figures = ("", "", "") if there else (f"{price.flops:.1e}", seconds(price.seconds), size(price.bytes))
        rows.append((stage.label, stage.kind, stage.digest[:10], *figures, "there" if there else "missing"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + len(widths) <= console.width:
        print_table(console, rows[0], rows[1:], job_title(plan.name))
    else:
        print_lines(console, [job_title(plan.name), ""])
        for name, *cells in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True))
            print_lines(console, [name, f"    {line}".rstrip()])
        print_lines(console, [""])
    missing = [costs[stage.digest] for stage in plan.stages if not stored[stage.digest]]
    price, sizes = total(missing), plan.rows[0].evaluate.task.sizes()
    start = rate.start if missing else 0.0
    print_lines(
        console,
        [
            *([split_sizes(sizes)] if all(sizes.values()) else []),  # of the hub they are not known before a download
            f"{len(plan.stages)} stages, {len(plan.stages) - len(missing)} in the store, {len(missing)} to compute: "
            f"about {price.flops:.1e} FLOPs, {seconds(price.seconds + start)} on {rate.name} "
            f"({seconds(start + price.around)} of it to start, load and write), {size(price.bytes)} of disk",
            *(f"note: {notice}" for notice in plan.notices),
        ],
    )


KINDS = ("pretrain", "fit", "label", "select", "evaluate")


def print_grid_plan(
    console: Console,
    asked: Sequence[Stage],
    stored: Mapping[str, bool],
    costs: Mapping[str, Cost],
    *,
    jobs: str,
    rate: Rate,
    slots: int,
    launches: int,
    apart: bool = False,
) -> None:
    """A grid's stages by kind: how often its `jobs` ask for them, what is shared and stored, what the rest costs.

    Launches that stand `apart`, as on a cluster, are started from nothing: each imports everything for itself.
    """
    unique = {stage.digest: stage for stage in asked}
    missing = [stage for stage in unique.values() if not stored[stage.digest]]
    rows: list[tuple[object, ...]] = []
    for kind in KINDS:
        uses, own, left = (sum(stage.kind == kind for stage in some) for some in (asked, unique.values(), missing))
        price = total([costs[stage.digest] for stage in missing if stage.kind == kind])
        figures = (f"{price.flops:.1e}", seconds(price.seconds), size(price.bytes))
        rows += [(kind, uses, own, own - left, left, *figures)] if own else []
    whose = "processor time" if rate is HERE else "device time"
    print_table(console, ("kind", "uses", "unique", "stored", "to do", "FLOPs", whose, "disk"), rows)
    price, start = total([costs[stage.digest] for stage in missing]), rate.start if launches and not apart else 0.0
    begun = launches * (rate.start if apart else rate.launch)
    busy, around = price.seconds + begun, price.around + begun
    where = f"on {slots} cores of this machine" if rate is HERE else f"on {rate.name}"
    lines = [
        f"{jobs} ask for {len(asked)} stages, {len(unique)} of them different, {len(missing)} to compute in "
        f"{counted(launches, 'launch', 'launches')}: labels and evaluations go along with fits, jobs are scored",
        f"about {price.flops:.1e} FLOPs, {seconds(busy)} of {whose} "
        f"({seconds(around)} of it to start, load and write), {seconds(start + busy / slots)} {where}, "
        f"{size(price.bytes)} of disk",
    ]
    sources = [stage.source if isinstance(stage, Label) else stage for stage in unique.values()]
    weights = [getattr(source, "weights", None) for source in sources]
    if any(isinstance(one, HubWeights | FolderWeights) for one in weights):
        lines.append("note: FLOPs of hub models and folders go by their parameters alone, without attention")
    if any(isinstance(one, HubWeights) and one.commit == UNRESOLVED for one in weights):
        lines.append(f"note: {UNRESOLVED_TOLD}")
    print_lines(console, lines)
