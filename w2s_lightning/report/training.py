"""Training: gold accuracy and agreement with the own targets pass by pass, and any stage's curves.

Gold accuracy on `validation` is a diagnostic joined after the fact: no fit ever saw it.
"""

from collections.abc import Sequence
from typing import Any

from w2s_lightning.report.figures import Figure, Plot, Row, View, axis, drawing, guide
from w2s_lightning.report.records import Group, JobRecord, Section
from w2s_lightning.results.pooled import Pass, Pooled, mean_passes
from w2s_lightning.show.numbers import number

WITHOUT = "The jobs of this sweep have written no examples, so gold on validation is not known here."
WITHOUT_ANSWERS = (
    "The fits of this sweep answered no validation examples on the way (a task of worked solutions, or "
    "fit.evaluations=0): there is only the loss, below."
)

Seeded = list[tuple[Any, list[Pass]]]


def training(section: Section) -> list[Figure | str]:
    """The page of a section with results: a figure where gold is known, or why it is not."""
    if views := [view for group in section.finished if (view := _passes(group, section.pooled))]:
        return [Figure("passes", views)]
    written = any(job.texts for group in section.finished for job in group.done)
    return [WITHOUT_ANSWERS if written else WITHOUT]


def _passes(group: Group, pooled: Pooled) -> View | None:
    students, ceilings = (_of_seeds(group, name, pooled) for name in (group.student, "ceiling"))
    if not students:
        return None
    rows: list[Row] = [
        {"cell": group.title, "seed": seed, "row": name, **vars(one)}
        for name, seeded in (("student", students), ("ceiling", ceilings))
        for seed, passes in seeded
        for one in passes
    ]
    traces = [
        *_lines("student, gold accuracy", students, "gold", "student", "solid"),
        *_lines("student, agreement with its targets", students, "agreement", "floor", "dash"),
        *_lines("ceiling, gold accuracy", ceilings, "gold", "ceiling", "dot"),
    ]
    axes = {"xaxis": axis("epochs", rangemode="tozero"), "yaxis": axis("share of validation examples")}
    mean = mean_passes([passes for _, passes in students])
    ends = f"{number(mean[0].gold)} to {number(mean[-1].gold)}" if mean else "seeds differ in their number of passes"
    reading = f"Mean gold accuracy of the student of {group.title}, from the first pass to the last: {ends}."
    return View(group.title, rows, drawing(traces, 420, **axes), reading)


def _of_seeds(group: Group, name: str, pooled: Pooled) -> Seeded:
    found: Seeded = []
    for job in group.done:
        digest = pooled.fit(job.result, name) if job.result and job.texts else None
        passes = pooled.passes(digest, job.texts.validation_gold) if digest and job.texts else []
        found += [(job.row["seed"], passes)] if passes else []
    return found


def _lines(name: str, seeded: Seeded, field: str, colour: str, dash: str) -> list[Plot]:
    """Every seed as a faint line; a thick one for their mean, where all made equally many passes."""
    known = [passes for _, passes in seeded if all(getattr(one, field) is not None for one in passes)]
    mean, token = mean_passes(known), f"var(--{colour})"
    # All seeds in one trace, whose gaps part them: there are many.
    faint = [one for passes in known for one in (*passes, None)]
    x, y = ([None if one is None else getattr(one, what) for one in faint] for what in ("epoch", field))
    found = [guide(x, y, token, 1, opacity=0.3 if mean else 1.0)] if known else []
    if not mean:
        return found
    x, y = ([getattr(one, what) for one in mean] for what in ("epoch", field))
    hover = [f"{name}<br>{number(value)} at epoch {epoch:.2f}" for epoch, value in zip(x, y, strict=True)]
    line = {"color": token, "width": 2, "dash": dash}
    marked = {"mode": "lines+markers", "marker": {"color": token, "size": 9}, "line": line}
    return [
        *found,
        {"type": "scatter", "name": name, "x": x, "y": y, **marked, "hoverinfo": "text", "hovertext": hover},
    ]


# ---------------------------------------------------------------- every stage's curve


def stage_curves(section: Section) -> dict[str, Any]:
    """All fits and pretrained models with their curves, and who needs them, each once, for the page to overlay."""
    used: dict[str, tuple[dict[str, Any], list[JobRecord]]] = {}
    roles: dict[str, str] = {}
    for job in section.jobs:
        for stage in job.stages:
            if stage["kind"] in ("fit", "pretrain"):
                used.setdefault(stage["digest"], (dict(stage), []))[1].append(job)
        for row in job.result["rows"] if job.result else ():
            digest = section.pooled.fit(job.result, row["name"]) if job.result else None
            of_record = job.result and row["name"] == job.result["student_of_record"]
            roles.setdefault(str(digest), "student" if of_record else row["name"])
    found = []
    for digest, (stage, jobs) in used.items():
        curve = _curve(section.pooled.reader.history(digest))
        gold = section.pooled.passes(digest, jobs[0].texts.validation_gold) if jobs[0].texts else []
        if gold:
            pairs = [(round(one.share, 4), round(one.gold, 4)) for one in gold]
            curve["validation_gold_accuracy"] = [list(values) for values in zip(*pairs, strict=True)]
        if curve:
            by = section.title_of(jobs[0]) + (f" and {len(jobs) - 1} more" if len(jobs) > 1 else "")
            head = {"kind": stage["kind"], "label": stage["label"], "id": digest[:10], "role": roles.get(digest, "")}
            found.append({**head, "jobs": by, "curve": curve})
    return {"stages": found, "metrics": list(dict.fromkeys(name for one in found for name in one["curve"]))}


def _curve(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`{"loss": [[share of training, ...], [value, ...]], ...}` of whatever a history holds, to four digits."""
    last = max((row["step"] for row in history), default=1)
    found: dict[str, list[list[float]]] = {}
    for row in history:
        for name, value in row.items():
            if name not in ("step", "fraction", "tokens", "lr") and isinstance(value, int | float):
                x, y = found.setdefault(name, [[], []])
                x.append(round(row["step"] / last, 4))
                y.append(float(f"{value:.4g}"))
    return found
