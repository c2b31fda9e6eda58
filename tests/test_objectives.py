"""Objectives against hand-computed values, torch's own losses and TRL."""

import math

import pytest
import torch
from torch.nn import functional as F

from w2s_lightning import objectives
from w2s_lightning.errors import UserError

LINEAR = {"c_max": 0.5, "warmup_share": 0.2, "warmup": "linear"}
LOGCONF = {**LINEAR, "threshold": "batch_mean"}


def rows(num_rows: int = 16, num_classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_rows, num_classes, generator=generator)
    targets = torch.softmax(2 * torch.randn(num_rows, num_classes, generator=generator), dim=-1)
    return logits.requires_grad_(), targets


def log_odds(*probs: float) -> torch.Tensor:
    """Two-class logits whose softmax gives p for class 0."""
    return torch.tensor([[math.log(p / (1 - p)), 0.0] for p in probs])


def test_xent_by_hand_and_as_torch_has_it():
    by_hand = objectives.xent(log_odds(0.8), torch.tensor([[0.25, 0.75]]), fraction=0.0)
    assert by_hand.item() == pytest.approx(-0.25 * math.log(0.8) - 0.75 * math.log(0.2), rel=1e-6)
    logits, targets = rows()
    torch.testing.assert_close(
        objectives.xent(logits, targets, fraction=0.3), F.cross_entropy(logits, targets, reduction="none")
    )


def test_kd_is_torchs_kl_times_the_squared_temperature():
    logits, _ = rows()
    teacher_logits = torch.randn(16, 3, generator=torch.Generator().manual_seed(5))
    ours = objectives.kd(logits, teacher_logits.softmax(-1), fraction=0.0, temperature=3.0)
    torchs = F.kl_div((logits / 3).log_softmax(-1), (teacher_logits / 3).softmax(-1), reduction="none").sum(-1)
    torch.testing.assert_close(ours, 9 * torchs, rtol=1e-4, atol=1e-6)


def test_kd_is_zero_for_equal_logits_and_finite_for_hard_targets():
    logits, _ = rows()
    equal = objectives.kd(logits, logits.detach().softmax(-1), fraction=0.0, temperature=2.0)
    torch.testing.assert_close(equal, torch.zeros(16), atol=1e-5, rtol=0)
    hard = objectives.kd(log_odds(0.8), torch.tensor([[1.0, 0.0]]), fraction=0.0, temperature=1.0)
    assert hard.item() == pytest.approx(-math.log(0.8), rel=1e-6)


def test_kd_and_reverse_kl_agree_with_trl_up_to_the_squared_temperature():
    gkd = pytest.importorskip("trl.experimental.gkd", reason="TRL (dev extra) is the oracle").GKDTrainer
    logits, _ = rows()
    teacher = torch.randn(16, 3, generator=torch.Generator().manual_seed(5))
    probs = teacher.softmax(-1)

    def trl(beta: float, temperature: float) -> torch.Tensor:
        labels = torch.zeros(16, 1, dtype=torch.long)
        return gkd.generalized_jsd_loss(
            logits[:, None], teacher[:, None], labels=labels, beta=beta, temperature=temperature
        )

    kd = objectives.kd(logits, probs, fraction=0.0, temperature=2.0).mean()
    torch.testing.assert_close(kd, 4 * trl(0.0, 2.0), rtol=1e-4, atol=1e-6)
    reverse = objectives.reverse_kl(logits, probs, fraction=0.0, floor=1e-9).mean()
    torch.testing.assert_close(reverse, trl(1.0, 1.0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("warmup", "fraction", "weight"),
    [
        ("linear", 0.0, 0.0),
        ("linear", 0.1, 0.25),
        ("linear", 0.2, 0.5),
        ("linear", 0.9, 0.5),
        ("openai_2023", 0.1, 0.05),  # the ramp of the 2023 code reaches only c_max * warmup_share
        ("openai_2023", 0.2, 0.1),
        ("openai_2023", 0.21, 0.5),
    ],
)
def test_logconf_weights_its_own_answer_by_training_fraction(warmup, fraction, weight):
    logits, targets = log_odds(0.9, 0.2), torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    loss = objectives.logconf(logits, targets, fraction=fraction, **{**LOGCONF, "warmup": warmup})
    mixed = (1 - weight) * targets + weight * torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(loss, F.cross_entropy(logits, mixed, reduction="none"))


def test_logconf_equals_the_published_code_on_two_classes():
    logits, targets = rows(32, 2)
    probs = logits.softmax(-1)
    threshold = torch.quantile(probs[:, 0], targets.mean(0)[1])
    strong = torch.stack([probs[:, 0] >= threshold, probs[:, 0] < threshold], 1).float()
    published = F.cross_entropy(logits, 0.5 * targets + 0.5 * strong, reduction="none")
    torch.testing.assert_close(objectives.logconf(logits, targets, fraction=1.0, **LOGCONF), published)


def test_logconf_threshold_moves_the_share_of_predicted_classes_to_the_mean_target():
    logits = log_odds(0.95, 0.9, 0.85, 0.8)  # all class 0 by one half, half of them by the batch's mean
    targets = torch.full((4, 2), 0.5)
    halves = {"batch_mean": [1, 1, 0, 0], "half": [1, 1, 1, 1]}
    for threshold, first in halves.items():
        loss = objectives.logconf(logits, targets, fraction=1.0, **{**LOGCONF, "c_max": 1.0, "threshold": threshold})
        expected = F.cross_entropy(logits, 1 - torch.tensor(first), reduction="none")
        torch.testing.assert_close(loss, expected, msg=threshold)


def test_logconf_uses_the_argmax_for_more_classes():
    logits, targets = rows(num_classes=4)
    loss = objectives.logconf(logits, targets, fraction=1.0, **{**LOGCONF, "c_max": 1.0})
    torch.testing.assert_close(loss, F.cross_entropy(logits, logits.argmax(-1), reduction="none"))


@pytest.mark.parametrize(
    ("name", "options", "target"),
    [
        ("logconf", LOGCONF, lambda p, y: 0.5 * y + 0.5 * F.one_hot(p.argmax(-1), 3)),
        ("entropy", LINEAR, lambda p, y: 0.5 * y + 0.5 * p),
        ("product", {"alpha": 1.5, "beta": 0.5}, lambda p, y: F.normalize(p**0.5 * y**1.5, p=1, dim=-1)),
    ],
)
def test_self_targets_are_detached(name, options, target):
    logits, targets = rows()
    probs = logits.detach().softmax(-1)
    getattr(objectives, name)(logits, targets, fraction=1.0, **options).sum().backward()
    torch.testing.assert_close(logits.grad, probs - target(probs, targets), rtol=1e-4, atol=1e-6)


def test_product_keeps_a_zero_target_at_zero_and_ignores_it_with_alpha_zero():
    logits, hard = log_odds(0.8), torch.tensor([[0.0, 1.0]])
    kept = objectives.product(logits, hard, fraction=0.0, alpha=1.0, beta=1.0)
    assert kept.item() == pytest.approx(-math.log(0.2), rel=1e-6)
    own = objectives.product(logits, hard, fraction=0.0, alpha=0.0, beta=1.0)
    assert own.item() == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2), rel=1e-6)


def test_reverse_losses_by_hand():
    logits, targets = log_odds(0.8), torch.tensor([[0.25, 0.75]])
    cross = -0.8 * math.log(0.25) - 0.2 * math.log(0.75)
    own = 0.8 * math.log(0.8) + 0.2 * math.log(0.2)
    assert objectives.reverse_ce(logits, targets, fraction=0.0, floor=1e-7).item() == pytest.approx(cross, rel=1e-5)
    kl = objectives.reverse_kl(logits, targets, fraction=0.0, floor=1e-7).item()
    assert kl == pytest.approx(cross + own, rel=1e-5)
    hard = objectives.reverse_kl(logits, torch.tensor([[1.0, 0.0]]), fraction=0.0, floor=0.01).item()
    assert hard == pytest.approx(0.8 * math.log(0.8 / 0.995) + 0.2 * math.log(0.2 / 0.005), rel=1e-5)


def test_next_token_is_the_mean_cross_entropy_of_shifted_tokens():
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    tokens = torch.randint(7, (2, 5), generator=torch.Generator().manual_seed(1))
    expected = F.cross_entropy(logits[:, :-1].reshape(-1, 7), tokens[:, 1:].reshape(-1))
    torch.testing.assert_close(objectives.next_token(logits, tokens, fraction=0.0).mean(), expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("logconf", {**LOGCONF, "c_max": 1.5}),
        ("logconf", {**LOGCONF, "warmup_share": -0.1}),
        ("logconf", {**LOGCONF, "warmup": "cosine"}),
        ("logconf", {**LOGCONF, "threshold": "median"}),
        ("entropy", {**LINEAR, "c_max": -1}),
        ("product", {"alpha": -1, "beta": 1}),
        ("kd", {"temperature": 0}),
        ("reverse_kl", {"floor": 0}),
        ("reverse_ce", {"floor": 1}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    logits, targets = rows(num_classes=2)
    with pytest.raises(UserError):
        getattr(objectives, name)(logits, targets, fraction=0.5, **options)


def test_warm_up_over_no_share_of_training_starts_at_the_full_weight():
    logits, targets = rows(num_classes=2)
    at_start = objectives.logconf(logits, targets, fraction=0.0, **{**LOGCONF, "warmup_share": 0})
    later = objectives.logconf(logits, targets, fraction=0.9, **LOGCONF)
    torch.testing.assert_close(at_start, later)
