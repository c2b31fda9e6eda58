"""Gradients of a step are those of its whole batch, however many micro-batches it takes."""

from functools import partial

import pytest
import torch

from tests.fit.fitting import bag, module_of, rows, step_data
from w2s_lightning import objectives
from w2s_lightning.fit.paradigms import SelfImprovement, WeakToStrong

LOGCONF = partial(objectives.logconf, c_max=0.5, warmup_share=0.2, warmup="linear", threshold="batch_mean")
PRODUCT = partial(objectives.product, alpha=1.0, beta=1.0)


def gradients(objective, over_step, tokens_per_batch, *, kind=WeakToStrong, dropout=0.0, number=6, num_classes=2):
    """Loss, logits and gradients of one step, and its number of micro-batches."""
    network = bag(num_classes, dropout).train()
    module = module_of(kind, network, 10, objective=objective, over_step=over_step)
    module.manual_backward = lambda tensor, gradient=None: tensor.backward(gradient)  # without a Trainer
    step = step_data(rows(num_classes=num_classes), tokens_per_batch=tokens_per_batch).loader.step(number)
    loss, logits = module.gradients(step)
    return loss, logits, [p.grad for p in network.parameters()], len(step.micros)


@pytest.mark.parametrize(
    ("objective", "over_step"), [(objectives.xent, False), (LOGCONF, True), (PRODUCT, True), (objectives.xent, True)]
)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_micro_batches_give_the_gradients_of_the_whole_step(objective, over_step, num_classes):
    whole = gradients(objective, over_step, 10_000, num_classes=num_classes)
    parts = gradients(objective, over_step, 40, num_classes=num_classes)
    assert whole[3] == 1
    assert parts[3] > 1
    torch.testing.assert_close(parts[0], whole[0])
    torch.testing.assert_close(parts[1], whole[1])
    torch.testing.assert_close(parts[2], whole[2])


def test_a_batch_statistic_taken_per_micro_batch_would_be_something_else():
    whole = [gradients(LOGCONF, True, 10_000, number=number)[0] for number in range(3, 10)]
    wrong = [gradients(LOGCONF, False, 40, number=number)[0] for number in range(3, 10)]
    assert max(abs(float(a - b)) for a, b in zip(whole, wrong, strict=True)) > 1e-3


def test_both_passes_over_a_micro_batch_drop_the_same_units():
    by_rows = gradients(objectives.xent, False, 40, dropout=0.5)
    cached = gradients(objectives.xent, True, 40, dropout=0.5)
    torch.testing.assert_close(cached[2], by_rows[2])


def test_weights_count_over_the_whole_step():
    whole = gradients(objectives.xent, False, 10_000, kind=SelfImprovement)
    data = step_data(rows()).loader.step(6)
    expected = (
        objectives.xent(whole[1], data.targets["probs"], fraction=0.0) * data.weights
    ).sum() / data.weights.sum()
    torch.testing.assert_close(whole[0], expected)
