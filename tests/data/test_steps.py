"""The steps of a whole fit: their plan, and the loader, resumable and the same whatever the token budget."""

from collections import Counter

import numpy as np
import pytest
import torch

from tests.fit.fitting import rows, step_data
from w2s_lightning.data.rows import EACH, evaluation_steps, num_steps, plan, split


def lengths(num_rows, seed=0):
    return np.random.default_rng(seed).integers(3, 60, num_rows)


@pytest.mark.parametrize(
    ("num_rows", "epochs", "expected"),
    [(2000, 2, 125), (100, 1, 4), (100, 2, 7), (10, 1, 1), (96, 0.5, 2), (5, 0.01, 1)],
)
def test_every_step_has_all_its_rows_and_epochs_decide_their_number(num_rows, epochs, expected):
    assert num_steps(num_rows, 32, epochs) == expected
    assert plan(lengths(num_rows), 32, epochs, seed=0).shape == (expected, 32)


@pytest.mark.parametrize(("num_rows", "epochs"), [(2000, 2), (100, 3), (10, 4), (7, 1)])
def test_rows_are_seen_equally_often_up_to_the_last_permutation(num_rows, epochs):
    seen = Counter(plan(lengths(num_rows), 32, epochs, seed=1).ravel().tolist())
    assert set(seen) == set(range(num_rows))
    assert max(seen.values()) - min(seen.values()) <= 1


def test_whole_epochs_that_fill_their_steps_see_every_row_exactly_that_often():
    seen = Counter(plan(lengths(320), 32, 3, seed=0).ravel().tolist())
    assert set(seen.values()) == {3}


def test_the_plan_is_a_function_of_its_seed():
    same, again, other = (plan(lengths(500), 32, 2, seed) for seed in (3, 3, 4))
    assert (same == again).all()
    assert (same != other).any()


def test_which_rows_meet_in_a_step_has_nothing_to_do_with_their_lengths():
    """So that a step holds both classes, also where the longer texts are those of one class."""
    by_length, alike = (plan(sizes, 32, 1, seed=0) for sizes in (lengths(3200), np.full(3200, 7)))
    assert (np.sort(by_length, axis=1) == np.sort(alike, axis=1)).all()


def test_rows_of_a_step_stand_by_length_and_micro_batches_are_little_padding():
    sizes = lengths(3200)
    steps = sizes[plan(sizes, 32, 1, seed=0)]
    assert (np.diff(steps, axis=1) >= 0).all()
    padded = sum(len(part) * step[part].max() for step in steps for part in split(step, 400))
    assert padded < 1.3 * steps.sum() < 0.8 * 59 * steps.size


def test_micro_batches_hold_every_row_once_under_the_budget():
    sizes = lengths(32)
    parts = split(sizes, 200)
    assert sorted(np.concatenate(parts).tolist()) == list(range(32))
    assert all(len(part) * sizes[part].max() <= 200 for part in parts)
    assert len(parts) > 1


def test_a_row_longer_than_the_budget_stands_alone():
    assert [part.tolist() for part in split(np.array([5, 90, 5]), 20)] == [[0, 2], [1]]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_cut_of_rows_by_length_costs_less(seed):
    sizes, budget = lengths(9, seed), 200
    order = np.argsort(sizes, kind="stable")

    def cost(parts):
        return sum(len(part) * sizes[part].max() + EACH * budget for part in parts)

    cuts = [[place + 1 for place in range(8) if bits >> place & 1] for bits in range(2**8)]
    ways = [np.split(order, places) for places in cuts]
    fitting = [parts for parts in ways if all(len(part) * sizes[part].max() <= budget for part in parts)]
    assert cost(split(sizes, budget)) == pytest.approx(min(map(cost, fitting)))


def test_a_step_within_the_budget_is_cut_only_where_that_saves_more_than_it_costs():
    assert [part.tolist() for part in split(np.array([8, 8, 8]), 320)] == [[0, 1, 2]]
    assert [part.tolist() for part in split(np.array([8, 80, 8]), 320)] == [[0, 2], [1]]


def test_evaluations_are_spread_evenly_and_end_with_the_last_step():
    assert evaluation_steps(188, 4) == (47, 94, 141, 188)
    assert evaluation_steps(2, 4) == (1, 2)
    assert evaluation_steps(10, 1) == (10,)


# ---------------------------------------------------------------- the loader


def test_a_loader_goes_on_where_its_state_says():
    whole = list(step_data(rows()).loader)
    first = step_data(rows()).loader
    handed_out = [step for _, step in zip(range(4), first, strict=False)]
    assert first.state_dict() == {"position": 4, "tokens_per_batch": 10_000}
    second = step_data(rows(), tokens_per_batch=60).loader  # a fit that goes on keeps its budget
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert [step.number for step in (*handed_out, *rest)] == list(range(len(whole))) == list(range(10))
    for ours, theirs in zip((*handed_out, *rest), whole, strict=True):
        assert torch.equal(ours.targets["probs"], theirs.targets["probs"])
        assert torch.equal(ours.micros[0].inputs["ids"], theirs.micros[0].inputs["ids"])


@pytest.mark.parametrize("budget", [1, 60, 100])
def test_a_token_budget_splits_steps_and_never_changes_them(budget):
    for whole, parts in zip(step_data(rows()).loader, step_data(rows(), tokens_per_batch=budget).loader, strict=True):
        assert torch.equal(whole.targets["probs"], parts.targets["probs"])
        assert torch.equal(whole.weights, parts.weights)
        assert whole.num_tokens == parts.num_tokens
        assert sorted(torch.cat([micro.positions for micro in parts.micros]).tolist()) == list(range(8))
        for micro in parts.micros:
            for ids, mask, position in zip(micro.inputs["ids"], micro.inputs["mask"], micro.positions, strict=True):
                full = whole.micros[0].inputs
                assert torch.equal(ids[mask.bool()], full["ids"][position][full["mask"][position].bool()])
