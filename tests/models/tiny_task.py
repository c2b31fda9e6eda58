"""A real, tiny choice task: the label follows from the first noun. Its words occur in `tiny.TEXTS`."""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from w2s_lightning.tasks.example import Example, Layout, Splits, choice, group_id

NOUNS = ("tea", "snow", "cats", "dogs", "fish", "sea")
VERBS = ("sleep", "swim", "bark", "warm")
PLACES = ("day", "night", "yard", "all")


@dataclass(frozen=True)
class TinyTask:
    """96 texts; `options` scores one text per class, else one text gives `num_classes` logits."""

    kind: ClassVar[str] = "choice"
    world: ClassVar[None] = None
    typical_tokens: ClassVar[int] = 10

    name: str = "tiny"
    num_classes: int = 2
    layout: Layout = "text"
    words: tuple[str, ...] = ("no", "yes")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(f"class {i}" for i in range(self.num_classes))

    def splits(self, seed: int) -> Splits:
        examples = [self._example(*words) for words in product(NOUNS, VERBS, PLACES)]
        order = np.random.default_rng(0).permutation(len(examples))
        test, rest = order[:24], np.random.default_rng(seed + 1).permutation(order[24:])
        parts = {"test": test, "supervise": rest[:24], "validation": rest[24:36], "transfer": rest[36:]}
        return Splits(**{name: tuple(examples[i] for i in rows) for name, rows in parts.items()}, notices=())

    def sizes(self) -> dict[str, int]:
        return {"test": 24, "supervise": 24, "validation": 12, "transfer": 36}

    def _example(self, noun: str, verb: str, place: str) -> Example:
        label = NOUNS.index(noun) % self.num_classes
        text = f"do {noun} {verb} in the {place} ? answer"
        texts = [text] if self.layout == "text" else [f"{text} {i} is the" for i in range(self.num_classes)]
        return choice(texts, label=label, group=group_id(text), difficulty=float(VERBS.index(verb)))
