"""Log-probabilities of given completions, against plain passes."""

import numpy as np
import pytest
import torch

from tests.generate.drawing import PROMPTS, Tiny, draw, next_logits, settings, tokens_of
from w2s_lightning.data.model_texts import encode_completions
from w2s_lightning.data.rows import Rows
from w2s_lightning.generate.scoring import score, token_log_probs
from w2s_lightning.models.networks import CompletionLogProbs

CPU = torch.device("cpu")
TEXTS = ("is tea warm ?", "do cats bark in the yard ? cats sleep", "yes", "can a fish swim all day ?")
ANSWERS = ((" yes", " no the tea is long"), (" dogs bark", " snow"), (" no", " the sea and the day"), ("", " warm"))


def encoded(tiny: Tiny, *, max_length: int = 64, end: bool = True) -> Rows:
    ids = [f"e{i}" for i in range(len(TEXTS))]
    options = {"max_length": max_length, "special_tokens": True, "end": end}
    return encode_completions(ids, TEXTS, ANSWERS, tokenizer=tiny.tokenizer, **options)


def network(tiny: Tiny) -> CompletionLogProbs:
    return CompletionLogProbs(tiny.model, bf16=False).eval()


@pytest.mark.parametrize("family", ["gpt2", "grouped", "qwen3"])
@pytest.mark.parametrize("end", [True, False])
def test_they_are_the_sums_of_a_plain_pass_over_completion_tokens(family, end, tiny):
    rows = encoded(tiny(family), end=end)
    found = score(network(tiny(family)), rows, tokens_per_batch=50, device=CPU)
    for row, (text, answers) in enumerate(zip(TEXTS, ANSWERS, strict=True)):
        for m, answer in enumerate(answers):
            prompt, own = tokens_of(tiny(family), text), tokens_of(tiny(family), answer) + [0] * end
            plain = next_logits(tiny(family), prompt + own).log_softmax(-1)[len(prompt) - 1 : -1]
            wanted = plain.gather(-1, torch.tensor(own, dtype=torch.long)[:, None]).sum()
            assert found[row, m] == pytest.approx(float(wanted), abs=2e-4)
            assert rows.completion_tokens[row, m] == len(own)


def test_they_do_not_depend_on_the_token_budget_and_are_sums_over_tokens(tiny):
    rows, model = encoded(tiny("llama")), network(tiny("llama"))
    every = token_log_probs(model, rows, tokens_per_batch=60, device=CPU)
    assert [len(one) for one in every] == rows.completion_tokens.reshape(-1).tolist()
    whole = score(model, rows, tokens_per_batch=10_000, device=CPU)
    single = score(model, rows, tokens_per_batch=1, device=CPU)
    np.testing.assert_allclose(whole, single, atol=1e-4)
    np.testing.assert_allclose(whole.reshape(-1), [one.sum() for one in every], atol=1e-4)


def test_they_agree_with_what_generation_stored(tiny):
    samples = draw(tiny("llama"), settings(top_log_probs=1, max_new_tokens=6)).values()
    texts = {p.id: p.text for p in PROMPTS}
    rows = encode_completions(
        [s.id for s in samples],
        [texts[s.id] for s in samples],
        [(s.text,) for s in samples],
        tokenizer=tiny("llama").tokenizer,
        max_length=64,
        special_tokens=True,
        end=False,
    )
    found = score(network(tiny("llama")), rows, tokens_per_batch=500, device=CPU)
    checked = 0
    for sample, text, total in zip(samples, rows.texts, found[:, 0], strict=True):
        if text[-len(sample.tokens) :].tolist() == sample.tokens:  # half characters do not come back from text
            assert total == pytest.approx(sum(values[0] for values in sample.top_log_probs), abs=2e-4)
            checked += 1
    assert checked > 0


def test_long_texts_lose_the_start_of_the_prompt_then_the_end_of_the_completion(tiny):
    whole = encoded(tiny("llama"))
    tokens = [len(text) for text in whole.texts]
    own = whole.completion_tokens.reshape(-1)
    limit = 8
    short = encoded(tiny("llama"), max_length=limit)
    assert short.num_truncated == sum(max(pair) > limit for pair in zip(tokens[::2], tokens[1::2], strict=True))
    for before, after, length, kept in zip(
        whole.texts, short.texts, own, short.completion_tokens.reshape(-1), strict=True
    ):
        assert len(after) == min(len(before), limit)
        assert kept == min(length, limit - 1)
        assert after[0] == before[0]
        if length < limit:
            assert list(after[len(after) - length :]) == list(before[len(before) - length :])


def test_a_batch_of_empty_completions_has_no_log_probs(tiny):
    rows = encode_completions(
        ["a"], ["yes"], [("",)], tokenizer=tiny("llama").tokenizer, max_length=9, special_tokens=True, end=False
    )
    assert score(network(tiny("llama")), rows, tokens_per_batch=50, device=CPU).tolist() == [[0.0]]
    assert rows.completion_tokens.tolist() == [[0]]
