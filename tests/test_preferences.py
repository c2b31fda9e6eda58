"""Objectives of pairs against closed forms, identities and TRL."""

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from w2s_lightning import objectives
from w2s_lightning.errors import UserError
from w2s_lightning.fit.paradigms import reads
from w2s_lightning.objectives import implied_rewards

NOW = {"fraction": 0.3}


class Pairs(NamedTuple):
    """Summed log-probabilities of chosen and rejected completions, and their tokens, all [B]."""

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor

    @property
    def chosen_mean(self) -> torch.Tensor:
        return self.chosen / self.chosen_tokens

    @property
    def rejected_mean(self) -> torch.Tensor:
        return self.rejected / self.rejected_tokens


def loss(name: str, policy: Pairs, reference: Pairs | None = None, prefer: float = 1.0, **options) -> torch.Tensor:
    """A loss of `objectives.py`, given the columns that it reads; the first completion is better with `prefer`."""
    columns = {
        "log_probs": torch.stack([policy.chosen, policy.rejected], dim=-1),
        "tokens": torch.stack([policy.chosen_tokens, policy.rejected_tokens], dim=-1),
        "logits": torch.zeros(len(policy.chosen), 2),
        "margins": None,
        "probs": torch.tensor([[prefer, 1 - prefer]]).expand(len(policy.chosen), 2),
    }
    if reference is not None:
        columns["reference"] = torch.stack([reference.chosen, reference.rejected], dim=-1)
    function = getattr(objectives, name)
    return function(*(columns[column] for column in reads(function)), **NOW, **options)


def pairs(rows: int = 8, seed: int = 0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 30, (2, rows), generator=generator).float()
    sums = -tokens * (0.1 + 2 * torch.rand(2, rows, generator=generator))
    return Pairs(sums[0], sums[1], tokens[0], tokens[1])


def like(policy: Pairs, seed: int = 1) -> Pairs:
    """Another model's log-probabilities of the same pairs."""
    other = pairs(len(policy.chosen), seed)
    return policy._replace(chosen=other.chosen, rejected=other.rejected)


def one(chosen: float, rejected: float, tokens: tuple[float, float] = (1.0, 1.0)) -> Pairs:
    return Pairs(*(torch.tensor([value]) for value in (chosen, rejected, *tokens)))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_dpo_and_cdpo_by_hand():
    policy, reference = one(-4.0, -7.0), one(-5.0, -6.5)
    delta = (-4 + 5) - (-7 + 6.5)
    dpo = loss("dpo", policy, reference, beta=0.3)
    assert dpo.item() == pytest.approx(-math.log(sigmoid(0.3 * delta)), rel=1e-6)
    cdpo = loss("cdpo", policy, reference, beta=0.3, flipped=0.2)
    by_hand = -0.8 * math.log(sigmoid(0.3 * delta)) - 0.2 * math.log(sigmoid(-0.3 * delta))
    assert cdpo.item() == pytest.approx(by_hand, rel=1e-6)


def test_dpo_is_log_2_where_the_policy_is_the_reference():
    policy = pairs()
    for flipped in (0.0, 0.3):
        losses = loss("cdpo", policy, policy, beta=0.1, flipped=flipped)
        torch.testing.assert_close(losses, torch.full((8,), math.log(2)))
    torch.testing.assert_close(loss("dpo", policy, policy, beta=5.0), torch.full((8,), math.log(2)))


def test_dpo_learns_until_every_pair_is_told_apart_and_cdpo_stops_before():
    for flipped, share in ((0.0, 1.0), (0.1, 0.9)):  # cdpo is least where sigma(beta delta) = 1 - e
        delta = torch.linspace(-60, 60, 2001)
        zero = torch.zeros(2001)
        policy = Pairs(delta, zero, zero + 1, zero + 1)
        losses = loss("cdpo", policy, Pairs(zero, zero, zero, zero), beta=0.3, flipped=flipped)
        assert torch.sigmoid(0.3 * delta[losses.argmin()]).item() == pytest.approx(share, abs=0.01)


def test_ipo_is_zero_at_its_target_and_grows_as_a_square():
    tau = 0.25
    reference = one(-8.0, -3.0, (4.0, 2.0))
    at_target = one(-8.0 + 4 * 1.5, -3.0 - 2 * 0.5, (4.0, 2.0))  # per token 1.5 + 0.5 = 1 / (2 tau)
    assert loss("ipo", at_target, reference, tau=tau).item() == pytest.approx(0, abs=1e-12)
    off = one(-8.0, -3.0, (4.0, 2.0))
    assert loss("ipo", off, reference, tau=tau).item() == pytest.approx(4.0)


def test_simpo_by_hand():
    losses = loss("simpo", one(-4.0, -9.0, (2.0, 3.0)), one(0.0, 0.0), beta=2.0, gamma=0.5)
    assert losses.item() == pytest.approx(-math.log(sigmoid(2 * (-2 + 3) - 0.5)), rel=1e-6)


def test_orpo_by_hand_and_without_its_odds():
    policy = one(-1.0, -6.0, (2.0, 3.0))
    p, q = math.exp(-0.5), math.exp(-2.0)
    log_odds = math.log(p / (1 - p)) - math.log(q / (1 - q))
    losses = loss("orpo", policy, policy, weight=0.2)
    assert losses.item() == pytest.approx(0.5 - 0.2 * math.log(sigmoid(log_odds)), rel=1e-6)
    assert loss("orpo", policy, policy, weight=0.0).item() == pytest.approx(0.5)


@pytest.mark.parametrize("mean", [-1e-7, -1e-4, -0.5, -0.6931, -0.6932, -5.0, -80.0])
def test_log1mexp_is_exact_from_certain_to_impossible(mean):
    value = torch.tensor(mean, requires_grad=True)
    found = objectives.log1mexp(value)
    exact = torch.log(-torch.expm1(value.detach().double()))
    assert found.item() == pytest.approx(exact.item(), rel=2e-6)
    found.backward()
    assert value.grad.isfinite()


def test_orpo_stays_finite_where_a_completion_is_certain():
    policy = Pairs(
        *(torch.tensor([x, y], requires_grad=True) for x, y in ((0.0, -1e-9), (-900.0, 0.0))), *torch.ones(2, 2)
    )
    losses = loss("orpo", policy, policy, weight=1.0)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert policy.chosen.grad.isfinite().all()
    assert policy.rejected.grad.isfinite().all()


def test_bt_by_hand_with_margin_and_centring():
    rewards, first = torch.tensor([[2.0, 0.5], [0.5, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    losses = objectives.bt(rewards, first, **NOW, margin=0.3, centring=0.01)
    for loss, gap in zip(losses, (1.5, -1.5), strict=True):
        assert loss.item() == pytest.approx(-math.log(sigmoid(gap - 0.3)) + 0.01 * 2.5**2, rel=1e-5)
    turned = objectives.bt(rewards.flip(1), first.flip(1), **NOW, margin=0.3, centring=0.01)
    torch.testing.assert_close(turned, losses)


def test_bt_takes_each_rows_own_margin_from_the_data():
    rewards = torch.tensor([[2.0, 0.5], [0.5, 2.0]])
    probs, margins = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.3, 1.2])
    losses = objectives.bt(rewards, probs, margins, **NOW, margin="data", centring=0.0)
    assert losses.tolist() == pytest.approx([-math.log(sigmoid(1.5 - 0.3)), -math.log(sigmoid(1.5 - 1.2))], rel=1e-5)


def test_soft_bt_is_the_choice_loss_and_bt_without_margin_equals_it():
    generator = torch.Generator().manual_seed(0)
    rewards, preference = torch.randn(9, 2, generator=generator), torch.rand(9, generator=generator)
    targets = torch.stack([preference, 1 - preference], dim=-1)
    soft = objectives.soft_bt(rewards, targets, **NOW)
    torch.testing.assert_close(soft, objectives.xent(rewards, targets, **NOW))
    torch.testing.assert_close(soft, objectives.bt(rewards, targets, **NOW, margin=0.0, centring=0.0))


@pytest.mark.parametrize("name", ["dpo", "ipo"])
def test_dpo_and_ipo_agree_with_trl(name):
    policy = pairs()
    reference = like(policy)
    options = {"dpo": {"beta": 0.2}, "ipo": {"tau": 0.2}}[name]
    ours = loss(name, policy, reference, **options).mean()
    torch.testing.assert_close(ours, trl_dpo("sigmoid" if name == "dpo" else name, policy, reference, beta=0.2))


def test_orpo_and_simpo_agree_with_trl():
    orpo = pytest.importorskip("trl.experimental.orpo", reason="TRL (dev extra) is the oracle").ORPOTrainer
    cpo = pytest.importorskip("trl.experimental.cpo", reason="TRL (dev extra) is the oracle").CPOTrainer
    policy = pairs()
    here = SimpleNamespace(device=torch.device("cpu"))
    trl = SimpleNamespace(beta=0.2, accelerator=here)
    ratio = orpo.odds_ratio_loss(trl, policy.chosen_mean, policy.rejected_mean)[0]  # TRL: loss = nll - this
    torch.testing.assert_close(loss("orpo", policy, policy, weight=0.2), -policy.chosen_mean - ratio)
    trl = SimpleNamespace(
        beta=2.0, simpo_gamma=0.5, alpha=0.0, label_smoothing=0.0, loss_type="simpo", accelerator=here
    )
    theirs = cpo.cpo_loss(trl, policy.chosen_mean, policy.rejected_mean)[0]
    torch.testing.assert_close(loss("simpo", policy, policy, beta=2.0, gamma=0.5), theirs)


def trl_dpo(loss_type: str, policy: Pairs, reference: Pairs, *, beta: float) -> torch.Tensor:
    """TRL's own loss, which reads log-probabilities per token: a network that says them is put in its place."""
    trainer = pytest.importorskip("trl", reason="TRL (dev extra) is the oracle").DPOTrainer
    lengths = torch.cat([policy.chosen_tokens, policy.rejected_tokens]).long()
    mask = (torch.arange(31) >= 1) & (torch.arange(31) <= lengths[:, None])
    per_token = torch.cat([policy.chosen_mean, policy.rejected_mean])[:, None] * mask[:, 1:]
    said = SimpleNamespace(
        log_probs=per_token, entropy=per_token, mean_logits=per_token, is_top1=per_token == 0, aux_loss=None
    )
    itself = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x, device=torch.device("cpu"))
    stand_in = SimpleNamespace(
        model=SimpleNamespace(training=False),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[loss_type],
        loss_weights=[1.0],
        beta=beta,
        use_weighting=False,
        accelerator=itself,
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
    )
    inputs = {
        "input_ids": torch.zeros(mask.shape, dtype=torch.long),
        "attention_mask": mask.long(),
        "completion_mask": mask.long(),
        "ref_chosen_logps": reference.chosen,
        "ref_rejected_logps": reference.rejected,
    }
    return trainer._compute_loss(stand_in, lambda **_: said, inputs, return_outputs=False)


def test_losses_of_a_row_do_not_depend_on_the_others():
    policy, half = pairs(), Pairs(*(value[:4] for value in pairs()))
    for name in FAMILY:
        both = loss(name, policy, like(policy), **OPTIONS[name])[:4]
        rows = Pairs(*(value[:4] for value in like(policy)))
        torch.testing.assert_close(both, loss(name, half, rows, **OPTIONS[name]), msg=name)


def test_a_soft_preference_is_both_ways_round_each_by_its_share():
    policy, reference = pairs(), like(pairs())
    turned = [Pairs(b, a, d, c) for a, b, c, d in (policy, reference)]
    for name in FAMILY:
        one, other = loss(name, policy, reference, **OPTIONS[name]), loss(name, *turned, **OPTIONS[name])
        soft = loss(name, policy, reference, prefer=0.8, **OPTIONS[name])
        torch.testing.assert_close(soft, 0.8 * one + 0.2 * other, msg=name)


@pytest.mark.parametrize("name", ["dpo", "ipo", "simpo", "orpo"])
def test_the_implied_reward_is_what_the_loss_makes_larger(name):
    policy, reference = pairs(2), like(pairs(2))
    better = policy._replace(chosen=policy.chosen + 0.1)
    assert (loss(name, better, reference, **OPTIONS[name]) < loss(name, policy, reference, **OPTIONS[name])).all()
    sums = {
        "tokens": np.stack([policy.chosen_tokens, policy.rejected_tokens], axis=1).astype(np.int64),
        "reference": np.stack([reference.chosen, reference.rejected], axis=1),
    }
    before, after = (
        implied_rewards(name, OPTIONS[name], log_probs=np.stack([p.chosen, p.rejected], axis=1), **sums)
        for p in (policy, better)
    )
    assert (after[:, 0] > before[:, 0]).all()
    assert (after[:, 1] == before[:, 1]).all()


def test_the_difference_of_dpo_rewards_is_the_log_odds_and_orpo_rewards_are_log_odds():
    policy, reference, options = pairs(4), like(pairs(4)), OPTIONS["dpo"]
    sums = [np.stack([p.chosen, p.rejected], axis=1) for p in (policy, reference)]
    tokens = np.stack([policy.chosen_tokens, policy.rejected_tokens], axis=1).astype(np.int64)
    made = implied_rewards("any.dpo", options, log_probs=sums[0], reference=sums[1], tokens=tokens)
    losses = loss("dpo", policy, reference, **options)
    assert np.log1p(np.exp(made[:, 1] - made[:, 0])) == pytest.approx(losses.numpy(), rel=1e-5)
    odds = implied_rewards("orpo", {}, log_probs=sums[0], reference=sums[1], tokens=tokens)
    p = np.exp(sums[0] / tokens)
    assert odds == pytest.approx(np.log(p / (1 - p)), rel=1e-4)


FAMILY = ("dpo", "cdpo", "ipo", "simpo", "orpo")
OPTIONS = {
    "bt": {"margin": 0.0, "centring": 0.01},
    "dpo": {"beta": 0.1},
    "cdpo": {"beta": 0.1, "flipped": 0.1},
    "ipo": {"tau": 0.1},
    "simpo": {"beta": 2.0, "gamma": 0.5},
    "orpo": {"weight": 0.1},
}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("bt", {"margin": -1.0}),
        ("bt", {"margin": "date"}),
        ("bt", {"centring": -0.1}),
        ("dpo", {"beta": 0.0}),
        ("cdpo", {"flipped": 0.5}),
        ("cdpo", {"flipped": -0.1}),
        ("ipo", {"tau": 0.0}),
        ("simpo", {"beta": -1.0}),
        ("simpo", {"gamma": -1.0}),
        ("orpo", {"weight": -0.1}),
    ],
)
def test_options_out_of_range_are_refused(name, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        loss(name, pairs(1), pairs(1), **{**OPTIONS[name], **wrong})
