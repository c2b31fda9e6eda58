"""A job's result: the table of all rows, what stands beside it, and what it says."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from w2s_lightning.results.benchmarked import sections_shown
from w2s_lightning.terminal.reading import reading
from w2s_lightning.terminal.words import broken, pgr_words, print_fitting, shown, title, with_interval


def print_result(console: Console, result: Mapping[str, Any]) -> None:
    """The table of all rows, and what it says about the student of record."""
    print_fitting(console, partial(_rows, result))
    if result["by_difficulty"]:
        console.print(_by_difficulty(result))
    if result.get("benchmark"):
        console.print(_benchmark(result))
    if result.get("votes"):
        print_fitting(console, partial(_votes, result))
    for line in reading(result):
        console.print(shown(line), soft_wrap=True, highlight=False)


def _rows(result: Mapping[str, Any], *, stacked: bool) -> Table:
    """The rows; stacked, for a narrow terminal, models stand below their rows and intervals below their figures."""
    table = Table(
        title=shown(title(result["job"])), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for column in _parted(("row", "model"), (f"{result['metric']} [95 %]", "PGR [95 %]"), stacked):
        table.add_column(column, no_wrap=column not in ("row\nmodel", "model"), overflow="fold")
    for column in ("gold", "pseudo"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in result["rows"]:
        style = "bold" if row["name"] == result["student_of_record"] else None
        cells = _parted((row["name"], row["model"]), (with_interval(row), pgr_words(row["pgr"])), stacked)
        table.add_row(*(shown(cell) for cell in (*cells, *_labels_seen(row))), style=style)
    return table


def _parted(names: Sequence[str], figures: Sequence[str], stacked: bool) -> list[str]:
    return ["\n".join(names), *map(broken, figures)] if stacked else [*names, *figures]


def _labels_seen(row: Mapping[str, Any]) -> tuple[str, str]:
    seen = row["information"]
    return str(seen["gold_seen_by_student"] or "-"), str(seen["pseudo_labels"] or "-")


def _by_difficulty(result: Mapping[str, Any]) -> Table:
    """Accuracy by steps, level or flaw, without intervals, and the student's PGR with them."""
    table = Table(title="accuracy by difficulty", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("row", no_wrap=True)
    for part in result["by_difficulty"]:
        table.add_column(f"{part['difficulty']:g}\n(n={part['n']})", justify="right", overflow="fold")
    for row in result["rows"]:
        cells = [f"{part['accuracy'][row['name']]:.2f}" for part in result["by_difficulty"]]
        table.add_row(shown(row["name"]), *cells)
    pgrs = (shown(broken(pgr_words(part["pgr"]))) for part in result["by_difficulty"])
    table.add_row(f"PGR of {shown(result['student_of_record'])}", *pgrs)
    return table


def _benchmark(result: Mapping[str, Any]) -> Table:
    """Sections (and subsets that RewardBench does not know) x rows, and the student's PGR."""
    found, student = result["benchmark"], result["student_of_record"]
    rows = [row["name"] for row in result["rows"] if "benchmark" in row]
    title = f"{found['place'].rpartition('/')[2]} (task.benchmark): accuracy, a tie is a loss"
    table = Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("section", *rows, "PGR [95 %]", "rows"):
        table.add_column(shown(column), justify="left" if column == "section" else "right", overflow="fold")
    for part in sections_shown(found):
        values = (f"{part['accuracy'][row]['value']:.3f}" for row in rows)
        table.add_row(
            *(shown(cell) for cell in (part["name"], *values, pgr_words(part["pgr"][student]), str(part["n"])))
        )
    return table


def _votes(result: Mapping[str, Any], *, stacked: bool) -> Table:
    """Rows x one sample, the vote of n of them and an oracle's pick; PGR of both."""
    set_out = broken if stacked else str
    found = result["votes"]
    first, last = found["curve"][0], found["curve"][-1]
    title = f"samples to each test problem (task.test_samples={found['num_samples']}): accuracy"
    table = Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("row", "one", f"maj@{last['n']}", "PGR", f"pass@{last['n']}", "PGR"):
        table.add_column(column, no_wrap=True)
    for name, one in first["pass"]["accuracy"].items():
        parts = [f"{one['value']:.3f}"]
        for kind in (last["majority"], last["pass"]):
            parts += [f"{kind['accuracy'][name]['value']:.3f}", set_out(pgr_words(kind["pgr"].get(name)))]
        table.add_row(*map(shown, (name, *parts)), style="bold" if name == result["student_of_record"] else None)
    return table
