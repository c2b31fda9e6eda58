"""Objectives against closed forms, identities, torch's own losses and TRL."""

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.composing import job
from tests.small_jobs import SMALL_PAIRS
from w2s_lightning import objectives
from w2s_lightning.errors import UserError
from w2s_lightning.fit.paradigms import reads
from w2s_lightning.objectives import implied_rewards

LINEAR = {"c_max": 0.5, "warmup_share": 0.2, "warmup": "linear"}
LOGCONF = {**LINEAR, "threshold": "batch_mean"}
PAIRS: dict[str, dict[str, float]] = {
    "dpo": {"beta": 0.1},
    "cdpo": {"beta": 0.1, "flipped": 0.1},
    "ipo": {"tau": 0.1},
    "simpo": {"beta": 2.0, "gamma": 0.5},
    "orpo": {"weight": 0.1},
}


def loss(name: str, given: dict[str, Tensor], fraction: float = 0.3, **options: Any) -> Tensor:
    """A loss of `objectives.py`, [B], given the columns that it reads; of pairs the first completion is the better."""
    function = getattr(objectives, name)
    first = {"probs": torch.tensor([[1.0, 0.0]]).expand(len(next(iter(given.values()))), 2), "margins": None}
    columns = {**first, **given}
    return function(*(columns[column] for column in reads(function)), fraction=fraction, **options)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows(num_rows: int = 16, num_classes: int = 3) -> dict[str, Tensor]:
    logits, targets = random(num_rows, num_classes), random(num_rows, num_classes, seed=1)
    return {"logits": logits.requires_grad_(), "probs": (2 * targets).softmax(-1)}


def log_odds(*probs: float) -> Tensor:
    """Two-class logits whose softmax gives p for class 0."""
    return torch.tensor([[math.log(p / (1 - p)), 0.0] for p in probs])


def pairs(num_rows: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Summed log-probabilities of chosen and rejected completions by a policy and a reference."""
    tokens = torch.randint(2, 30, (num_rows, 2), generator=torch.Generator().manual_seed(seed)).float()
    policy, reference = (-tokens * (0.1 + random(num_rows, 2, seed=n).abs()) for n in (seed + 1, seed + 2))
    return {"log_probs": policy, "reference": reference, "tokens": tokens}


def pair(*log_probs: float, reference: tuple[float, float] = (0, 0), tokens: tuple[float, float] = (1, 1)) -> Any:
    columns = {"log_probs": log_probs, "reference": reference, "tokens": tokens}
    return {name: torch.tensor([values], dtype=torch.float32) for name, values in columns.items()}


def of(logits: Tensor, *probs: float, **columns: list[float]) -> dict[str, Tensor]:
    return {"logits": logits, "probs": torch.tensor([probs]), **{k: torch.tensor(v) for k, v in columns.items()}}


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def log(value: float) -> float:
    return math.log(value)


DPO = pair(-4, -7, reference=(-5, -6.5))  # a log-ratio of 1 beside one of -0.5
IPO = pair(-8, -3, reference=(-8, -3), tokens=(4, 2))
IPO_AT_TARGET = pair(-8 + 4 * 1.5, -3 - 2 * 0.5, reference=(-8, -3), tokens=(4, 2))  # 1.5 + 0.5 = 1 / (2 tau) a token
ODDS = log(math.exp(-0.5) / (1 - math.exp(-0.5))) - log(math.exp(-2) / (1 - math.exp(-2)))
REWARDS = torch.tensor([[2.0, 0.5]])
CROSS, OWN = -0.8 * log(0.25) - 0.2 * log(0.75), 0.8 * log(0.8) + 0.2 * log(0.2)
X, D = torch.tensor([[0.5, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, -0.5], [2.0, 4.0]])  # by token, of two completions
WSPO = {
    "moments": torch.stack([X * X, X * D, D * D], dim=-1).sum(dim=1).view(1, 6),
    "tokens": torch.tensor([[2.0, 2.0]]),
    "probs": torch.tensor([[0.75, 0.25]]),
}
BY_HAND = [
    ("xent", of(log_odds(0.8), 0.25, 0.75), {}, -0.25 * log(0.8) - 0.75 * log(0.2)),
    ("kd", of(log_odds(0.8), 1.0, 0.0), {"temperature": 1.0}, -log(0.8)),
    ("product", of(log_odds(0.8), 0.0, 1.0), {"alpha": 1.0, "beta": 1.0}, -log(0.2)),  # a target of zero stays zero
    ("product", of(log_odds(0.8), 0.0, 1.0), {"alpha": 0.0, "beta": 1.0}, -OWN),
    ("reverse_ce", of(log_odds(0.8), 0.25, 0.75), {"floor": 1e-7}, CROSS),
    ("reverse_kl", of(log_odds(0.8), 0.25, 0.75), {"floor": 1e-7}, CROSS + OWN),
    ("reverse_kl", of(log_odds(0.8), 1.0, 0.0), {"floor": 0.01}, OWN - 0.8 * log(0.995) - 0.2 * log(0.005)),
    ("bt", of(REWARDS, 1.0, 0.0), {"margin": 0.3, "centring": 0.01}, -log(sigmoid(1.5 - 0.3)) + 0.01 * 2.5**2),
    ("bt", of(REWARDS, 0.0, 1.0), {"margin": 0.3, "centring": 0.01}, -log(sigmoid(-1.5 - 0.3)) + 0.01 * 2.5**2),
    ("bt", of(REWARDS, 1.0, 0.0, margins=[1.2]), {"margin": "data", "centring": 0.0}, -log(sigmoid(1.5 - 1.2))),
    ("dpo", DPO, {"beta": 0.3}, -log(sigmoid(0.3 * 1.5))),
    ("cdpo", DPO, {"beta": 0.3, "flipped": 0.2}, -0.8 * log(sigmoid(0.45)) - 0.2 * log(sigmoid(-0.45))),
    ("ipo", IPO_AT_TARGET, {"tau": 0.25}, 0.0),
    ("ipo", IPO, {"tau": 0.25}, 4.0),
    ("simpo", pair(-4, -9, tokens=(2, 3)), {"beta": 2.0, "gamma": 0.5}, -log(sigmoid(2 * (-2 + 3) - 0.5))),
    ("orpo", pair(-1, -6, tokens=(2, 3)), {"weight": 0.2}, 0.5 - 0.2 * log(sigmoid(ODDS))),
    ("orpo", pair(-1, -6, tokens=(2, 3)), {"weight": 0.0}, 0.5),
    ("wspo", WSPO, {"beta": 2.0}, ((2 * 0.5 - 1) ** 2 + 0.5**2) / 2),  # of the preferred completion alone
    ("wspo", {**WSPO, "probs": torch.tensor([[0.25, 0.75]])}, {"beta": 0.1}, ((0.1 - 2) ** 2 + (0.2 - 4) ** 2) / 2),
]


@pytest.mark.parametrize(("name", "given", "options", "expected"), BY_HAND, ids=[case[0] for case in BY_HAND])
def test_each_loss_by_hand(name, given, options, expected):
    assert loss(name, given, **options).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


# ---------------------------------------------------------------- classes


def test_xent_is_torchs_cross_entropy():
    given = rows()
    torch.testing.assert_close(loss("xent", given), F.cross_entropy(*given.values(), reduction="none"))


def test_kd_is_torchs_kl_times_the_squared_temperature_and_zero_for_equal_logits():
    logits, teacher = rows()["logits"], random(16, 3, seed=5)
    ours = loss("kd", {"logits": logits, "probs": teacher.softmax(-1)}, temperature=3.0)
    torchs = F.kl_div((logits / 3).log_softmax(-1), (teacher / 3).softmax(-1), reduction="none").sum(-1)
    torch.testing.assert_close(ours, 9 * torchs, rtol=1e-4, atol=1e-6)
    equal = loss("kd", {"logits": logits, "probs": logits.detach().softmax(-1)}, temperature=2.0)
    torch.testing.assert_close(equal, torch.zeros(16), atol=1e-5, rtol=0)


def test_kd_and_reverse_kl_agree_with_trl_up_to_the_squared_temperature():
    gkd = pytest.importorskip("trl.experimental.gkd", reason="TRL (dev extra) is the oracle").GKDTrainer
    logits, teacher = rows()["logits"], random(16, 3, seed=5)
    given = {"logits": logits, "probs": teacher.softmax(-1)}

    def trl(beta: float, temperature: float) -> Tensor:
        labels = torch.zeros(16, 1, dtype=torch.long)
        return gkd.generalized_jsd_loss(
            logits[:, None], teacher[:, None], labels=labels, beta=beta, temperature=temperature
        )

    kd, reverse = loss("kd", given, temperature=2.0).mean(), loss("reverse_kl", given, floor=1e-9).mean()
    torch.testing.assert_close(kd, 4 * trl(0.0, 2.0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(reverse, trl(1.0, 1.0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("warmup", "share", "fraction", "weight"),
    [
        ("linear", 0.2, 0.0, 0.0),
        ("linear", 0.2, 0.1, 0.25),
        ("linear", 0.2, 0.2, 0.5),
        ("linear", 0.2, 0.9, 0.5),
        ("linear", 0.0, 0.0, 0.5),
        ("openai_2023", 0.2, 0.1, 0.05),  # the ramp of the 2023 code reaches only c_max * warmup_share
        ("openai_2023", 0.2, 0.2, 0.1),
        ("openai_2023", 0.2, 0.21, 0.5),
    ],
)
def test_logconf_weights_its_own_answer_by_training_fraction(warmup, share, fraction, weight):
    given = {"logits": log_odds(0.9, 0.2), "probs": torch.full((2, 2), 0.5)}
    found = loss("logconf", given, fraction, **{**LOGCONF, "warmup": warmup, "warmup_share": share})
    mixed = (1 - weight) * given["probs"] + weight * torch.eye(2)
    torch.testing.assert_close(found, F.cross_entropy(given["logits"], mixed, reduction="none"))


def test_logconf_equals_the_published_code_on_two_classes():
    logits, targets = (given := rows(32, 2)).values()
    probs = logits.softmax(-1)
    threshold = torch.quantile(probs[:, 0], targets.mean(0)[1])
    strong = torch.stack([probs[:, 0] >= threshold, probs[:, 0] < threshold], 1).float()
    published = F.cross_entropy(logits, 0.5 * targets + 0.5 * strong, reduction="none")
    torch.testing.assert_close(loss("logconf", given, 1.0, **LOGCONF), published)


HALVES = {"logits": log_odds(0.95, 0.9, 0.85, 0.8), "probs": torch.full((4, 2), 0.5)}


@pytest.mark.parametrize(
    ("threshold", "given", "hardened"),
    [
        ("batch_mean", HALVES, torch.tensor([0, 0, 1, 1])),  # the share of predicted classes is the mean target
        ("batch_median", HALVES, torch.tensor([0, 0, 1, 1])),
        ("fixed_half", HALVES, torch.tensor([0, 0, 0, 0])),
        ("batch_mean", four := rows(num_classes=4), four["logits"].argmax(-1)),
    ],
)
def test_logconf_hardens_by_its_threshold_and_more_classes_by_the_argmax(threshold, given, hardened):
    found = loss("logconf", given, 1.0, **{**LOGCONF, "c_max": 1.0, "threshold": threshold})
    torch.testing.assert_close(found, F.cross_entropy(given["logits"], hardened, reduction="none"))


@pytest.mark.parametrize(("threshold", "of_the_first"), [("batch_median", 25), ("batch_mean", 20), ("fixed_half", 36)])
def test_only_the_papers_threshold_halves_a_batch_that_is_off_centre(threshold, of_the_first):
    """36 of 50 rows lie above p = 0.5, and the targets give the first class 40 %: recomputed with numpy."""
    gaps = np.arange(50) - 13.5
    targets = np.tile([0.4, 0.6], (50, 1))
    p = 1 / (1 + np.exp(-gaps / 20))
    hardened = np.arange(50) >= 50 - of_the_first  # the largest gaps
    mixed = 0.5 * targets + 0.5 * np.stack([hardened, ~hardened], axis=1)
    expected = -(mixed * np.log(np.stack([p, 1 - p], axis=1))).sum(axis=1)
    logits = torch.tensor(np.stack([gaps / 20, 0 * gaps], axis=1))
    given = {"logits": logits, "probs": torch.tensor(targets)}
    found = loss("logconf", given, 1.0, **{**LOGCONF, "threshold": threshold})
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_the_default_threshold_is_the_papers():
    assert job("objective=logconf")[0].objective.options["threshold"] == "batch_median"


@pytest.mark.parametrize("minimise", [False, True])
def test_entropy_is_a_smaller_step_unless_it_is_minimised(minimise):
    """Both gradients in closed form, with numpy; c is 0.25 at half of the warm-up."""
    logits, targets = (given := rows()).values()
    loss("entropy", given, 0.1, **LINEAR, minimise=minimise).sum().backward()
    raised = np.exp(logits.detach().double().numpy())
    p, y = raised / raised.sum(axis=1, keepdims=True), targets.double().numpy()
    entropy = -(p * np.log(p)).sum(axis=1, keepdims=True)
    expected = 0.75 * (p - y) - 0.25 * minimise * p * (np.log(p) + entropy)
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-6)


def test_entropy_is_a_self_target_exactly_when_it_is_minimised():
    assert not job("objective=entropy")[0].objective.self_target
    assert job("objective=entropy", "objective.minimise=true")[0].objective.self_target


@pytest.mark.parametrize(
    ("name", "options", "target"),
    [
        ("logconf", LOGCONF, lambda p, y: 0.5 * y + 0.5 * F.one_hot(p.argmax(-1), 3)),
        ("product", {"alpha": 1.5, "beta": 0.5}, lambda p, y: F.normalize(p**0.5 * y**1.5, p=1, dim=-1)),
    ],
)
def test_self_targets_are_detached(name, options, target):
    logits, targets = (given := rows()).values()
    probs = logits.detach().softmax(-1)
    loss(name, given, 1.0, **options).sum().backward()
    torch.testing.assert_close(logits.grad, probs - target(probs, targets), rtol=1e-4, atol=1e-6)


def test_next_token_is_the_mean_cross_entropy_of_shifted_tokens():
    logits, tokens = random(2, 5, 7), torch.randint(7, (2, 5), generator=torch.Generator().manual_seed(1))
    expected = F.cross_entropy(logits[:, :-1].reshape(-1, 7), tokens[:, 1:].reshape(-1))
    torch.testing.assert_close(loss("next_token", {"token_logits": logits, "ids": tokens}).mean(), expected)


# ---------------------------------------------------------------- pairs


def test_soft_bt_is_the_choice_loss_and_bt_without_margin_equals_it():
    soft = loss("soft_bt", given := rows(9, 2))
    torch.testing.assert_close(soft, loss("xent", given))
    torch.testing.assert_close(soft, loss("bt", given, margin=0.0, centring=0.0))


@pytest.mark.parametrize("flipped", [0.0, 0.3])
def test_dpo_is_log_2_where_the_policy_is_the_reference(flipped):
    given = {**pairs(), "reference": pairs()["log_probs"]}
    torch.testing.assert_close(loss("cdpo", given, beta=0.1, flipped=flipped), torch.full((8,), math.log(2)))


@pytest.mark.parametrize(("flipped", "share"), [(0.0, 1.0), (0.1, 0.9)])  # cdpo: sigma(beta delta) = 1 - e
def test_dpo_learns_until_every_pair_is_told_apart_and_cdpo_stops_before(flipped, share):
    delta = torch.linspace(-60, 60, 2001)
    policy = torch.stack([delta, torch.zeros(2001)], dim=-1)
    losses = loss("cdpo", {"log_probs": policy, "reference": 0 * policy}, beta=0.3, flipped=flipped)
    assert torch.sigmoid(0.3 * delta[losses.argmin()]).item() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("mean", [-1e-7, -1e-4, -0.5, -0.6931, -0.6932, -5.0, -80.0])
def test_log1mexp_is_exact_from_certain_to_impossible(mean):
    value = torch.tensor(mean, requires_grad=True)
    found = objectives.log1mexp(value)
    exact = torch.log(-torch.expm1(value.detach().double()))
    assert found.item() == pytest.approx(exact.item(), rel=2e-6)
    found.backward()
    assert value.grad.isfinite()


def test_orpo_stays_finite_where_a_completion_is_certain():
    policy = torch.tensor([[0.0, -900.0], [-1e-9, 0.0]], requires_grad=True)
    losses = loss("orpo", {"log_probs": policy, "tokens": torch.ones(2, 2)}, weight=1.0)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert policy.grad.isfinite().all()


@pytest.mark.parametrize(("name", "loss_type", "option"), [("dpo", "sigmoid", "beta"), ("ipo", "ipo", "tau")])
def test_dpo_and_ipo_agree_with_trl(name, loss_type, option):
    """TRL's own loss reads log-probabilities per token: a network that says them is put in its place."""
    trainer = pytest.importorskip("trl", reason="TRL (dev extra) is the oracle").DPOTrainer
    policy, reference, tokens = (given := pairs()).values()
    mask = (torch.arange(31) >= 1) & (torch.arange(31) <= tokens.T.reshape(-1, 1))
    per_token = (policy / tokens).T.reshape(-1, 1) * mask[:, 1:]
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
        beta=0.2,
        use_weighting=False,
        accelerator=itself,
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
    )
    inputs = {
        "input_ids": torch.zeros(mask.shape, dtype=torch.long),
        "attention_mask": mask.long(),
        "completion_mask": mask.long(),
        "ref_chosen_logps": reference[:, 0],
        "ref_rejected_logps": reference[:, 1],
    }
    theirs = trainer._compute_loss(stand_in, lambda **_: said, inputs, return_outputs=False)
    torch.testing.assert_close(loss(name, given, **{option: 0.2}).mean(), theirs)


def test_orpo_and_simpo_agree_with_trl():
    orpo = pytest.importorskip("trl.experimental.orpo", reason="TRL (dev extra) is the oracle").ORPOTrainer
    cpo = pytest.importorskip("trl.experimental.cpo", reason="TRL (dev extra) is the oracle").CPOTrainer
    given = pairs()
    chosen, rejected = (given["log_probs"] / given["tokens"]).T
    here = SimpleNamespace(device=torch.device("cpu"))
    ratio = orpo.odds_ratio_loss(SimpleNamespace(beta=0.2, accelerator=here), chosen, rejected)[0]
    torch.testing.assert_close(loss("orpo", given, weight=0.2), -chosen - ratio)  # TRL: loss = nll - this
    trl = SimpleNamespace(
        beta=2.0, simpo_gamma=0.5, alpha=0.0, label_smoothing=0.0, loss_type="simpo", accelerator=here
    )
    torch.testing.assert_close(loss("simpo", given, beta=2.0, gamma=0.5), cpo.cpo_loss(trl, chosen, rejected)[0])


@pytest.mark.parametrize("name", PAIRS)
def test_losses_of_a_row_do_not_depend_on_the_others(name):
    given, options = pairs(), PAIRS[name]
    half = {column: values[:4] for column, values in given.items()}
    torch.testing.assert_close(loss(name, given, **options)[:4], loss(name, half, **options))


@pytest.mark.parametrize("name", PAIRS)
def test_a_soft_preference_is_both_ways_round_each_by_its_share(name):
    given, options = pairs(), PAIRS[name]
    turned = {column: values.flip(1) for column, values in given.items()}
    soft = loss(name, {**given, "probs": torch.tensor([[0.8, 0.2]]).expand(8, 2)}, **options)
    torch.testing.assert_close(soft, 0.8 * loss(name, given, **options) + 0.2 * loss(name, turned, **options))


def rewards(name: str, given: dict[str, Tensor]) -> np.ndarray:
    sums = {column: values.numpy() for column, values in given.items()}
    return implied_rewards(f"any.{name}", PAIRS[name], **{**sums, "tokens": sums["tokens"].astype(np.int64)})


@pytest.mark.parametrize("name", PAIRS)
def test_the_implied_reward_is_what_the_loss_makes_larger(name):
    given = pairs(2)
    better = {**given, "log_probs": given["log_probs"] + torch.tensor([0.1, 0.0])}
    assert (loss(name, better, **PAIRS[name]) < loss(name, given, **PAIRS[name])).all()
    before, after = rewards(name, given), rewards(name, better)
    assert (after[:, 0] > before[:, 0]).all()
    assert (after[:, 1] == before[:, 1]).all()


def test_the_difference_of_dpo_rewards_is_the_log_odds_and_orpo_rewards_are_log_odds():
    made = rewards("dpo", given := pairs(4))
    expected = loss("dpo", given, **PAIRS["dpo"]).numpy()
    assert np.log1p(np.exp(made[:, 1] - made[:, 0])) == pytest.approx(expected, rel=1e-5)
    p = (given["log_probs"] / given["tokens"]).exp().numpy()
    assert rewards("orpo", given) == pytest.approx(np.log(p / (1 - p)), rel=1e-4)


# ---------------------------------------------------------------- options

IMPLICIT = (*SMALL_PAIRS, "fit.readout=implicit")


@pytest.mark.parametrize(
    ("settings", "name", "wrong"),
    [
        ((), "logconf", "c_max=1.5"),
        ((), "logconf", "warmup_share=-0.1"),
        ((), "logconf", "warmup=cosine"),
        ((), "logconf", "threshold=half"),
        ((), "entropy", "c_max=-1"),
        ((), "product", "alpha=-1"),
        ((), "kd", "temperature=0"),
        ((), "reverse_kl", "floor=0"),
        ((), "reverse_ce", "floor=1"),
        (SMALL_PAIRS, "bt", "margin=-1.0"),
        (SMALL_PAIRS, "bt", "margin=date"),
        (SMALL_PAIRS, "bt", "centring=-0.1"),
        (IMPLICIT, "dpo", "beta=0"),
        (IMPLICIT, "cdpo", "flipped=0.5"),
        (IMPLICIT, "cdpo", "flipped=-0.1"),
        (IMPLICIT, "ipo", "tau=0"),
        (IMPLICIT, "simpo", "beta=-1"),
        (IMPLICIT, "simpo", "gamma=-1"),
        (IMPLICIT, "orpo", "weight=-0.1"),
        (IMPLICIT, "wspo", "beta=0"),
    ],
)
def test_options_out_of_range_are_refused_when_they_are_typed(settings, name, wrong):
    with pytest.raises(UserError, match=f"objective.{wrong.partition('=')[0]}="):
        job(*settings, f"objective={name}", f"objective.{wrong}")
