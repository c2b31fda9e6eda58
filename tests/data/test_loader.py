"""The loader of a whole fit: resumable, and the same steps whatever the token budget."""

import pytest
import torch

from tests.fit.fitting import rows, step_data


def test_a_loader_goes_on_where_its_state_says():
    whole = list(step_data(rows()).loader)
    first = step_data(rows()).loader
    handed_out = [step for step, _ in zip(first, range(4), strict=False)]
    second = step_data(rows()).loader
    second.load_state_dict({"position": len(handed_out)})
    rest = list(second)
    assert [step.number for step in (*handed_out, *rest)] == list(range(len(whole))) == list(range(10))
    for ours, theirs in zip((*handed_out, *rest), whole, strict=True):
        assert torch.equal(ours.targets["probs"], theirs.targets["probs"])
        assert torch.equal(ours.micros[0].inputs["ids"], theirs.micros[0].inputs["ids"])


def test_its_state_counts_the_steps_that_were_handed_out():
    loader = step_data(rows()).loader
    steps = iter(loader)
    assert loader.state_dict() == {"position": 0}
    next(steps)
    next(steps)
    assert loader.state_dict() == {"position": 2}
    assert len(loader) == 10


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
