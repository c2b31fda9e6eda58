"""Scaling: student and ceiling against the strong model's size, a line a supervisor; PGR against the gap."""

from collections.abc import Sequence

from w2s_lightning.report.figures import Figure, Plot, Row, View, axis, drawing, plain, series, shares, spread
from w2s_lightning.report.records import Group, JobRecord, Section
from w2s_lightning.report.theme import Look, nth, of_role
from w2s_lightning.results.pooled import gap_of
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.show.matrix import state_of
from w2s_lightning.show.numbers import listed

ONE_SIZE = "This sweep has one size of the strong model: `python train.py -m sweeps=size_pairs` has several."
NO_PGR = "No cell has a defined PGR, so there is nothing to draw against the gap: the overview says why."


def scaling(section: Section) -> list[Figure | str]:
    """The page of a section with results: figures, and sentences that stand where there is nothing to draw."""
    reader = section.pooled.reader
    known = [(group, size) for group in section.finished if (size := parameters(reader, group.done[0])) is not None]
    lost = [group.title for group in section.finished if all(group is not one for one, _ in known)]
    why = f"The number of parameters is not known of {listed(lost)}." if lost else ONE_SIZE
    several = len({group.row["strong"] for group, _ in known}) > 1
    return [_sizes(known, section.metric) if several else why, _gap(section.finished)]


def parameters(reader: StoreReader, job: JobRecord) -> float | None:
    """Parameters of the strong model: as its configuration states them, else as its pretraining counted them."""
    stated = job.config.get("strong.params")
    if isinstance(stated, int | float):
        return float(stated)
    for stage in job.stages:
        if stage["kind"] == "pretrain" and stage["label"].startswith(f"{job.row['strong']}-"):
            counted = reader.metrics(stage["digest"]).get("num_params")
            return None if counted is None else float(counted)
    return None


def _sizes(known: Sequence[tuple[Group, float]], metric: str) -> Figure:
    views = []
    for arm in dict.fromkeys(group.arm for group, _ in known):
        own = sorted(((group, size) for group, size in known if group.arm == arm), key=lambda item: item[1])
        rows: list[Row] = []
        for group, size in own:
            strong = {"strong": group.row["strong"], "parameters": size}
            for name, part in ((f"student of {group.row['weak']}", "student"), ("ceiling", "ceiling")):
                if all((row["row"], row["strong"]) != (name, strong["strong"]) for row in rows):
                    rows += [{**row, **strong} for row in group.rows(name, part)]
        rows.sort(key=lambda row: row["row"] == "ceiling")
        names = list(dict.fromkeys(row["row"] for row in rows))

        def look(name: str, names: Sequence[str] = names) -> Look:
            dotted = Look(of_role("ceiling").colour, of_role("ceiling").symbol, "dot")
            return dotted if name == "ceiling" else nth(names.index(name))

        lines = series(rows, "parameters", "value", by="row", looks=look, dots=("parameters", "seed's"), lines=True)
        bands = [_band([row for row in rows if row["row"] == name], look(name)) for name in names]
        ticks = {size: f"{plain(group.row['strong'])}<br>{_sized(size)}" for group, size in own}
        shown = {"type": "log", "tickvals": list(ticks), "ticktext": list(ticks.values())}
        height = axis(metric, range=shares(rows, "seed's"))
        plot = drawing([*bands, *lines], 430, xaxis=axis("parameters of the strong model", **shown), yaxis=height)
        students = [row for row in rows if row["row"] != "ceiling"]
        views.append(View(arm, rows, plot, spread("The student", students)))
    return Figure("sizes", views, "arm")


def _band(rows: Sequence[Row], look: Look) -> Plot:
    """An area between the lowest and the highest seed."""
    x = list(dict.fromkeys(row["parameters"] for row in rows))
    low, high = ([end(row["seed's"] for row in rows if row["parameters"] == size) for size in x] for end in (min, max))
    filled = {"fill": "toself", "fillcolor": look.colour, "opacity": 0.14, "hoverinfo": "skip", "showlegend": False}
    outline = {"x": [*x, *x[::-1]], "y": [*high, *low[::-1]], "mode": "none", "legendgroup": plain(rows[0]["row"])}
    return {"type": "scatter", **outline, **filled}


def _sized(size: float) -> str:
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g}{unit}"
    return f"{size:.0f}"


def _gap(groups: Sequence[Group]) -> Figure | str:
    several = len({group.arm for group in groups}) > 1
    rows: list[Row] = []
    for group in groups:
        floor, ceiling, pgr = (group.row[name] for name in ("floor", "ceiling", "pgr"))
        ends = {"floor": floor and floor["value"], "ceiling": ceiling and ceiling["value"]}
        gap, gaps = gap_of(group.row)
        known = {**ends, "gap": gap}
        told = {"state": state_of(group.row), "reason": pgr["reason"]}
        name = group.arm if several else f"from {group.row['weak']}"
        nothing = {"cell": group.title, "pair": group.pair, "arm": group.arm, "row": name, "value": None, "low": None}
        own = group.rows(name, "pgr") if pgr["defined"] else [{**nothing, "high": None, "seed": None, "seed's": None}]
        rows += [{**row, **known, **told, "_gap": one} for row, one in zip(own, [*gaps, None], strict=False)]
    drawn = [row for row in rows if row["value"] is not None]
    if not drawn:
        return NO_PGR
    names = list(dict.fromkeys(row["row"] for row in drawn))
    traces = series(
        drawn, "gap", "value", by="row", looks=lambda name: nth(names.index(name)), error="y", dots=("_gap", "seed's")
    )
    plot = drawing(traces, 400, xaxis=axis("gap: ceiling - floor"), yaxis=axis("PGR"))
    return Figure("gap", [View("", rows, plot, spread("PGR", drawn, digits=2))])
