"""The Lightning modules: one loop, four paradigms; gradients of a step are those of its whole batch."""

import math
from functools import partial

import pytest
import torch

from tests.fit.fitting import OPTIMISATION, bag, module_of, rows, run, step_data
from w2s_lightning import objectives
from w2s_lightning.config.schema import Optimisation
from w2s_lightning.errors import UserError
from w2s_lightning.fit.loop import Validation
from w2s_lightning.fit.paradigms import (
    Distillation,
    SelfImprovement,
    Supervised,
    WeakToStrong,
    learning_rate,
    step_seed,
)
from w2s_lightning.generate.scoring import score

CPU = torch.device("cpu")
LOGCONF = partial(objectives.logconf, c_max=0.5, warmup_share=0.2, warmup="linear", threshold="batch_mean")
PRODUCT = partial(objectives.product, alpha=1.0, beta=1.0)
KD = partial(objectives.kd, temperature=2.0)


def fitted(kind, tmp_path, *, soft=True, objective=objectives.xent, network=None, **options):
    data = step_data(rows(soft=soft))
    network = network or bag()
    return run(module_of(kind, network, 10, objective=objective), data, tmp_path, **options), network


@pytest.mark.parametrize(
    ("kind", "soft", "objective", "extra"),
    [
        (Supervised, False, objectives.xent, {"accuracy"}),
        (Distillation, True, KD, {"teacher_entropy", "distance"}),
        (SelfImprovement, True, objectives.xent, {"effective_rows", "confidence"}),
        (WeakToStrong, True, objectives.xent, {"agreement", "confidence"}),
    ],
)
def test_each_paradigm_trains_and_logs_what_is_its_own(kind, soft, objective, extra, tmp_path):
    before = [p.clone() for p in bag().parameters()]
    result, network = fitted(kind, tmp_path, soft=soft, objective=objective)
    assert any((a != b).any() for a, b in zip(before, network.parameters(), strict=True))
    assert set(result.history[-1]) == {"step", "fraction", "lr", "tokens", "loss", *extra}
    assert [row["step"] for row in result.history] == list(range(1, 11))
    assert all(math.isfinite(value) for row in result.history for value in row.values())
    assert result.final_loss == result.history[-1]["loss"]


def test_a_bare_pytorch_loop_ends_at_the_same_weights(tmp_path):
    _, network = fitted(WeakToStrong, tmp_path)
    bare, loader = bag().train(), step_data(rows()).loader
    optimizer = torch.optim.AdamW(bare.parameters(), lr=0.01, weight_decay=0.0, fused=True)
    for step in loader:
        optimizer.param_groups[0]["lr"] = learning_rate(step.number, 10, OPTIMISATION)
        losses = objectives.xent(bare(**step.micros[0].inputs), step.targets["probs"], fraction=0.0)
        optimizer.zero_grad()
        ((losses * step.weights).sum() / step.weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimizer.step()
    for ours, theirs in zip(network.parameters(), bare.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_gold_only_module_refuses_soft_targets(tmp_path):
    with pytest.raises(UserError, match="gold labels"):
        fitted(Supervised, tmp_path, soft=True)


def test_tokens_are_counted_without_padding(tmp_path):
    result, _ = fitted(WeakToStrong, tmp_path)
    data = rows()
    assert result.num_tokens == 2 * int(data.lengths.sum())


def test_the_objective_is_told_how_much_of_training_is_done(tmp_path):
    seen = []

    def spy(logits, probs, *, fraction):
        seen.append(fraction)
        return objectives.xent(logits, probs, fraction=fraction)

    fitted(WeakToStrong, tmp_path, objective=spy)
    assert seen == [step / 10 for step in range(10)]


def test_validation_is_scored_at_its_steps_and_leaves_training_alone(tmp_path):
    held = rows(30, seed=9)
    watched = Validation(held, steps=(5, 10), tokens_per_batch=100)
    result, network = fitted(WeakToStrong, tmp_path / "a", network=bag(dropout=0.5), validation=watched)
    _, alone = fitted(WeakToStrong, tmp_path / "b", network=bag(dropout=0.5))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), alone.parameters(), strict=True))
    rows_with = [row for row in result.history if "validation_loss" in row]
    assert [row["step"] for row in rows_with] == [5, 10]
    final = score(network.eval(), held, tokens_per_batch=10_000, device=CPU)
    assert watched.probs[-1].numpy() == pytest.approx(torch.from_numpy(final).double().softmax(-1).numpy(), abs=1e-6)
    losses = -(torch.from_numpy(held.targets["probs"]).double() * watched.probs[-1].log()).sum(-1)
    weights = torch.from_numpy(held.weights).double()
    assert rows_with[-1]["validation_loss"] == pytest.approx(float((losses * weights).sum() / weights.sum()))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_fit_and_keeps_the_last_checkpoint(tmp_path, value):
    def breaks(logits, probs, *, fraction):
        losses = objectives.xent(logits, probs, fraction=fraction)
        return losses * value if fraction >= 0.5 else losses

    with pytest.raises(UserError, match=f"tiny: the loss is {value} at step 6 of 10"):
        fitted(WeakToStrong, tmp_path, objective=breaks, checkpoint_steps=2)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step-00000002.ckpt", "step-00000004.ckpt"]


def test_weights_that_are_no_number_after_the_last_step_are_refused(tmp_path):
    def breaks(logits, probs, *, fraction):
        losses = objectives.xent(logits, probs, fraction=fraction)
        steep = torch.sqrt(logits.sum(-1) - logits.sum(-1).detach())  # 0, with an infinite slope
        return losses + steep if fraction == 0.9 else losses

    with pytest.raises(UserError, match="no number"):
        fitted(WeakToStrong, tmp_path, objective=breaks)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_warms_up_and_then_follows_its_schedule(schedule):
    settings = Optimisation(
        lr=1.0, epochs=1.0, rows_per_step=1, warmup_steps=3, schedule=schedule, weight_decay=0.0, clip_norm=1.0
    )
    rates = [learning_rate(step, 13, settings) for step in range(13)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    middle = {"cosine": 0.5, "linear": 0.5, "constant": 1.0}[schedule]
    assert rates[8] == pytest.approx(middle)
    assert all(0 < rate <= 1 for rate in rates)


def test_a_warm_up_longer_than_the_fit_does_no_harm():
    settings = OPTIMISATION.__class__(**{**vars(OPTIMISATION), "warmup_steps": 100})
    assert learning_rate(4, 5, settings) == pytest.approx(settings.lr * 5 / 6)


def test_no_two_micro_batches_share_a_seed():
    seeds = {step_seed(seed, step, micro) for seed in range(5) for step in range(100) for micro in range(8)}
    assert len(seeds) == 4000


def test_a_machine_without_what_was_asked_for_is_one_clear_message(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(UserError, match=r"accelerator=gpu: torch finds no such device here"):
        fitted(WeakToStrong, tmp_path, accelerator="gpu")


def test_a_fit_inside_a_slurm_job_leaves_requeueing_alone(tmp_path, monkeypatch):
    for name, value in {
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NAME": "fit",
        "SLURM_JOB_ID": "7",
        "SLURM_LOCALID": "0",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("SLURM_PROCID", "SLURM_NODEID"):
        monkeypatch.setenv(name, "0")
    result, _ = fitted(WeakToStrong, tmp_path)
    assert len(result.history) == 10


# ---------------------------------------------------------------- micro-batches


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
