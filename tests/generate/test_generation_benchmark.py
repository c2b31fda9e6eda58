"""The benchmark's own parts: its baseline, what it counts, and how it tells a near-tie from a mistake."""

from dataclasses import replace

import pytest

from benchmarks import generation as benchmark
from tests.generate.drawing import PROMPTS, engine, settings, tokens_of

STOPPED = settings(max_new_tokens=14, stop=("day", "is", "?"))


@pytest.fixture
def bench(tiny):
    made = tiny("grouped")
    made.tokenizer.padding_side = "left"
    yield benchmark.Bench(engine(made), made.model, made.tokenizer, STOPPED)
    made.tokenizer.padding_side = "right"


def test_the_baseline_gives_the_same_greedy_texts_in_fixed_batches(bench, monkeypatch):
    monkeypatch.setattr(benchmark, "BATCH", 3)
    free = next(bench.engine.generate(PROMPTS[1:2], STOPPED, seed=0))
    stopping = replace(STOPPED, stop=(free.text[6:8], "day"))
    theirs = benchmark.baseline(bench.model, bench.tokenizer, PROMPTS, stopping)
    ours = benchmark.ours(bench.engine, PROMPTS, stopping)
    assert theirs == ours
    assert min(map(len, ours.values())) < len(free.tokens) == 14
    assert benchmark.differences(bench.model, bench.tokenizer, PROMPTS, ours, theirs) == []


def test_a_real_difference_has_a_gap_and_a_missing_token_an_infinite_one(bench, tiny):
    ours = benchmark.ours(bench.engine, PROMPTS, settings())
    changed = {**ours, ("e0", 0): (*ours["e0", 0][:4], 9, 9), ("e1", 0): ours["e1", 0][:3]}
    gaps = dict(benchmark.differences(bench.model, bench.tokenizer, PROMPTS, ours, changed))
    assert gaps["e0"] > benchmark.TIE
    assert gaps["e1"] == float("inf")
    assert len(gaps) == 2


def test_both_are_timed_and_compared(bench, capsys):
    mine, theirs = benchmark.compare(bench, PROMPTS, PROMPTS[:3], STOPPED)
    assert (len(mine.texts), len(theirs.texts)) == (len(PROMPTS), 3)
    assert mine.num_tokens == sum(len(s.tokens) for s in draw_all(bench))
    assert "ratio" in capsys.readouterr().out


def draw_all(bench):
    return bench.engine.generate(PROMPTS, STOPPED, seed=0)


@pytest.mark.skipif(not benchmark.GSM8K.is_dir(), reason="needs ../shared/data/gsm8k")
def test_prompts_are_few_shot_gsm8k_without_calculator_marks(tiny):
    prompts = benchmark.few_shot_prompts(3)
    assert [prompt.text.count("Question:") for prompt in prompts] == [9] * 3
    assert all(prompt.text.endswith("\nAnswer:") and "<<" not in prompt.text for prompt in prompts)
    assert len(tokens_of(tiny("grouped"), prompts[0].text)) > 500
