"""Stop strings, however tokens cut them up."""

import pytest

from tests.generate.drawing import tokens_of
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.generate.decoding import Stops

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
