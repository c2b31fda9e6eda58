"""The local engine on real tiny models, against Hugging Face `generate` and against itself."""

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM, MistralConfig, MistralForCausalLM

from tests.generate.drawing import (
    MAX_LENGTH,
    PROMPTS,
    SAMPLED,
    SHOTS,
    Tiny,
    draw,
    engine,
    next_logits,
    settings,
    tokens_of,
)
from w2s_lightning.data.model_texts import CHARACTERS
from w2s_lightning.errors import UserError
from w2s_lightning.generate.samples import Prompt

FAMILIES = ("gpt2", "gpt_neox", "llama", "grouped", "qwen2", "qwen3", "gemma")


def hugging_face(tiny: Tiny, prompt: Prompt, max_new_tokens: int) -> list[int]:
    ids = torch.tensor([tokens_of(tiny, prompt.text)])
    made = tiny.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=max_new_tokens, pad_token_id=0
    )
    return made[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_texts_are_those_of_hugging_face(family, tiny):
    found = draw(tiny(family), settings(), tokens_per_batch=60)
    wanted = {(p.id, 0): hugging_face(tiny(family), p, 10) for p in PROMPTS}
    assert {key: sample.tokens for key, sample in found.items()} == wanted


@pytest.mark.parametrize("family", ["gpt2", "grouped"])
@pytest.mark.parametrize("wanted", [settings(), SAMPLED], ids=["greedy", "sampled"])
def test_a_sample_depends_on_nothing_that_is_drawn_beside_it(family, wanted, tiny):
    everything = draw(tiny(family), wanted)
    for tokens_per_batch in (1, 40, 90):
        assert draw(tiny(family), wanted, tokens_per_batch=tokens_per_batch) == everything
    assert draw(tiny(family), wanted, PROMPTS[::-1], tokens_per_batch=70) == everything
    alone = {key: s for p in PROMPTS for key, s in draw(tiny(family), wanted, [p]).items()}
    assert alone == everything
    stranger = Prompt("stranger", "fish")  # with it, no prefix is shared
    unshared = draw(tiny(family), wanted, [*PROMPTS, stranger])
    assert {key: unshared[key] for key in everything} == everything


def test_samples_are_the_same_without_the_private_kernel(tiny, monkeypatch):
    with_it = draw(tiny("grouped"), SAMPLED)
    monkeypatch.setattr("w2s_lightning.generate.cache._FUSED", None)
    without = draw(tiny("grouped"), SAMPLED)
    assert {key: sample.tokens for key, sample in without.items()} == {k: s.tokens for k, s in with_it.items()}


def test_skipped_samples_are_not_drawn_and_change_no_other(tiny):
    everything = draw(tiny("llama"), SAMPLED)
    skip = {("e1", 0), ("e1", 2), ("e4", 1), *((p.id, n) for p in PROMPTS[:1] for n in range(3))}
    rest = draw(tiny("llama"), SAMPLED, skip=skip)
    assert rest == {key: sample for key, sample in everything.items() if key not in skip}
    assert draw(tiny("llama"), SAMPLED, skip=everything.keys()) == {}


def test_samples_differ_by_number_and_seed(tiny):
    found = draw(tiny("llama"), SAMPLED)
    assert len({tuple(found["e0", n].tokens) for n in range(3)}) == 3
    assert draw(tiny("llama"), SAMPLED, seed=1)["e0", 0].tokens != found["e0", 0].tokens


def test_first_tokens_are_as_frequent_as_the_model_says(tiny):
    count = 600
    wanted = settings(num_samples=count, temperature=0.2, max_new_tokens=1)
    found = draw(tiny("llama"), wanted, PROMPTS[:2], tokens_per_batch=3000)
    for prompt in PROMPTS[:2]:
        probs = (next_logits(tiny("llama"), tokens_of(tiny("llama"), prompt.text))[-1] / 0.2).softmax(-1).numpy()
        drawn = np.bincount([found[prompt.id, n].tokens[0] for n in range(count)], minlength=len(probs))
        likely = probs > 0.01
        assert likely.sum() > 10
        seen = [*drawn[likely], drawn[~likely].sum()]
        expected = np.array([*probs[likely], probs[~likely].sum()], dtype=np.float64) * count
        assert stats.chisquare(seen, expected / expected.sum() * count).pvalue > 1e-3


def test_the_prompt_is_computed_once_for_all_its_samples(tiny, monkeypatch):
    drawing, passes = engine(tiny("llama")), []
    forward = drawing._runner.model.forward

    def counted(**inputs):
        passes.append(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    monkeypatch.setattr(drawing._runner.model, "forward", counted)
    list(drawing.generate(PROMPTS[:2], settings(num_samples=5, temperature=1.0, max_new_tokens=3), seed=0))
    shared = passes[0][1]
    own = [len(tokens_of(tiny("llama"), p.text)) - shared for p in PROMPTS[:2]]
    assert shared >= 16
    assert passes == [(1, shared), (2, max(own)), *([(10, 1)] * 2)]


def test_ended_rows_leave_the_batch(tiny, monkeypatch):
    drawing, widths = engine(tiny("llama")), []
    step = drawing._runner.step

    def counted(tokens, *others):
        widths.append(len(tokens))
        return step(tokens, *others)

    monkeypatch.setattr(drawing._runner, "step", counted)
    wanted = settings(num_samples=4, temperature=2.0, stop=("a", "e"), max_new_tokens=20)
    samples = list(drawing.generate(PROMPTS, wanted, seed=0))
    assert sum(widths) == sum(sample.num_drawn - 1 for sample in samples)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_stored_log_probs_are_those_of_a_plain_pass(tiny):
    wanted = settings(num_samples=2, temperature=0.7, top_p=0.9, top_log_probs=4, stop=("day",))
    for (id, _), sample in draw(tiny("grouped"), wanted, tokens_per_batch=90).items():
        prompt = tokens_of(tiny("grouped"), next(p.text for p in PROMPTS if p.id == id))
        logits = next_logits(tiny("grouped"), [*prompt, *sample.tokens])[len(prompt) - 1 : -1]
        plain = logits.log_softmax(-1)
        assert np.array(sample.top_ids) == pytest.approx(plain.topk(4).indices.numpy())
        assert np.array(sample.top_log_probs) == pytest.approx(plain.topk(4).values.numpy(), abs=1e-4)


def test_texts_end_before_a_stop_string_and_at_the_end_token(tiny):
    free = draw(tiny("llama"), settings(max_new_tokens=12))
    stop = free["e0", 0].text[3:6]
    stopped = draw(tiny("llama"), settings(max_new_tokens=12, stop=(stop,)))
    for key, sample in free.items():
        expected = sample.text.split(stop)[0]
        assert stopped[key].text == expected
        assert stopped[key].finish == ("stop" if stop in sample.text else sample.finish)
        assert sample.tokens[: len(stopped[key].tokens)] == stopped[key].tokens
        assert expected.startswith(tiny("llama").tokenizer.decode(list(stopped[key].tokens)))
    assert stopped["e0", 0].num_drawn > len(stopped["e0", 0].tokens)


@pytest.mark.parametrize("named_by", ["model", "tokenizer"])  # a fit teaches to end with the tokenizer's
def test_the_end_token_ends_a_text_and_stays_with_its_tokens(named_by, tiny, monkeypatch):
    served, plain = tiny("llama"), draw(tiny("llama"), settings())["e0", 0]
    end = plain.tokens[4]
    if named_by == "model":
        monkeypatch.setattr(served.model.generation_config, "eos_token_id", [end, 0])
    else:
        taught = AutoTokenizer.from_pretrained(served.path, eos_token=served.tokenizer.convert_ids_to_tokens(end))
        assert taught.eos_token_id == end != served.model.generation_config.eos_token_id
        served = Tiny(served.path, served.model, taught)
    ended = draw(served, settings())["e0", 0]
    assert ended.tokens == plain.tokens[: plain.tokens.index(end) + 1]
    assert (ended.finish, plain.finish) == ("eos", "length")


def test_long_prompts_are_counted_and_those_without_room_are_handed_out_first(tiny):
    length = len(tokens_of(tiny("llama"), PROMPTS[0].text))
    fitting = sum(len(tokens_of(tiny("llama"), p.text)) < length + 2 for p in PROMPTS)
    samples = list(engine(tiny("llama"), max_length=length + 2).generate(PROMPTS, settings(), seed=0))
    assert 0 < fitting < len(PROMPTS)
    assert [s.finish for s in samples] == ["too_long"] * (len(PROMPTS) - fitting) + ["length"] * fitting
    by_id = {sample.id: sample for sample in samples}
    assert by_id["e0"].num_drawn == 2  # all the room that there was
    assert by_id["e0"].prompt_tokens == length


def test_megabytes_of_one_prompt_are_cut_before_they_are_tokenised(tiny):
    long = Prompt("long", "is tea warm " * 800_000)
    found = {sample.id: sample for sample in engine(tiny("llama")).generate([*PROMPTS, long], settings(), seed=0)}
    assert found["long"].finish == "too_long"
    assert MAX_LENGTH <= found["long"].prompt_tokens <= CHARACTERS * MAX_LENGTH
    assert found["e0"].tokens == draw(tiny("llama"), settings())["e0", 0].tokens


def test_prompts_of_very_different_length_come_out_alike(tiny):
    mixed = [Prompt("short", "yes"), *PROMPTS, Prompt("long", SHOTS + SHOTS[:60])]
    together = draw(tiny("qwen3"), SAMPLED, mixed, tokens_per_batch=80)
    alone = {key: s for p in mixed for key, s in draw(tiny("qwen3"), SAMPLED, [p]).items()}
    assert together == alone


def test_the_model_is_left_as_it_was_while_samples_are_handed_out(tiny):
    model = tiny("llama").model
    before = model.config._attn_implementation
    for _ in engine(tiny("llama"), tokens_per_batch=30).generate(PROMPTS, settings(max_new_tokens=2), seed=0):
        assert model.config._attn_implementation == before
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")


def test_bf16_runs_and_mostly_agrees(tiny):
    wanted = settings(max_new_tokens=1, top_log_probs=1)
    exact, rough = draw(tiny("grouped"), wanted), draw(tiny("grouped"), wanted, bf16=True)
    gaps = [abs(exact[key].top_log_probs[0][0] - rough[key].top_log_probs[0][0]) for key in exact]
    assert 0 < np.median(gaps) < 0.3


def test_no_prompts_give_no_samples(tiny):
    assert draw(tiny("llama"), settings(), []) == {}


@pytest.mark.parametrize(
    ("wanted", "prompts", "message"),
    [
        (settings(), [Prompt("a", "")], "has no token"),
        (settings(top_log_probs=10_000), PROMPTS, "more than the vocabulary"),
    ],
)
def test_what_cannot_be_served_is_refused(wanted, prompts, message, tiny):
    with pytest.raises(UserError, match=message):
        draw(tiny("llama"), wanted, prompts)


def test_models_that_cannot_share_a_cache_are_refused(tiny):
    with pytest.raises(UserError, match=r"gemma2.*softcap"):
        engine(tiny("gemma2"))
    size = len(tiny("llama").tokenizer)
    alibi = BloomForCausalLM(BloomConfig(vocab_size=size, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(UserError, match=r"cannot generate with bloom.*solutions as a file"):
        engine(Tiny(tiny("llama").path, alibi, tiny("llama").tokenizer))


def test_sliding_windows_are_served_up_to_their_length(tiny):
    config = MistralConfig(
        vocab_size=len(tiny("llama").tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=MAX_LENGTH,
        sliding_window=MAX_LENGTH,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    served = Tiny(tiny("llama").path, MistralForCausalLM(config).eval(), tiny("llama").tokenizer)
    found = draw(served, settings())
    assert {k: s.tokens for k, s in found.items()} == {(p.id, 0): hugging_face(served, p, 10) for p in PROMPTS}
    with pytest.raises(UserError, match=r"sliding window of 64.*fit.max_length=64"):
        engine(served, max_length=65)
