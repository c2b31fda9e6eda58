"""The table of a job's rows on terminals of several widths."""

import io
from typing import Any

import pytest
from rich.console import Console

from w2s_lightning.show.numbers import interval, listed, number, seconds, size
from w2s_lightning.show.terminal import print_result, print_table

NAMES = {
    "untuned_zero_shot": ("untuned", "arithmetic_small_instruct"),
    "untuned": ("untuned", "arithmetic_small_instruct"),
    "floor": ("floor", "arithmetic_micro"),
    "permuted_control": ("control", "arithmetic_small_instruct"),
    "stage_2": ("student", "arithmetic_small_instruct"),
    "ceiling": ("ceiling", "arithmetic_small_instruct"),
}


def figure(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 300}


def pgr(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 1, "high": value + 1, "defined": True, "reason": None}


def row(name: str, number: int) -> dict[str, Any]:
    role, model = NAMES[name]
    seen = {"gold_seen_by_student": 12000, "pseudo_labels": 123456, "gold_upstream": 0, "train_tokens": 1}
    measured = pgr(-0.321) if role in ("student", "control") else None
    return {"name": name, "role": role, "model": model, **figure(number / 10), "pgr": measured, "information": seen}


RESULT: dict[str, Any] = {
    "job": {"task": "arithmetic", "paradigm": "weak_to_strong", "weak": "micro", "strong": "small", "seed": 0},
    "metric": "accuracy",
    "student_of_record": "stage_2",
    "rows": [row(name, number) for number, name in enumerate(NAMES, 1)],
    "student": figure(0.5),
    "pgr": pgr(-0.321),
    "gain_over_untuned": figure(0.1),
    "agreement": dict.fromkeys(("with_supervisor", "when_supervisor_right", "when_supervisor_wrong")),
    **dict.fromkeys(("by_difficulty", "selections", "cheats", "notices"), ()),
}


def printed(width: int) -> list[list[str]]:
    """The cells of every line of the table, without its title and its heads."""
    console = Console(file=io.StringIO(), width=width)
    print_result(console, RESULT)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    start, end = (next(n for n, line in enumerate(lines) if word in line) for word in ("────", "PGR -0.321"))
    shown = [line for line in lines[start + 1 : end] if line.strip()]
    assert max(map(len, shown)) <= width
    assert not [line for line in shown if "…" in line]
    gaps = [n for n in range(width) if all(line.ljust(width)[n] == " " for line in shown)]
    starts = [n for n in range(width) if n not in gaps and (n == 0 or n - 1 in gaps)]
    return [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], width], strict=True)] for line in shown]


def test_a_wide_terminal_has_a_line_a_row() -> None:
    cells = printed(120)
    assert [line[:2] for line in cells] == [[name, model] for name, (_, model) in NAMES.items()]
    text = " ".join(cell for line in cells for cell in line)
    assert all(f"{number / 10:.3f}" in text for number in range(1, 7))


@pytest.mark.parametrize("width", [76, 80, 100])
def test_a_narrow_one_has_names_and_figures_whole_on_two_lines(width: int) -> None:
    cells = printed(width)
    assert [line[0] for line in cells] == [word for name, (_, model) in NAMES.items() for word in (name, model)]
    assert [line[1] for line in cells[::2]] == [f"{number / 10:.3f}" for number in range(1, 7)]
    text = " ".join(cell for line in cells for cell in line)
    assert text.count("[-1.321, .679]") == 2
    assert text.count("12000") == text.count("123456") == len(NAMES)


def test_names_that_do_not_fit_are_wrapped_and_not_cut() -> None:
    joined = "".join(line[0] for line in printed(60))
    assert joined == "".join(name + model for name, (_, model) in NAMES.items())


# ---------------------------------------------------------------- text of data sets


def test_a_terminal_obeys_no_text_of_a_data_set() -> None:
    hostile = "my [red]own[/red]\x1b[2J"
    console = Console(file=io.StringIO(), width=76, force_terminal=True)
    print_table(console, ["section", hostile], [[hostile, "1"]], hostile)
    print_result(console, {**RESULT, "notices": [hostile]})
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[2J" not in text
    assert text.count("[red]own[/red]") == 4


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"value": 0.8124, "low": 0.79, "high": 1.0}, "0.812 [.790, 1.000]"),
        ({"value": -0.04, "low": -0.5, "high": 0.001}, "-0.040 [-.500, .001]"),
        ({"value": -0.0001, "low": -10.25, "high": 10.0}, "0.000 [-10.250, 10.000]"),
        ({"value": 0.5, "low": None, "high": None}, "0.500"),
        ({"value": None, "low": None, "high": None}, "-"),
        ({"value": None, "low": None, "high": None, "defined": False}, "undefined"),
        (None, "-"),
    ],
)
def test_a_figure_is_written_with_its_interval(part: dict[str, Any] | None, words: str) -> None:
    assert interval(part) == words


def test_a_difference_shows_its_sign() -> None:
    assert interval({"value": 0.05, "low": -0.01, "high": 0.11}, 2, sign="+") == "+0.05 [-.01, +.11]"


def test_numbers_sizes_times_and_lists_are_short() -> None:
    assert [number(0.5), number(None), number(float("nan")), number(-0.0001, 2)] == ["0.500", "-", "-", "0.00"]
    assert [size(None), size(999), size(1.23e6), size(5e15)] == ["-", "999 B", "1.23 MB", "5e+03 TB"]
    assert [seconds(one) for one in (0.84, 59.6, 200, 7500)] == ["0.8 s", "60 s", "3 min 20 s", "2 h 5 min"]
    days = [seconds(one) for one in (86340, 86400, 100000, 300000, 992566, 3e7, 1e8)]
    assert days == ["23 h 59 min", "1 day", "1 day 4 h", "3 days 11 h", "11 days", "347 days", "3 years"]
    assert [listed("a"), listed("ab"), listed("abcdefg")] == ["a", "a and b", "a, b, c, d and 3 more"]


def test_a_ceiling_that_learned_little_and_a_student_that_only_repeats_are_said() -> None:
    console = Console(file=io.StringIO(), width=100)
    always = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 300}
    agreement = {"with_supervisor": always, "when_supervisor_right": always, "when_supervisor_wrong": always}
    print_result(console, {**RESULT, "untuned": figure(0.48), "ceiling": figure(0.57), "agreement": agreement})
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "the strong model learned little from gold labels (ceiling 0.570 [.520, .620], untuned 0.480" in said
    assert "gives its supervisor's answer to every test example" in said
    console = Console(file=io.StringIO(), width=100)
    print_result(console, {**RESULT, "untuned": figure(0.48), "ceiling": figure(0.90)})
    assert "learned little" not in console.file.getvalue()  # type: ignore[attr-defined]
