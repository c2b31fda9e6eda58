"""Small random models in Hugging Face layout, one folder each, made in a fraction of a second."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BertForMaskedLM, PreTrainedTokenizerFast

from w2s_lightning.models.load import quiet

DECODERS = ("gpt2", "gpt_neox", "llama", "qwen2", "qwen3", "gemma", "gemma2")
FAMILIES = (*DECODERS, "bert")
WORDS = ("no", "yes")
TEXTS = (
    "is tea warm ? the tea is warm and the day is long . answer",
    "is snow black ? snow is white , the night is black . answer",
    "do cats bark ? cats sleep while dogs bark in the yard . answer",
    "can a fish swim ? a fish swims in the sea all day long . answer",
)
WIDTH = 16
SPECIALS = {"bos_token_id": 0, "eos_token_id": 0}
SIZES = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "max_position_embeddings": 64}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": 2}
GROUPED = {**SIZES, **SPECIALS, "num_key_value_heads": 2, "head_dim": WIDTH // 2}
CONFIGS = {
    "gpt2": {"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": 64, **SPECIALS},
    "gpt_neox": {**SIZES, **SPECIALS},
    "llama": GROUPED,
    "qwen2": {**GROUPED, "tie_word_embeddings": True},
    "qwen3": {**GROUPED, "tie_word_embeddings": True},
    "gemma": {**GROUPED, "pad_token_id": None},
    "gemma2": {**GROUPED, "pad_token_id": None, "query_pre_attn_scalar": 8},
    "bert": SIZES,
}


def make_folder(
    path: Path, family: str, texts: Sequence[str] = TEXTS, words: Sequence[str] = WORDS, seed: int = 0
) -> Path:
    """A random two-layer model of `family` with a tokenizer trained on `texts`, in which each of `words` is one token.

    Decoders have a byte-level BPE tokenizer without a padding token, BERT a WordPiece one.
    """
    tokenizer = _wordpiece(texts, words) if family == "bert" else _byte_level(texts, words)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **CONFIGS[family])
    model = BertForMaskedLM(config) if family == "bert" else AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # the usual small weights give nearly equal logits: spread them
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    with quiet():
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    return path


def plain_log_probs(folder: Path, prompt: str, completion: str) -> list[float]:
    """Log-probabilities of a completion's tokens and of the end after it: one text, one pass, no padding."""
    model, tokenizer = _opened(folder)
    start = len(tokenizer(prompt)["input_ids"])
    ids = torch.tensor([[*tokenizer(prompt + completion)["input_ids"], tokenizer.eos_token_id]])
    with torch.no_grad():
        said = model(ids).logits[0, :-1].log_softmax(-1)
    return said.gather(1, ids[0, 1:, None])[start - 1 :, 0].tolist()


@cache
def _opened(folder: Path) -> tuple[Any, Any]:
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def _byte_level(texts: Sequence[str], words: Sequence[str]) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*texts, *(f"{word} {word}" for word in words for _ in range(50))], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def _wordpiece(texts: Sequence[str], words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Whole words of the texts, and letters for all others (trainers of this kind break ties by chance)."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(33, 127)]
    known = sorted({*words, *(word for text in texts for word in text.split())} - set(letters))
    vocabulary = [*specials, *letters, *(f"##{letter}" for letter in letters), *known]
    backend = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=64, **{f"{name}_token": token for name, token in names.items()}
    )
