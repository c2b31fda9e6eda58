"""Names, and the paths that are built of them: item by item what was answered badly once."""

import pytest

from tests.hostile.asking import Ask, Row, named

NAMES: list[Row] = [
    ("weak.width=-8", "greater than or equal to 1"),
    ("paradigm.module._target_=os.system", ["lies in the package 'os'", "plugins=[os]"]),
]


@pytest.mark.parametrize("row", NAMES, ids=map(named, NAMES))
def test_a_name_is_refused_where_it_is_bound(ask: Ask, row: Row) -> None:
    ask(*row)
