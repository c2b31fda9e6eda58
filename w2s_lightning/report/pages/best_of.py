"""Best of n: the models as verifiers of samples, where jobs were judged so: accuracy of the pick against n."""

from collections.abc import Mapping, Sequence
from typing import Any

from w2s_lightning.report.figures import Cell, Figure, Variant
from w2s_lightning.report.plots import Plot, layout, line, plain, titled
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import SYMBOLS
from w2s_lightning.report.words import counted, interval, mean, number

COLUMNS = ("cell", "row", "n", "value", "low", "high", "seeds")
_ROLES = ("untuned", "floor", "student", "ceiling")
_BESIDE = {"maj@n": "majority", "pass@n": "pass"}
_LOOKS = {
    **{role: {"colour": f"@{role}", "symbol": SYMBOLS[role], "dash": "solid"} for role in _ROLES},
    "maj@n": {"colour": "@muted", "symbol": "circle", "dash": "dash"},
    "pass@n": {"colour": "@muted", "symbol": "circle-open", "dash": "dot"},
}
Part = Mapping[str, Any]


def best_of(section: Section) -> Figure | None:
    """A view for every group whose jobs picked from the same samples, None when none did."""
    views = [view for group in section.finished if (view := _view(group))]
    note = "Expected over all subsets of n samples of a question, the vote (maj@n) alike; means over seeds."
    return Figure("best_of", "Best of n samples", COLUMNS, tuple(views), note, "cell") if views else None


def _view(group: Group) -> Variant | None:
    judged = [(job, (job.result or {}).get("best_of")) for job in group.done]
    found = [_parts(picked, job.student) for job, picked in judged if picked]
    if not found or any(one["maj@n"] != found[0]["maj@n"] for one in found):  # other samples have another vote
        return None
    names = [name for name in _LOOKS if all(name in one for one in found)]
    sizes = [n for n in found[0][names[0]] if all(n in one[names[0]] for one in found)]
    lines = {name: [_pooled([one[name][n] for one in found]) for n in sizes] for name in names}
    rows: list[list[Cell]] = [
        [group.title, name, n, part["value"], part.get("low"), part.get("high"), len(found)]
        for name, parts in lines.items()
        for n, part in zip(sizes, parts, strict=True)
    ]
    ticks = {"type": "log", "tickvals": sizes, "ticktext": [str(n) for n in sizes]}
    drawn = layout(380, xaxis=titled("n, samples to pick from", **ticks), yaxis=titled("accuracy of the pick"))
    traces = [_trace(name, sizes, parts) for name, parts in lines.items()]
    return Variant(group.title, {"data": traces, "layout": drawn}, rows, _reading(group, found, lines, sizes[-1]))


def _parts(found: Part, student: str) -> dict[str, dict[int, Part]]:
    """By row and n: the roles' accuracies, and what stands beside them."""
    own: dict[str, dict[int, Part]] = {}
    for point in found["curve"]:
        for role in _ROLES:
            row = student if role == "student" else role
            if row in point["accuracy"]:
                own.setdefault(role, {})[point["n"]] = point["accuracy"][row]
        for name, key in _BESIDE.items():
            own.setdefault(name, {})[point["n"]] = point[key]
    return own


def _pooled(parts: Sequence[Part]) -> Part:
    """One seed's interval, or the mean over seeds, without one."""
    return parts[0] if len(parts) == 1 else {"value": mean([part["value"] for part in parts])}


def _trace(name: str, sizes: Sequence[int], parts: Sequence[Part]) -> Plot:
    hover = [f"{plain(name)}, n = {n}<br>{interval(part)}" for n, part in zip(sizes, parts, strict=True)]
    return line(name, sizes, [part["value"] for part in parts], _LOOKS[name], hover)


def _reading(group: Group, found: Sequence[Any], lines: Mapping[str, Sequence[Part]], n: int) -> str:
    ends = {name: number(parts[-1]["value"]) for name, parts in lines.items()}
    told = [f"{name} {ends[name]}" for name in ("floor", "student", "ceiling") if name in ends]
    pgr = _pgr(group)
    gained = f" PGR {pgr}." if pgr else ""
    seeds = f" over {counted(len(found), 'seed')}" if len(found) > 1 else ""
    return f"{group.title}: best of {n}{seeds}: {', '.join(told)}; maj@{n} {ends['maj@n']}.{gained}"


def _pgr(group: Group) -> str:
    """The student's PGR at the largest n, of a group with one job."""
    if len(group.done) != 1 or group.done[0].result is None:
        return ""
    pgr = group.done[0].result["best_of"]["curve"][-1]["pgr"].get(group.done[0].student)
    return "" if pgr is None else interval(pgr) if pgr["defined"] else "undefined"
