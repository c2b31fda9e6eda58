"""Training: does the student overfit its supervisor, what would an oracle stop have gained, and any stage's curves.

Gold accuracy on `validation` is a diagnostic made here, after the fact: no fit ever saw it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.report.examples import Examples
from w2s_lightning.report.figures import Cell, Figure, Parts, Variant, single
from w2s_lightning.report.lineage import Passes, curve_of, fit_of, passes_of
from w2s_lightning.report.pages.overview import ROW_HEIGHT, row_labels
from w2s_lightning.report.plots import Plot, categories, dots, layout, line, marks, plain, quiet, titled
from w2s_lightning.report.records import Group, Job, Section
from w2s_lightning.report.words import counted, mean, number, signed

PASS_COLUMNS = ("cell", "seed", "row", "epoch", "gold accuracy", "agreement with its targets")
STOP_COLUMNS = ("pair", "arm", "seed", "last", "best", "gain", "epoch of the best")
WITHOUT = "The jobs of this sweep have written no examples, so gold on validation is not known here."
WITHOUT_ANSWERS = (
    "The fits of this sweep answered no validation examples on the way (a task of worked solutions, or "
    "fit.evaluations=0): there is only the loss, below."
)

GOLD_CURVE = "validation_gold_accuracy"

Seeded = list[tuple[Any, Passes]]


@dataclass(frozen=True)
class Training:
    """Two figures, where gold is known, and the curves of all stages for the page to overlay."""

    parts: Parts
    curves: dict[str, Any]


def training(section: Section, examples: Examples) -> Training | None:
    """The page of a section, None without a result."""
    if not section.finished:
        return None
    known = [(group, found) for group in section.finished if (found := _students(section, group, examples))]
    views = [_view(section, group, found, examples) for group, found in known]
    note = "Faint lines are seeds. The agreement is with the targets that the fit had, its supervisor's answers."
    if not views:
        written = any(examples.of(job.folder) for group in section.finished for job in group.done)
        return Training((WITHOUT_ANSWERS if written else WITHOUT,), _curves(section, examples))
    passes = Figure("passes", "Gold accuracy during training", PASS_COLUMNS, tuple(views), note, "cell")
    return Training((passes, _stops(known)), _curves(section, examples))


def _students(section: Section, group: Group, examples: Examples) -> Seeded:
    return _passes(section, group, group.done[0].student, examples)


def _passes(section: Section, group: Group, name: str, examples: Examples) -> Seeded:
    found = []
    for job in group.done:
        digest = fit_of(section.shelf, job, name)
        one = passes_of(section.shelf, digest, examples.of(job.folder)) if digest else None
        if one is not None:
            found.append((job.seed, one))
    return found


# ---------------------------------------------------------------- gold accuracy during training


def _view(section: Section, group: Group, students: Seeded, examples: Examples) -> Variant:
    ceilings = _passes(section, group, "ceiling", examples)
    traces = [
        *_lines("student, gold accuracy", students, "gold", "@student", "solid"),
        *_lines("student, agreement with its targets", students, "agreement", "@floor", "dash"),
        *_lines("ceiling, gold accuracy", ceilings, "gold", "@ceiling", "dot"),
    ]
    axes = {"xaxis": titled("epochs", rangemode="tozero"), "yaxis": titled("share of validation examples")}
    named = (("student", students), ("ceiling", ceilings))
    rows: list[list[Cell]] = [
        [group.title, seed, name, epoch, gold, agreement]
        for name, seeded in named
        for seed, one in seeded
        for epoch, gold, agreement in zip(one.epochs, one.gold, one.agreement, strict=True)
    ]
    return Variant(group.title, {"data": traces, "layout": layout(420, **axes)}, rows, _reading(group, students))


def _lines(name: str, seeded: Seeded, field: str, colour: str, dash: str) -> list[Plot]:
    """Every seed as a faint line; a thick one for their mean, pass by pass, where all made equally many."""
    columns = [(one.epochs, getattr(one, field)) for _, one in seeded if None not in getattr(one, field)]
    if not columns or len({len(x) for x, _ in columns}) > 1:
        return [quiet(x, y, colour, 1) for x, y in columns]
    epochs, means = (
        [sum(values) / len(values) for values in zip(*axis, strict=True)] for axis in zip(*columns, strict=True)
    )
    hover = [f"{name}<br>{number(value)} at epoch {epoch:.2f}" for epoch, value in zip(epochs, means, strict=True)]
    faint = [quiet(x, y, f"{colour}/30", 1) for x, y in columns]
    return [*faint, line(name, epochs, means, {"colour": colour, "symbol": "circle", "dash": dash}, hover)]


def _reading(group: Group, students: Seeded) -> str:
    fits = [one for _, one in students]
    ends = f"{group.title}: the student's gold accuracy ends at {number(mean([one.gold[-1] for one in fits]))}"
    if all(len(one.gold) == 1 for one in fits):
        return f"{ends}; it was looked at once, at the end (fit.evaluations)."
    gain = mean([max(one.gold) - one.gold[-1] for one in fits])
    gained = f"an oracle stop would have gained {number(gain) if gain else 'nothing'} on average"
    agreed = [one.agreement for one in fits if None not in one.agreement]
    if not agreed:
        return f"{ends}; {gained}."
    first, last = (number(mean([one[place] or 0.0 for one in agreed]), 2) for place in (0, -1))
    return f"{ends}; {gained}. Its agreement with its targets goes from {first} to {last}."


# ---------------------------------------------------------------- what an oracle stop would have gained


def _stops(known: Sequence[tuple[Group, Seeded]]) -> Figure:
    places = list(range(len(known), 0, -1))
    gains = [[max(one.gold) - one.gold[-1] for _, one in seeded] for _, seeded in known]
    means = [sum(own) / len(own) for own in gains]
    hover = [f"{plain(group.title)}<br>{signed(mean)}" for (group, _), mean in zip(known, means, strict=True)]
    seeds = [(gain, place) for own, place in zip(gains, places, strict=True) for gain in own]
    name = "mean over seeds"
    traces = [marks(name, means, places, "@student", "diamond", hover), dots(name, seeds, "@student")]
    labels = row_labels([group for group, _ in known])
    most = max([0.01, *(gain for own in gains for gain in own)])
    gained = titled("best validation pass − last one, gold accuracy", range=[-0.04 * most, 1.08 * most])
    drawn = layout(76 + round(0.7 * ROW_HEIGHT) * len(known), xaxis=gained, yaxis=categories(places, labels))
    rows = [_stop_row(group, seed, one) for group, seeded in known for seed, one in seeded]
    plot, title = {"data": traces, "layout": drawn}, "What an oracle stop would have gained"
    return single("stops", title, _stop_reading(known, means), STOP_COLUMNS, rows, plot, ORACLE)


ORACLE = (
    "An oracle stop reads hidden gold: it is no way to train. The best of several passes is partly luck, so gains "
    "overstate what a stop could give."
)


def _stop_row(group: Group, seed: Any, one: Passes) -> list[Cell]:
    best = max(range(len(one.gold)), key=lambda place: one.gold[place])
    head: list[Cell] = [group.pair, group.arm, seed, one.gold[-1], one.gold[best]]
    return [*head, one.gold[best] - one.gold[-1], one.epochs[best]]


def _stop_reading(known: Sequence[tuple[Group, Seeded]], means: Sequence[float]) -> str:
    fits = [one for _, seeded in known for _, one in seeded]
    early = sum(max(one.gold) > one.gold[-1] for one in fits)
    if not early:
        return f"None of {counted(len(fits), 'student')} was better at an earlier pass than at the end."
    most = max(zip(means, (group for group, _ in known), strict=True), key=lambda item: item[0])
    were = "was" if early == 1 else "were"
    return (
        f"{early} of {counted(len(fits), 'student')} {were} better at an earlier pass than at the end; "
        f"the largest mean gain is {number(most[0])} ({most[1].title})."
    )


# ---------------------------------------------------------------- every stage's curve


def _curves(section: Section, examples: Examples) -> dict[str, Any]:
    """All fits and pretrained models with their curves, and who needs them; each once. Gold is joined here."""
    stages: dict[str, dict[str, Any]] = {}
    for job in section.jobs:
        for stage in (job.result or {}).get("stages") or ():
            if stage["kind"] in ("fit", "pretrain"):
                entry = {"kind": stage["kind"], "label": stage["label"], "jobs": [], "folder": job.folder}
                stages.setdefault(stage["digest"], entry)["jobs"].append(job.title)
    roles = _roles(section)
    found = []
    for digest, entry in stages.items():
        curve, used = curve_of(section.shelf.history(digest)), entry["jobs"]
        gold = passes_of(section.shelf, digest, examples.of(entry.pop("folder")))
        if gold is not None:
            curve[GOLD_CURVE] = [[round(x, 4) for x in gold.shares], [round(y, 4) for y in gold.gold]]
        if curve:
            by = used[0] if len(used) == 1 else f"{used[0]} and {len(used) - 1} more"
            found.append({**entry, "id": digest[:10], "role": roles.get(digest, ""), "jobs": by, "curve": curve})
    metrics = dict.fromkeys(name for one in found for name in one["curve"])
    return {"stages": found, "metrics": list(metrics)}


def _roles(section: Section) -> dict[str, str]:
    roles: dict[str, str] = {}
    for job in section.jobs:
        for row in job.rows:
            digest = fit_of(section.shelf, job, row["name"])
            if digest:
                roles.setdefault(digest, _role(job, row["name"]))
    return roles


def _role(job: Job, name: str) -> str:
    return "student" if name == job.student else name
