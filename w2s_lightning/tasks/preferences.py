"""Preference examples: two answers to one prompt, of which one is better.

A preference is a choice with K = 2: its options are the whole texts, prompt and answer, each scored on its own.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Annotated

from annotated_types import Len
from pydantic import BeforeValidator

from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import Example, Turn, example_id, prompt_group
from w2s_lightning.tasks.files import SameAnswers, Unusable

Words = Annotated[tuple[str, ...], BeforeValidator(lambda words: () if words is None else words), Len(0, 2)]
"""The verdict on a worse and on a better answer, as YAML gives it (null: the task has none)."""


def pair(
    turns: Sequence[Turn],
    chosen: str,
    rejected: str,
    form: Form,
    *,
    place: str,
    subset: str | None = None,
    margin: float | None = None,
    difficulty: float | None = None,
) -> Example:
    """A checked pair; `place` is `file:line`. Raises Unusable for empty or equal answers and for a negative margin.

    Which answer stands first depends on the two texts alone, so a pair and its reverse differ in nothing but the label.
    """
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if not answer.strip():
            raise Unusable(f"{place}: the {name} answer is empty")
    if chosen.strip() == rejected.strip():
        raise SameAnswers(f"{place}: chosen and rejected are the same")
    if margin is not None and not (isfinite(margin) and margin >= 0):
        raise Unusable(
            f"{place}: margin {margin:g} says that the rejected answer is the better one; expected 0 or more"
        )
    prompt = form.prompt(turns)
    texts = {answer: prompt + form.completion(answer) for answer in (chosen, rejected)}
    both = sorted(texts.values())
    first, second = sorted(texts, key=lambda answer: fingerprint("option", *both, texts[answer]))
    options = (texts[first], texts[second])
    return Example(
        id=example_id(options),
        group=prompt_group(turns),
        texts=options,
        label=int(second == chosen),
        difficulty=difficulty,
        turns=tuple(turns),
        completions=(first, second),
        subset=subset,
        margin=margin,
    )
