"""Training on pairs and on solutions with a tiny real model."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch

from tests.fit.fitting import OPTIMISATION, module_of, run, step_data
from tests.models import tiny_stages
from w2s_lightning import objectives
from w2s_lightning.config.schema import Objective
from w2s_lightning.data.model_texts import encode_completions
from w2s_lightning.fit.paradigms import Supervised, WeakToStrong, learning_rate, objective_of
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.load import Outputs, Source, open_source
from w2s_lightning.models.networks import read_as
from w2s_lightning.objectives import sft
from w2s_lightning.stages import ReadOut

CPU = torch.device("cpu")
PROMPTS = [f"is {noun} {word} ?" for noun in ("tea", "snow", "fish", "day") for word in ("warm", "black", "long")]
RIGHT, WRONG = " yes it is and the day is long", " no"
DPO = partial(objectives.dpo, beta=0.1)


@pytest.fixture(scope="module")
def tiny(folder):
    opened = open_source(Source(str(folder("llama"))), ReadOut("text", "zeros"), Outputs(0, ()), tiny_stages.NUMERICS)
    return read_as(opened.network, "log_probs").eval(), opened.tokenizer


def encoded(tokenizer, completions):
    ids = [f"e{i}" for i in range(len(PROMPTS))]
    settings = {"max_length": 64, "special_tokens": True, "end": True}
    return encode_completions(ids, PROMPTS, completions, tokenizer=tokenizer, **settings)


def pairs(tiny, shift=0.0):
    """Pairs against the network itself as reference; right and wrong swapped in every sixth row."""
    network, tokenizer = tiny
    texts = [(RIGHT, WRONG) if i % 6 else (WRONG, RIGHT) for i in range(len(PROMPTS))]
    rows = encoded(tokenizer, texts)
    reference = score(network, rows, tokens_per_batch=1000, device=CPU) + np.float32(shift)
    columns = {"reference": reference, "tokens": rows.completion_tokens.astype(np.float32)}
    probs = np.tile(np.array([1, 0], np.float32), (len(PROMPTS), 1))
    return rows.trained_on(np.linspace(0.5, 1.5, len(PROMPTS)), probs=probs, **columns)


def solutions(tiny):
    texts = [(RIGHT,) if i % 2 else (WRONG,) for i in range(len(PROMPTS))]
    rows = encoded(tiny[1], texts)
    tokens = rows.completion_tokens.astype(np.float32)
    return rows.trained_on(tokens[:, 0], tokens=tokens)


def fitted(kind, tiny, data, folder, objective, tokens_per_batch=10_000, **options):
    network = copy.deepcopy(tiny[0])
    steps = step_data(data, tokens_per_batch=tokens_per_batch)
    module = module_of(kind, network, len(steps.loader), objective=objective)
    return run(module, steps, folder, **options), network


def test_the_first_loss_is_log_2_and_pairs_are_told_apart_after_training(tiny, tmp_path):
    result, network = fitted(WeakToStrong, tiny, pairs(tiny), tmp_path, DPO)
    assert result.history[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert result.history[0]["margin"] == pytest.approx(0, abs=1e-3)
    assert result.final_loss < 0.69
    assert {"agreement", "margin", "chosen_ratio"} <= set(result.history[-1])
    data = pairs(tiny)
    after = score(network.eval(), data, tokens_per_batch=1000, device=CPU)
    gained = (after - data.targets["reference"]) @ [1, -1]
    assert (gained > 0).mean() > 0.7
    assert gained.mean() > 1


@pytest.mark.parametrize(
    ("kind", "made", "objective"),
    [(WeakToStrong, pairs, DPO), (Supervised, solutions, sft)],
    ids=["pairs", "solutions"],
)
def test_micro_batches_change_nothing(kind, made, objective, tiny, tmp_path):
    whole, one = fitted(kind, tiny, made(tiny), tmp_path / "a", objective)
    parts, other = fitted(kind, tiny, made(tiny), tmp_path / "b", objective, tokens_per_batch=60)
    assert whole.final_loss == pytest.approx(parts.final_loss, rel=1e-3)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)


def test_a_bare_pytorch_loop_over_pairs_ends_at_the_same_weights(tiny, tmp_path):
    data = pairs(tiny, shift=0.5)
    _, network = fitted(WeakToStrong, tiny, data, tmp_path, partial(objectives.ipo, tau=0.5))
    bare, loader = copy.deepcopy(tiny[0]).train(), step_data(data).loader
    optimizer = torch.optim.AdamW(bare.parameters(), lr=0.01, weight_decay=0.0, fused=True)
    for step in loader:
        optimizer.param_groups[0]["lr"] = learning_rate(step.number, len(loader), OPTIMISATION)
        inputs, targets = step.micros[0].inputs, step.targets
        output = bare.model(input_ids=inputs["ids"], attention_mask=inputs["mask"]).logits[:, :-1].log_softmax(-1)
        own = output.gather(-1, inputs["ids"][:, 1:, None])[..., 0] * inputs["scored"][:, 1:]
        ratios = (own.sum(-1).view(-1, 2) - targets["reference"]) / targets["tokens"]
        losses = (ratios[:, 0] - ratios[:, 1] - 1).square()
        optimizer.zero_grad()
        ((losses * step.weights).sum() / step.weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimizer.step()
    for ours, theirs in zip(network.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-2)


def test_every_objective_of_the_family_trains_through_its_options(tiny, tmp_path):
    options = {
        "cdpo": {"beta": 0.1, "flipped": 0.1},
        "simpo": {"beta": 2.0, "gamma": 0.5},
        "orpo": {"weight": 0.1},
    }
    for name, given in options.items():
        objective = objective_of(Objective(target=f"w2s_lightning.objectives.{name}", self_target=False, options=given))
        result, _ = fitted(WeakToStrong, tiny, pairs(tiny), tmp_path / name, objective)
        assert result.final_loss < result.history[0]["loss"], name


def test_orpo_raises_the_chosen_completion_itself_and_not_only_its_lead(tiny, tmp_path):
    result, network = fitted(WeakToStrong, tiny, pairs(tiny), tmp_path, partial(objectives.orpo, weight=0.1))
    data = pairs(tiny)
    after = score(network.eval(), data, tokens_per_batch=1000, device=CPU)
    assert result.history[0]["chosen_ratio"] == pytest.approx(0, abs=1e-3)
    assert result.history[-1]["chosen_ratio"] > 1
    assert (after[:, 0] - data.targets["reference"][:, 0]).mean() > 1


def test_the_loss_of_solutions_is_the_mean_over_the_steps_solution_tokens(tiny, tmp_path):
    data = solutions(tiny)
    result, _ = fitted(Supervised, tiny, data, tmp_path, sft)
    first = step_data(data).loader.step(0)
    rows = step_data(data).loader.plan[0]
    found = score(tiny[0], data, tokens_per_batch=1000, device=CPU)
    expected = -found[rows].sum() / data.completion_tokens[rows].sum()
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-4)
    assert result.history[0]["solution_tokens"] == pytest.approx(float(first.targets["tokens"].mean()))
    assert result.final_loss < result.history[0]["loss"]
