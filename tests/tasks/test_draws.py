"""Draws are even and follow their key; `tests/test_frozen.py` holds their numbers."""

import numpy as np

from w2s_lightning.tasks.draws import permutation, uniforms


def test_draws_fill_the_unit_interval() -> None:
    drawn = uniforms(100_000, "spread", 1)
    assert (drawn >= 0).all()
    assert (drawn < 1).all()
    assert np.histogram(drawn, bins=10, range=(0, 1))[0].min() > 9_500


def test_another_key_draws_something_else() -> None:
    keys = [("a", 0), ("a", 1), ("b", 0), ("a", "0")]
    assert len({uniforms(1, *key)[0] for key in keys}) == len(keys)


def test_a_permutation_holds_every_index_once() -> None:
    order = permutation(1000, "order", 3)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != list(range(1000))
