"""Which verdict words are tokens of a model: told of its tokenizer without torch, before anything is computed.

A model is asked for the word that follows a text, so a verdict is read where a word is one known token of its own.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from w2s_lightning.content import Folder
from w2s_lightning.errors import UserError
from w2s_lightning.model_folder import json_object


def token_ids(
    words: Sequence[str], encode: Callable[[str], Sequence[int]], unknown: int | None
) -> tuple[list[int], tuple[str, ...]]:
    """The token id of each word and nothing else, or no ids and the words that are not one known token each.

    All words are tried with a leading space (as they stand after a text) and then as they are.
    """
    lost = set(words)
    for prefix in (" ", ""):
        pieces = {word: encode(prefix + word) for word in words}
        whole = {word: piece[0] for word, piece in pieces.items() if len(piece) == 1 and piece[0] != unknown}
        if len(set(whole.values())) == len(words):
            return list(whole.values()), ()
        lost -= whole.keys()
    return [], tuple(word for word in words if word in lost) or tuple(words)


@lru_cache(maxsize=256)
def lost_words(folder: Folder, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that a model folder's tokenizer has no token for, none where no `tokenizer.json` tells."""
    file = folder.path / "tokenizer.json"
    if not words or not file.is_file():
        return ()
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library raises nothing narrower; whoever opens the model says what is wrong with it
        return ()
    settings = folder.path / "tokenizer_config.json"
    unknown = json_object(settings).get("unk_token") if settings.is_file() else None
    unknown = unknown.get("content") if isinstance(unknown, dict) else unknown

    def encode(text: str) -> Sequence[int]:
        ids: Sequence[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    return token_ids(words, encode, tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None)[1]


def refuse_lost(lost: Sequence[str], words: Sequence[str], model: str) -> None:
    """Raise UserError, with what to type, where verdict words are no tokens of a model."""
    if not lost:
        return
    few = f"{', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
    raise UserError(
        f"{len(lost)} of {len(words)} verdict words are not one token each in the tokenizer of {model} ({few}): give "
        "others (task.words), or go without: `task.words=[] weak.head_init=zeros strong.head_init=zeros`"
    )
