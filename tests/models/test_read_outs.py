"""Read-outs of every architecture: pooled by mask, equal to what transformers gives, saved in its layouts."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.activations import NewGELUActivation

from tests.models.tiny import DECODERS, FAMILIES, TEXTS, WORDS
from w2s_lightning.config.schema import Numerics
from w2s_lightning.data.model_texts import encode
from w2s_lightning.errors import UserError
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.load import Outputs, Source, open_source, save, word_ids
from w2s_lightning.stages import ReadOut

FP32 = Numerics(precision="fp32", attention="sdpa", max_length=64)
EAGER = Numerics(precision="fp32", attention="eager", max_length=64)
CPU = torch.device("cpu")
UNEMBEDDING, ZEROS, BY_WORDS = ReadOut("head", "unembedding"), ReadOut("head", "zeros"), ReadOut("words", "zeros")
ROWS = [(TEXTS[0],), (TEXTS[1] + " " + TEXTS[0],), ("tea",), (TEXTS[3],)]
IDS = ["a", "b", "c", "d"]


def usual(family):
    return EAGER if family == "gemma2" else FP32  # gemma2 caps its attention scores


def opened(path, readout, num_outputs=2, numerics=None, words=WORDS):
    torch.manual_seed(0)
    outputs, numerics = Outputs(num_outputs, words), numerics or usual(path.name)
    made = open_source(Source(str(path)), readout, outputs, numerics, dropout=0.0, untouched=True)
    return made.network, made.tokenizer


def rows_of(tokenizer, texts=ROWS):
    return encode(IDS[: len(texts)], texts, tokenizer=tokenizer, max_length=64)


def scored(network, tokenizer, tokens_per_batch, texts=ROWS):
    return score(network, rows_of(tokenizer, texts), tokens_per_batch=tokens_per_batch, device=CPU)


def randomise(network):
    with torch.no_grad():
        network.head.weight.copy_(torch.randn_like(network.head.weight))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_do_not_depend_on_padding_or_batch_size(folder, family):
    network, tokenizer = opened(folder(family), ZEROS)
    randomise(network)
    alone, together = scored(network, tokenizer, 1), scored(network, tokenizer, 10_000)
    assert abs(alone).max() > 0.01
    assert alone == pytest.approx(together, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_causal_model_is_given_no_mask_and_says_the_same(folder, family, monkeypatch):
    network, tokenizer = opened(folder(family), ZEROS)
    randomise(network)
    assert network._is_causal == (family != "bert")
    ours = scored(network, tokenizer, 10_000)
    monkeypatch.setattr(network, "_is_causal", False)
    assert scored(network, tokenizer, 10_000) == pytest.approx(ours, abs=1e-6)


def test_gpt2s_activation_is_the_kernel_for_the_same_function(folder):
    network, _ = opened(folder("gpt2"), ZEROS)
    kernels = [module for module in network.modules() if isinstance(module, torch.nn.GELU)]
    assert len(kernels) == network.model.config.n_layer
    numbers = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(kernels[0](numbers), NewGELUActivation()(numbers), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", DECODERS)
def test_word_logits_do_not_depend_on_padding_and_equal_the_language_models(folder, family):
    network, tokenizer = opened(folder(family), BY_WORDS)
    together = scored(network, tokenizer, 10_000)
    assert scored(network, tokenizer, 1) == pytest.approx(together, abs=1e-5)
    language_model = AutoModelForCausalLM.from_pretrained(folder(family))
    for (text,), ours in zip(ROWS, together, strict=True):
        with torch.no_grad():
            logits = language_model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        assert logits[word_ids(tokenizer, WORDS)].numpy() == pytest.approx(ours, abs=1e-5)


@pytest.mark.parametrize("family", [name for name in DECODERS if name != "gemma2"])  # gemma2 caps its word logits
def test_a_head_of_unembedding_rows_starts_as_the_words_logits(folder, family):
    head, tokenizer = opened(folder(family), UNEMBEDDING)
    words, _ = opened(folder(family), BY_WORDS)
    assert scored(head, tokenizer, 10_000) == pytest.approx(scored(words, tokenizer, 10_000), abs=1e-5)


def test_one_score_per_option_is_the_difference_of_two_words(folder):
    two, tokenizer = opened(folder("llama"), BY_WORDS)
    logits = scored(two, tokenizer, 10_000)
    for readout in (BY_WORDS, UNEMBEDDING):
        one, _ = opened(folder("llama"), readout, num_outputs=1)
        assert scored(one, tokenizer, 10_000)[:, 0] == pytest.approx(logits[:, 1] - logits[:, 0], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_head_knows_nothing(folder, family):
    readout = ZEROS if family != "bert" else UNEMBEDDING  # an encoder has no unembedding: zeros
    network, tokenizer = opened(folder(family), readout, num_outputs=3)
    assert (scored(network, tokenizer, 10_000) == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_network_loads_with_automodel_and_gives_equal_logits(folder, family, tmp_path):
    network, tokenizer = opened(folder(family), ZEROS)
    randomise(network)
    ours = scored(network, tokenizer, 10_000)
    save(network.model, tokenizer, tmp_path, label="tiny", digest="0" * 64, about="A test.")
    again = open_source(Source(str(tmp_path)), ZEROS, Outputs(2, WORDS), usual(family)).network
    assert (scored(again, tokenizer, 10_000) == ours).all()
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    inputs = AutoTokenizer.from_pretrained(tmp_path)(ROWS[0][0], return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        assert plain(**inputs).logits[0].numpy() == pytest.approx(ours[0], abs=1e-5)
    assert "License: unknown" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_what_the_head_reads(folder, family):
    network, tokenizer = opened(folder(family), ZEROS)
    randomise(network)
    features = score(network.features, rows_of(tokenizer), tokens_per_batch=10_000, device=CPU)
    logits = network.head(torch.from_numpy(features)).detach().numpy()
    assert logits == pytest.approx(scored(network, tokenizer, 10_000), abs=1e-5)


def test_several_texts_a_row_give_one_row_of_logits(folder):
    network, tokenizer = opened(folder("llama"), UNEMBEDDING, num_outputs=1)
    both = scored(network, tokenizer, 10_000, [(TEXTS[0], "tea"), (TEXTS[1], TEXTS[2] + " tea")])
    single = scored(network, tokenizer, 10_000, [(TEXTS[0],), ("tea",), (TEXTS[1],), (TEXTS[2] + " tea",)])
    assert both.shape == (2, 2)
    assert both.reshape(-1) == pytest.approx(single.reshape(-1), abs=1e-5)


def test_bf16_runs_over_fp32_weights_with_an_fp32_head(folder):
    bf16 = Numerics(precision="bf16", attention="sdpa", max_length=64)
    network, tokenizer = opened(folder("llama"), UNEMBEDDING, numerics=bf16)
    exact, _ = opened(folder("llama"), UNEMBEDDING)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    ours, theirs = scored(network, tokenizer, 10_000), scored(exact, tokenizer, 10_000)
    assert ours == pytest.approx(theirs, rel=0.1, abs=0.1)
    assert (ours != theirs).any()


def test_dropout_is_set_everywhere_and_off_in_scoring(folder):
    source = Source(str(folder("gpt2")))
    made = open_source(source, UNEMBEDDING, Outputs(2, WORDS), FP32, dropout=0.3, untouched=True)
    network, tokenizer = made.network, made.tokenizer
    rates = {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.3}
    assert (scored(network, tokenizer, 10_000) == scored(network, tokenizer, 10_000)).all()


def test_an_attention_that_the_architecture_lacks_is_refused(folder):
    with pytest.raises(UserError, match=r"fit\.attention=eager"):
        opened(folder("gemma2"), ZEROS, numerics=FP32)


def test_an_encoder_has_no_verdict_words(folder):
    with pytest.raises(UserError, match="encoder"):
        opened(folder("bert"), BY_WORDS)


@pytest.mark.parametrize(("num_outputs", "words"), [(3, WORDS), (1, ("yes",)), (2, ())])
def test_a_task_without_enough_verdict_words_is_refused(folder, num_outputs, words):
    for readout in (UNEMBEDDING, BY_WORDS):
        with pytest.raises(UserError, match="verdict words"):
            opened(folder("llama"), readout, num_outputs=num_outputs, words=words)
