"""The real command: what one process shows that `train.main()` inside a test cannot (bytes, streams, start-up)."""

import pytest

from tests.hostile.asking import Ask, Row, named

ASKED: list[Row] = [
    ("task=fcts", "did you mean `facts`?"),
    ("fit.epohcs=3 run=plan", "did you mean `epochs`?"),
    ("-m model@weak=nano,mirco run=plan", "did you mean `micro`?"),
]


@pytest.mark.parametrize("row", ASKED, ids=map(named, ASKED))
def test_a_process_answers_like_train_main(ask: Ask, row: Row) -> None:
    ask.process(*row)
