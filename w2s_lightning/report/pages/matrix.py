"""PGR as a grid: weak x strong, or pairs x whatever else varied; every cell says why it has no plain number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.report.figures import Cell, Figure, Variant
from w2s_lightning.report.plots import Plot, layout, plain
from w2s_lightning.report.records import Group
from w2s_lightning.report.words import counted, interval, listed, number

STEPS = 10  # shades on each side of 0
COLUMNS = ("task", "arm", "weak", "strong", "pgr", "low", "high", "seeds", "expected", "state", "reason")


@dataclass(frozen=True)
class Square:
    """One cell: `state` is defined, undefined, failed, running, waiting or absent, `shade` is -STEPS to STEPS, `seeds`
    says how many of them are there when some are missing."""

    state: str
    text: str
    below: str
    seeds: str
    shade: int
    tip: str
    group: Group | None


@dataclass(frozen=True)
class Matrix:
    """A grid with its labels; `corner` says what rows and columns are."""

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Square, ...]], ...]


def matrix_of(groups: Sequence[Group]) -> Matrix:
    """Weak x strong where only the pair varies, else pairs against arms, the shorter list as columns."""
    arms, pairs = _distinct(group.arm for group in groups), _distinct(group.pair for group in groups)
    if len(arms) == 1:
        by_size = {(str(group.row["weak"]), str(group.row["strong"])): group for group in groups}
        weak, strong = _distinct(key[0] for key in by_size), _distinct(key[1] for key in by_size)
        return _grid("weak ↓ strong →", weak, strong, by_size)
    if len(arms) <= len(pairs):
        return _grid("pair", pairs, arms, {(group.pair, group.arm): group for group in groups})
    return _grid("", arms, pairs, {(group.arm, group.pair): group for group in groups})


def _distinct(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _grid(corner: str, rows: Sequence[str], columns: Sequence[str], cells: dict[tuple[str, str], Group]) -> Matrix:
    lines = tuple((row, tuple(square_of(cells.get((row, column))) for column in columns)) for row in rows)
    return Matrix(corner, tuple(columns), lines)


def square_of(group: Group | None) -> Square:
    """What one cell shows, and the whole story for those who point at it."""
    if group is None:
        return Square("absent", "", "", "", 0, "not part of the sweep", None)
    row, pgr, state = group.row, group.row["pgr"], state_of(group)
    seeds = "" if row["n"] == row["expected"] else f"{row['n']} of {row['expected']} seeds"
    tip = f"{group.title}: {_told(group, state)}"
    if state == "defined":
        below = f"{number(pgr['low'], 2)} to {number(pgr['high'], 2)}"
        shade = round(max(-1.0, min(1.0, pgr["value"])) * STEPS)
        return Square(state, number(pgr["value"], 2), below, seeds, shade, tip, group)
    return Square(state, state, "", seeds, 0, tip, group)


def state_of(group: Group) -> str:
    """What stands in the cell: its PGR, or why there is none."""
    if group.row["n"]:
        return "defined" if group.row["pgr"]["defined"] else "undefined"
    states = [lost["state"] for lost in group.row["missing"]]
    return next((state for state in ("failed", "running") if state in states), "waiting")


def _told(group: Group, state: str) -> str:
    row, pgr = group.row, group.row["pgr"]
    parts = []
    if state == "defined":
        parts.append(f"PGR {interval(pgr, 2)} over {counted(row['n'], 'seed')}")
        parts += [pgr["reason"]] if pgr["reason"] else []
    elif state == "undefined":
        parts.append(f"PGR is undefined: {pgr['reason']}")
    else:
        parts.append(state)
    parts += [_lost(reason, [one for one in row["missing"] if _why(one) == reason]) for reason in _whys(group)]
    if row["cheats"]:
        parts.append(f"CHEAT: it used hidden gold ({', '.join(row['cheats'])})")
    return "; ".join(parts)


def _whys(group: Group) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_why(lost) for lost in group.row["missing"]))


def _why(lost: Mapping[str, Any]) -> tuple[str, str]:
    return str(lost["state"]), str(lost["reason"] or "")


def _lost(why: tuple[str, str], lost: Sequence[Mapping[str, Any]]) -> str:
    """What became of seeds without a result, told once for equal reasons."""
    state, reason = why
    word = "seed" if len(lost) == 1 else "seeds"
    return f"{word} {listed((str(one['seed']) for one in lost), 8)} {state}" + (f": {reason}" if reason else "")


def reasons(groups: Sequence[Group]) -> tuple[str, ...]:
    """The stories of cells that are more than a number: undefined, failed, incomplete, by construction, cheats."""
    ordinary = ("defined", None, True, ())
    told = [(square_of(group), group.row) for group in groups]
    return tuple(
        square.tip
        for square, row in told
        if (square.state, row["pgr"]["reason"], row["n"] == row["expected"], tuple(row["cheats"])) != ordinary
    )


def matrix_figure(groups: Sequence[Group]) -> Figure:
    """The grid's numbers as data."""
    rows: list[list[Cell]] = []
    for group in groups:
        row, pgr = group.row, group.row["pgr"]
        known: list[Cell] = [row["task"], group.arm, row["weak"], row["strong"], pgr["value"], pgr["low"], pgr["high"]]
        rows.append([*known, row["n"], row["expected"], state_of(group), pgr["reason"]])
    return Figure("matrix", "Performance gap recovered", COLUMNS, (Variant("", None, rows, reading(groups)),), NOTE)


NOTE = (
    "PGR = (student − floor) / (ceiling − floor): 0 is no better than the weak model trained on gold labels (floor), 1 "
    "as good as the strong one (ceiling). A ratio of means over seeds, with its 95 % interval over seeds and test "
    "examples (of one seed: over test examples, for these trained models). Undefined where the interval of "
    "ceiling − floor reaches 0; never clipped."
)


def reading(groups: Sequence[Group]) -> str:
    """What the grid says, in one sentence."""
    defined = [group for group in groups if state_of(group) == "defined"]
    others = [state_of(group) for group in groups if state_of(group) != "defined"]
    rest = [f"{others.count(state)} {state}" for state in dict.fromkeys(others)]
    tail = f" ({', '.join(rest)})" if rest else ""
    if not defined:
        return f"No cell has a PGR{tail}." if groups else "There is no cell yet."
    if len(defined) == 1:
        group = defined[0]
        return f"PGR is {interval(group.row['pgr'], 2)} for {group.title}{tail}."
    low, *_, high = sorted(defined, key=lambda group: float(group.row["pgr"]["value"]))
    above = sum(group.row["pgr"]["low"] > 0 for group in defined)
    ends = [f"{number(group.row['pgr']['value'], 2)} ({group.title})" for group in (low, high)]
    whole = f"all {above}" if above == len(defined) else f"{above} of {len(defined)}"
    lie = "lies" if above == 1 else "lie"
    return f"PGR runs from {ends[0]} to {ends[1]}; {whole} intervals {lie} wholly above 0{tail}."


def matrix_plot(matrix: Matrix) -> Plot:
    """The grid as a Plotly heat map, for places that show figures and not this page."""
    squares = [row for _, row in matrix.rows]
    shades = [[None if square.state != "defined" else square.shade / STEPS for square in row] for row in squares]
    texts = [[plain(f"{square.text} {square.below}".strip()) for square in row] for row in squares]
    scale = [[0, "@floor"], [0.5, "@surface"], [1, "@student"]]
    drawn = {"type": "heatmap", "z": shades, "text": texts, "texttemplate": "%{text}", "xgap": 3, "ygap": 3}
    look = {"colorscale": scale, "zmin": -1, "zmax": 1, "showscale": False, "hoverinfo": "text"}
    tips = [[plain(square.tip) for square in row] for row in squares]
    named = {"x": [plain(name) for name in matrix.columns], "y": [plain(name) for name, _ in matrix.rows]}
    axes = {"xaxis": {"side": "top", "showgrid": False}, "yaxis": {"autorange": "reversed", "showgrid": False}}
    height = 60 + 70 * len(squares)
    return {"data": [{**drawn, **look, **named, "hovertext": tips}], "layout": layout(height, **axes)}
