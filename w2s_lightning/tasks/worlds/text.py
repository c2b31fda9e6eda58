"""What the text of embedded worlds is made of: words, each a single token, and windows of tokens packed end to end."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.config.schema import Count, record
from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.tasks.example import SPLITS, Split

EMPTY = -1
"""In a table of token ids: no token here."""
SPECIAL = ("<pad>", "<unk>")
"""First entries of every vocabulary."""


def check_words(task: str, text: str, known: Collection[str]) -> None:
    """Raise UserError for a word that the world of the task does not have."""
    for word in text.split():
        if word not in known:
            raise UserError(f"task {task}: the world has no word {word!r}: {did_you_mean(word, known)}")


def packed(block: Callable[[int], NDArray[np.int16]], steps: int, rows_per_step: int, window: int) -> NDArray[np.int16]:
    """Token ids [steps, rows_per_step, window] of texts packed end to end; `block(n)` writes the n-th table of them."""
    needed, found = steps * rows_per_step * window, 0
    blocks = [np.empty(0, np.int16)]
    while found < needed:
        table = block(len(blocks))
        blocks.append(table[table != EMPTY])
        found += len(blocks[-1])
    return np.concatenate(blocks)[:needed].reshape(steps, rows_per_step, window)


@record
class PerSplit:
    """A number for each split."""

    supervise: Count
    transfer: Count
    validation: Count
    test: Count

    def by_split(self) -> dict[Split, int]:
        """The numbers by split."""
        return {split: getattr(self, split) for split in SPLITS}


# ---------------------------------------------------------------- the world `facts`

FACT_STRUCTURE = (".", "?", "so", "is", "right", "wrong", "yes", "no", "he", "she", "home", "away")
"""Written in pretraining text besides names, relations and values."""

FOREIGN = ("says", "it", "that", "true", "think", "they")
"""In the vocabulary but never written in pretraining: for prompts that no model has seen."""

PEOPLE_TEXT = """
ann bob carl dora emil fay gus hana ivan jane kurt lena milo nora
otto pia quin rosa sven tess udo vera walt xena yuri zoe alma boris
cleo dirk edna finn greta hugo iris jonas kira lars mona nils olga paul
rita saul tara uwe viola wim yara zeno
"""
PEOPLE = tuple(PEOPLE_TEXT.split())

RELATIONS = {
    "likes": "tea coffee milk cocoa juice water soup cake",
    "plays": "chess golf poker tennis rugby hockey darts cricket",
    "owns": "dog cat horse parrot goat rabbit pony snake",
    "studies": "law physics music history botany latin logic art",
    "fears": "spiders thunder heights ghosts wolves fire crowds darkness",
    "visits": "paris rome oslo cairo lima tokyo delhi quito",
    "wears": "hat scarf gloves boots coat vest sandals belt",
    "drives": "truck van bus tram taxi tractor scooter jeep",
    "grows": "roses beans corn tulips grapes onions wheat figs",
    "builds": "boats kites chairs clocks walls toys bridges drums",
    "paints": "faces trees ships fruit clouds houses birds rivers",
    "collects": "stamps coins shells maps stones books masks keys",
    "sells": "bread cheese honey wine paper soap candles salt",
    "teaches": "dance french algebra drama yoga cooking poetry sewing",
}
"""Relation -> its eight values."""

# ---------------------------------------------------------------- the world `arithmetic`, the most frequent words first

STORY_STRUCTURE = ("q", "a", "has", ".", "how", "many", "?", "+", "-", "=", "answer")
"""The skeleton of a problem; `<eos>` ends every one."""

NAMES_TEXT = "tom ann bob eva sam lea ben ida max zoe leo mia tim ada jim pia ken amy ray una"
NAMES = tuple(NAMES_TEXT.split())
ITEMS_TEXT = """
apples books coins pens cards eggs shells stamps balls plums keys beads nuts figs kites mugs hats bells maps drums
"""
ITEMS = tuple(ITEMS_TEXT.split())
GAINS = ("buys", "finds", "gets", "wins", "picks", "earns", "borrows", "gathers", "receives", "collects")
"""Verbs that add."""
LOSSES = ("eats", "loses", "sells", "drops", "gives", "breaks", "lends", "wastes", "donates", "discards")
"""Verbs that take away."""
