"""Groups as a grid for people: which grid, what stands in a cell, and why one has no number."""

import io
from typing import Any

import pytest
from rich.console import Console

from w2s_lightning.show.matrix import Labels, cell_text, explanations, matrix_of, print_matrices, print_sections


def cell(**more: Any) -> dict[str, Any]:
    """A group of two seeds, done where nothing else is said."""
    pgr = {"value": 0.5, "low": -0.4, "high": 0.6, "defined": True, "reason": None}
    own = {"task": "facts", "paradigm": "weak_to_strong", "weak": "nano", "strong": "small", "axes": {}}
    return {**own, "n": 2, "expected": 2, "missing": [], "cheats": [], "pgr": pgr, **more}


UNDEFINED = {"value": None, "low": None, "high": None, "defined": False, "reason": "the gap reaches 0"}


def lost(state: str, *seeds: int, reason: str | None = None, **more: Any) -> dict[str, Any]:
    missing = [{"seed": seed, "state": state, "reason": reason} for seed in seeds]
    return cell(n=2 - len(seeds), missing=missing, **more)


def printed(*found: dict[str, Any], width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_matrices(console, found)
    print_sections(console, found)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize(
    ("found", "corner", "rows", "columns"),
    [
        (
            [cell(weak=w, strong=s) for w in ("nano", "micro") for s in ("small", "base")],
            "weak ↓ strong →",
            ("nano", "micro"),
            ("small", "base"),
        ),
        (
            [cell(weak=w, paradigm=p, axes={"paradigm": p}) for w in ("nano", "micro") for p in ("a", "b")],
            "pair",
            ("nano → small", "micro → small"),
            ("a", "b"),
        ),
        (
            [cell(axes={"fit.lr_scale": str(n)}) for n in range(7)],
            "",
            tuple(f"fit.lr_scale={n}" for n in range(7)),
            ("nano → small",),
        ),
        (
            [cell(weak=f"w{n // 5}", axes={"seed": "0", "fit.epochs": str(n % 5)}) for n in range(25)],
            "",
            tuple(f"w{n // 5} → small · fit.epochs={n % 5}" for n in range(25)),
            ("PGR",),
        ),
    ],
    ids=["pairs alone", "paradigms", "many arms", "more than a terminal is wide"],
)
def test_the_shorter_list_makes_the_columns(
    found: list[dict[str, Any]], corner: str, rows: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    matrix = matrix_of(found, wide=4)
    assert (matrix.corner, matrix.rows, matrix.columns) == (corner, rows, columns)
    assert [matrix.cells[row, column] for row in rows for column in columns] == found


def test_what_the_pair_already_tells_is_not_repeated() -> None:
    found = [cell(weak=w, axes={"model@weak": w, "weak.pretrain.steps": s}) for w, s in (("nano", "1"), ("micro", "2"))]
    assert set(map(Labels(found).arm, found)) == {"weak_to_strong"}
    assert matrix_of(found).columns == ("small",)


def test_groups_are_called_as_shortly_as_tells_them_apart() -> None:
    def titles(*found: dict[str, Any]) -> list[str]:
        labels = Labels(found)
        return [labels.title(group) for group in found]

    assert titles(cell(), cell(weak="micro")) == ["nano → small", "micro → small"]
    assert titles(cell(), cell(paradigm="supervised")) == ["weak_to_strong", "supervised"]
    assert titles(cell(), cell(paradigm="supervised", weak="micro"))[1] == "micro → small · supervised"


def test_each_task_has_its_own_matrix_and_of_one_seed_intervals_speak_for_the_trained_models_alone() -> None:
    text = printed(*(cell(task=task, n=1, expected=1) for task in ("facts", "facts_null")))
    assert text.count("PGR [95 %]") == 2
    assert "for these trained models" in text


def test_cells_say_how_much_of_them_there_is() -> None:
    cheat, failed = cell(cheats=["oracle_random_errors"]), lost("failed", 0, 1, reason="it broke")
    found = [cell(), cell(pgr=UNDEFINED), lost("running", 1), failed, lost("waiting", 0, 1), cheat]
    assert [cell_text(one) for one in (*found, None)] == [
        "0.50 [-.40, .60]",
        "undefined",
        "0.50 [-.40, .60] (1 of 2 seeds)",
        "failed",
        "waiting",
        "0.50 [-.40, .60] CHEAT",
        "",
    ]


def test_a_cell_that_is_more_than_a_number_tells_its_story() -> None:
    found = [
        cell(),
        cell(weak="a", pgr=UNDEFINED),
        lost("failed", 0, 1, reason="it broke", weak="b"),
        cell(weak="c", cheats=["oracle_random_errors"]),
    ]
    assert explanations(found) == [
        "a → small: PGR is undefined: the gap reaches 0",
        "b → small: failed; seeds 0 and 1 failed: it broke",
        "c → small: PGR 0.50 [-.40, .60] over 2 seeds; CHEAT, it used hidden gold (oracle_random_errors)",
    ]
    text = printed(*found)
    assert "intervals: over nothing: 2 seeds" in text
    assert all(line in text for line in explanations(found))


def test_sections_of_a_benchmark_are_columns() -> None:
    pgr = cell()["pgr"]
    text = printed(cell(sections=[{"name": "chat", "pgr": pgr}]), cell(weak="micro"))
    (line,) = (line for line in text.splitlines() if line.split()[:1] == ["PGR"] and "by section" in line)
    table = text[text.index(line) :]
    assert "chat" in table
    assert "nano → small" in table
    assert "micro" not in table


def test_two_seeds_show_their_values_and_no_interval() -> None:
    few = {"value": 0.827, "low": -0.002, "high": 1.656, "defined": True, "reason": None, "per_seed": [0.7, 0.954]}
    said = printed(cell(pgr=few))
    assert "0.83 (0.70, 0.95)" in said
    assert "1.66" not in said
    assert "2 seeds, with their own values in brackets; take 3 or more" in said


def test_a_pgr_that_reaches_0_and_1_is_not_called_a_result() -> None:
    wide = {"value": 0.5, "low": -0.1, "high": 1.2, "defined": True, "reason": None}
    assert "No PGR here is told apart from 0 or from 1." in printed(cell(pgr=wide))
    assert "No PGR here" not in printed(cell(pgr=wide), cell(weak="micro"))


def test_the_same_model_on_both_sides_is_said() -> None:
    assert "PGR is undefined, the same model on both sides: the gap" in printed(cell(weak="small", pgr=UNDEFINED))


def test_arms_are_told_apart_by_what_differs_and_by_the_ends_of_paths() -> None:
    def arms(*values: dict[str, str]) -> list[str]:
        found = [cell(axes={"fit.epochs": "2", **axes}) for axes in values]
        return [Labels(found).arm(one) for one in found]

    assert arms({"task.train_file": "/x/a.csv"}, {"task.train_file": "/x/b.csv"}) == [
        "task.train_file=a.csv",
        "task.train_file=b.csv",
    ]
    assert arms({"p": "/x/a.csv"}, {"p": "/y/a.csv"}) == ["p=/x/a.csv", "p=/y/a.csv"]
    assert arms({}) == ["weak_to_strong"]
