"""Tokenizers: loading with the sides and the padding that the read-outs need, and verdict words."""

from collections.abc import Sequence

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from w2s_lightning.errors import UserError
from w2s_lightning.models.files import Source, quiet, reading


def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """The source's tokenizer: pads on the right, truncates on the left (the verdict is read at the end).

    One without a padding token pads with another token: harmless, since nothing looks at padded positions.
    """
    with reading(source), quiet():
        tokenizer = AutoTokenizer.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def word_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """Token id of each verdict word; raise UserError for a word that is not one known token.

    All words are tried with a leading space (as they stand after a text) and then as they are.
    """
    for prefix in (" ", ""):
        pieces = [tokenizer(prefix + word, add_special_tokens=False)["input_ids"] for word in words]
        ids = [piece[0] for piece in pieces if len(piece) == 1 and piece[0] != tokenizer.unk_token_id]
        if len(ids) == len(words) and len(set(ids)) == len(ids):
            return ids
    split = [word for word, piece in zip(words, pieces, strict=True) if len(piece) != 1] or list(words)
    few = f"{', '.join(split[:3])}{', ...' if len(split) > 3 else ''}"
    raise UserError(
        f"{len(split)} of {len(words)} verdict words are not one token of their own in this model's tokenizer ({few}): "
        "give others (task.words), or none (task.words=[] with head_init=zeros of the models)"
    )
