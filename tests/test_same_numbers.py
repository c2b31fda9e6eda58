"""The comparison of two checkouts itself: what it sees and what it overlooks."""

import math

from benchmarks.same_numbers import CELLS, PARTS, compare, leaves

RESULT = {
    "digest": "ab",
    "rows": [{"name": "floor", "value": 0.5, "pgr": None}, {"name": "student", "value": 0.75, "pgr": {"value": 0.5}}],
    "stages": [{"seconds": 3.0}],
}


def test_figures_are_compared_by_name_wherever_they_stand() -> None:
    turned = {**RESULT, "rows": [{**row, "more": 1.0} for row in reversed(RESULT["rows"])]}  # type: ignore[call-overload]
    found = compare(dict(leaves(RESULT)), dict(leaves(turned)))
    assert (found.compared, found.largest, found.different, found.new) == (4, 0.0, (), 2)


def test_a_figure_that_moves_or_is_missing_is_named() -> None:
    old = dict(leaves(RESULT))
    moved = compare(old, {**old, "rows/student/value": 0.75 + 1e-8})
    assert [one.partition(":")[0] for one in moved.different] == ["rows/student/value"]
    assert compare(old, {**old, "rows/student/value": 0.75 + 1e-10}).different == ()
    gone = compare(old, {name: value for name, value in old.items() if name != "rows/student/pgr/value"})
    assert gone.different == ("rows/student/pgr/value: 0.5 -> absent",)
    assert gone.largest == math.inf
    assert compare(old, {**old, "rows/floor/pgr": 0.5}).largest == math.inf


def test_every_cell_has_a_name_of_its_own() -> None:
    assert len({(cell.part, cell.name) for cell in CELLS}) == len(CELLS)
    assert set(PARTS) >= {"cells", "objectives", "ddp", "resume", "sweep"}
