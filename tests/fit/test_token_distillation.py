"""Token-level distillation: the divergence of the top tokens, and the network that computes it, by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from tests.models.tiny import make_folder
from tests.models.tiny_stages import fit, obtain, weights
from w2s_lightning.errors import UserError
from w2s_lightning.execute.fit import refuse_other_vocabulary, taught_rows
from w2s_lightning.models.load import Source, load_tokenizer, quiet
from w2s_lightning.models.networks import TopTokens
from w2s_lightning.objectives import divergence, kd_tokens
from w2s_lightning.recipes.refusals import TOKEN_LEVEL
from w2s_lightning.store import Store

VOCABULARY = 12


def pair(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities [5, V] of a teacher and a student."""
    generator = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(5, VOCABULARY, generator=generator) * 2 for _ in range(2))
    return one.log_softmax(-1), other.log_softmax(-1)


def of_top(teacher: torch.Tensor, student: torch.Tensor, k: int) -> torch.Tensor:
    values, ids = teacher.topk(k)
    return divergence(values, student.gather(-1, ids))


def test_it_is_a_lower_bound_of_the_full_divergence_that_grows_with_the_tokens_up_to_it() -> None:
    teacher, student = pair(1)
    full = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    bounds = torch.stack([of_top(teacher, student, k) for k in range(1, VOCABULARY + 1)])
    assert (bounds >= 0).all()
    assert (bounds.diff(dim=0) >= -2e-5).all()
    assert (bounds[0] < full - 1e-3).any()
    torch.testing.assert_close(bounds[-1], full, atol=2e-5, rtol=1e-5)


def test_it_counts_the_tokens_that_are_not_listed_as_one() -> None:
    teacher, student = torch.tensor([[0.5, 0.3]]).log(), torch.tensor([[0.2, 0.2]]).log()
    by_hand = 0.5 * np.log(0.5 / 0.2) + 0.3 * np.log(0.3 / 0.2) + 0.2 * np.log(0.2 / 0.6)
    assert divergence(teacher, student).item() == pytest.approx(by_hand, rel=1e-5)


def test_equal_distributions_have_none_and_gradients_are_finite_where_a_token_is_certain() -> None:
    teacher, _ = pair()
    assert of_top(teacher, teacher, 3).abs().max() < 1e-6
    certain = torch.tensor([[0.0, -50.0]])
    student = torch.tensor([[-1e-9, -40.0]], requires_grad=True)
    divergence(certain, student).sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


PROMPTS = {"a": "is tea warm ? answer", "b": "can a fish swim in the sea all day ?" * 2, "c": "is snow black ? answer"}
TEXTS = {"a": " yes the tea is warm", "b": " yes", "c": " no"}


@pytest.fixture
def student(folder) -> Path:
    return folder("llama")


def table(tokenizer, k: int = 4) -> list[dict]:
    """Solutions as a teacher would have stored them; `c` was cut off."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for id, text in TEXTS.items():
        tokens = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        top = torch.randn(len(tokens), len(tokenizer), generator=generator).log_softmax(-1).topk(k)
        ends = {"finish": "length" if id == "c" else "eos", "tokens": tokens}
        rows.append({"example_id": id, **ends, "top_ids": top.indices.tolist(), "top_log_probs": top.values.tolist()})
    return rows


def test_the_network_sums_the_divergence_over_each_solutions_own_tokens(student: Path) -> None:
    tokenizer = load_tokenizer(Source(str(student)))
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32).eval()
    stored = table(tokenizer)
    data = taught_rows(stored, PROMPTS, tokenizer, special_tokens=True, max_length=64)
    assert data.ids == ("a", "b"), "what was cut off is left out"
    with torch.no_grad():
        found = TopTokens(model, bf16=False)(**data.collate(np.array([0, 1])))[:, 0]
    expected = []
    for row in stored[:2]:
        head, total = tokenizer(PROMPTS[row["example_id"]])["input_ids"], 0.0
        for n, (ids, log_probs) in enumerate(zip(row["top_ids"], row["top_log_probs"], strict=True)):
            before = torch.tensor([head + row["tokens"][:n]])
            with torch.no_grad():
                predicted = model(before).logits[0, -1].log_softmax(-1)
            total += divergence(torch.tensor(log_probs), predicted[ids]).item()
        expected.append(total)
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    counts = torch.from_numpy(data.targets["tokens"])
    assert counts[:, 0].tolist() == [len(row["tokens"]) for row in stored[:2]] == data.weights.tolist()
    assert kd_tokens(found[:, None], counts, fraction=0.0).tolist() == pytest.approx((found / counts[:, 0]).tolist())


def test_solutions_that_do_not_fit_are_refused_when_none_is_left(student: Path) -> None:
    tokenizer = load_tokenizer(Source(str(student)))
    stored = table(tokenizer)
    longest = len(tokenizer(PROMPTS["b"])["input_ids"]) + len(stored[1]["tokens"])
    fitting = taught_rows(stored, PROMPTS, tokenizer, special_tokens=True, max_length=longest - 1)
    assert fitting.ids == ("a",)
    assert fitting.num_truncated == 1
    with pytest.raises(UserError, match=r"raise fit\.max_length"):
        taught_rows(stored, PROMPTS, tokenizer, special_tokens=True, max_length=4)


def test_a_teacher_with_other_tokens_is_refused(student: Path, tmp_path: Path) -> None:
    teacher = fit(weights(make_folder(tmp_path / "other", "gpt2", texts=("other words make other tokens",) * 3)))
    store = Store.at(tmp_path / "store")
    obtain(store, teacher)
    own = load_tokenizer(Source(str(store.open(teacher) / "model")))
    refuse_other_vocabulary(teacher, own, store, TOKEN_LEVEL)
    with pytest.raises(UserError, match=r"another vocabulary .*level=sequence"):
        refuse_other_vocabulary(teacher, load_tokenizer(Source(str(student))), store, TOKEN_LEVEL)
