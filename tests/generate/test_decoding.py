"""Drawing tokens (counters, the inverse CDF, top-p), and stop strings, however tokens cut them up."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.generate.drawing import tokens_of
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.generate.decoding import Stops, nucleus, pick, stream, uniforms


def logits(rows: int = 6, size: int = 40, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))


def test_uniforms_are_uniform_and_independent_along_and_across_streams():
    streams = [stream(0, f"e{i}", 0) for i in range(200)]
    along = uniforms([streams[0]] * 20_000, range(20_000))
    across = uniforms(streams * 100, np.repeat(np.arange(100), 200))
    for values in (along, across):
        assert values.min() >= 0
        assert values.max() < 1
        assert stats.kstest(values, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03


def test_a_stream_is_known_by_seed_example_and_number_alone():
    keys = {stream(seed, id, number) for seed in range(3) for id in ("a", "b") for number in range(3)}
    assert len(keys) == 18
    assert stream(0, "a", 1) == 0xCCBE6674F23B0BDC  # samples of older runs stand on it


def test_the_stream_is_splitmix64():
    def reference(state: int, count: int) -> list[int]:
        mask, out = (1 << 64) - 1, []
        for _ in range(count):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            out.append(z ^ (z >> 31))
        return out

    assert reference(1234567, 2) == [6457827717110365317, 3203168211198807973]  # of Vigna's splitmix64.c
    expected = [(bits >> 11) * 2.0**-53 for bits in reference(1234567, 5)]
    assert uniforms([1234567] * 5, range(5)).tolist() == expected


def test_tokens_are_drawn_as_often_as_their_probability():
    row, count = logits(1, 12), 5_000
    drawn = pick(row.expand(count, -1), torch.linspace(0, 1, count + 1)[:-1].double(), temperature=0.8, top_p=1.0)
    shares = np.bincount(drawn.numpy(), minlength=12) / count
    assert shares == pytest.approx((row[0] / 0.8).softmax(-1).numpy(), abs=2 / count)


def test_the_ends_of_the_unit_interval_give_tokens_that_have_a_probability():
    row = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]])
    ends = torch.tensor([0.0, 1 - 2.0**-53, 1.0], dtype=torch.float64)
    drawn = pick(row.expand(3, -1), ends, temperature=1.0, top_p=1.0)
    assert drawn.tolist() == [1, 3, 3]


def test_a_rows_token_does_not_depend_on_the_other_rows():
    many, where = logits(64, 3000), torch.rand(64, generator=torch.Generator().manual_seed(1)).double()
    for top_p in (1.0, 0.999, 0.5):
        together = pick(many, where, temperature=1.0, top_p=top_p)
        alone = [int(pick(many[i : i + 1], where[i : i + 1], temperature=1.0, top_p=top_p)) for i in range(64)]
        assert together.tolist() == alone


@pytest.mark.parametrize("size", [40, 5000])  # within and beyond the first look
@pytest.mark.parametrize("top_p", [0.1, 0.7, 0.99, 0.9999])
def test_the_nucleus_is_the_smallest_set_that_holds_its_share(size, top_p):
    probs = logits(5, size).softmax(-1)
    for row, kept in zip(probs, nucleus(probs, top_p), strict=True):
        order = row.argsort(descending=True)
        wanted = int((row[order].double().cumsum(0) < top_p).sum()) + 1
        assert set(kept.nonzero()[:, 0].tolist()) == set(order[:wanted].tolist())
        assert torch.equal(kept[order[:wanted]], row[order[:wanted]])


def test_equally_probable_tokens_stay_in_the_nucleus_together():
    probs = torch.tensor([[0.4, 0.2, 0.2, 0.2]])
    assert nucleus(probs, 0.5).tolist() == probs.tolist()
    assert nucleus(probs, 0.3).tolist() == [[pytest.approx(0.4), 0, 0, 0]]


def test_a_small_nucleus_is_greedy():
    many = logits(20, 300)
    drawn = pick(many, torch.rand(20).double(), temperature=1.0, top_p=1e-6)
    assert torch.equal(drawn, many.argmax(dim=-1))


# ---------------------------------------------------------------- where a text ends

TEXTS = ("the tea is warm ?\nQuestion: is snow black", "a fish — ¿ swims ? « yes » Question", "Question", "ends Quest")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("stop", [("Question",), ("\nQuestion:", "»"), ("¿ swims",), ("s",), ("Question", "s")])
def test_a_text_is_cut_before_its_first_stop_string(text, stop, tiny):
    tokens = tokens_of(tiny("llama"), text)
    cut = Stops(tiny("llama").tokenizer, stop).cut(tokens)
    places = [text.find(s) for s in stop if s in text]
    if not places:
        assert cut is None
        return
    assert cut[0] == text[: min(places)]
    kept = tiny("llama").tokenizer.decode(tokens[: cut[1]])
    assert cut[0].startswith(kept)
    longer = tiny("llama").tokenizer.decode(tokens[: cut[1] + 1])
    assert len(longer) > len(cut[0])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("stop", ["Question", "\nQuestion:", "»", "¿ swims", "s ? «"])
def test_a_stop_string_is_noticed_at_the_token_that_completes_it(text, stop, tiny):
    tokenizer = tiny("llama").tokenizer
    tokens, stops = tokens_of(tiny("llama"), text), Stops(tokenizer, (stop,))
    first = next((n for n in range(1, len(tokens) + 1) if stop in tokenizer.decode(tokens[:n])), None)
    reached = [stops.reached([tokens[:n]])[0] for n in range(1, len(tokens) + 1)]
    assert (reached.index(True) + 1 if True in reached else None) == first


def test_characters_cut_into_several_tokens_are_no_obstacle(tiny):
    tokens = tokens_of(tiny("llama"), "x«y")
    assert len(tokens) > 3  # the tokenizer knows only bytes of it
    stops = Stops(tiny("llama").tokenizer, ("«",))
    assert [stops.reached([tokens[:n]])[0] for n in range(1, len(tokens) + 1)] == [False] * (len(tokens) - 2) + [
        True,
        True,
    ]
    assert stops.cut(tokens) == ("x", 1)


def test_all_rows_are_looked_at_together(tiny):
    stops = Stops(tiny("llama").tokenizer, ("warm",))
    rows = [tokens_of(tiny("llama"), text) for text in ("tea is warm", "the sea", "warm")]
    assert stops.reached(rows) == [True, False, True]
    assert Stops(tiny("llama").tokenizer, ()).reached(rows) == [False] * 3
    assert stops.reached([]) == []


def test_words_of_the_ladders_tokenizer_are_found():
    tokenizer = word_level(["<pad>", "<unk>", "<bos>", "<eos>", "the", "Question", ":", "answer", "is", "4"])
    tokens = tokenizer("the answer is 4 Question : the answer")["input_ids"]
    stops = Stops(tokenizer, ("Question",))
    assert stops.cut(tokens) == ("the answer is 4 ", 4)
    assert stops.reached([tokens[:4], tokens[:5]]) == [False, True]


def test_special_tokens_are_no_part_of_a_text(tiny):
    tokenizer = tiny("llama").tokenizer
    end = tokenizer.eos_token_id
    assert Stops(tokenizer, ("Question",)).text([*tokens_of(tiny("llama"), "the sea"), end]) == "the sea"
