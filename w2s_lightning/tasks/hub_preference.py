"""Preference data sets of the hub, each with its own columns (`conf/task/anthropic_hh.yaml` and others)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import log
from typing import ClassVar, Self

from w2s_lightning.schema import record
from w2s_lightning.tasks.conversations import Form, alternating
from w2s_lightning.tasks.example import Example, Split, Splits, Turn
from w2s_lightning.tasks.files import Row, Unusable
from w2s_lightning.tasks.hub_choice import planned_sizes
from w2s_lightning.tasks.hub_source import HubSource, Reading
from w2s_lightning.tasks.pair_columns import PairColumns, number, read_pair
from w2s_lightning.tasks.preferences import Words, pair
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.task import Preference

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_WHOLE_CONVERSATIONS = PairColumns(
    prompt=None, chosen="chosen", rejected="rejected", margin=None, subset=None, group=None, difficulty=None
)


@record
class HubPreference(Preference):
    """Pairs of a published data set; rows without a comparison in them are left out and counted.

    A subclass says which columns it reads and how a row becomes a pair. `limits` are what a plan counts with, since it
    downloads nothing; fewer come out where the data set is smaller.
    """

    world: ClassVar[None] = None
    typical_tokens: ClassVar[int] = 600
    columns: ClassVar[tuple[str, ...]]

    name: str
    source: HubSource
    reading: Reading
    form: Form
    words: Words
    shares: Shares
    limits: Limits

    def read(self, row: Row) -> Example:
        """The pair of one row; raise Unusable where there is none."""
        raise NotImplementedError

    def resolved(self, find: Callable[[str, str], str]) -> Self:
        """The same task with the commit of its data set filled in."""
        return replace(self, source=self.source.resolved(find))

    def sizes(self) -> Mapping[Split, int]:
        """The limits: an upper bound that needs no download."""
        return planned_sizes(self.limits)

    def splits(self, seed: int) -> Splits:
        """The pairs of job seed `seed`; raise UserError when the data set cannot be loaded or used."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _pools(task: HubPreference) -> tuple[Pool, Pool]:
    def pool(split: str, most: int | None) -> Pool:
        rows = task.source.rows(split, task.columns, most)
        return make_pool(rows, task.read, f"{task.name} ({split})", kind=task.kind, own=False)

    return pool(task.reading.train, task.reading.max_train_rows), pool(task.reading.test, task.reading.max_test_rows)


@record
class AnthropicHH(HubPreference):
    """Helpful and harmless dialogues (arXiv 2204.05862): two transcripts that part in their last answer."""

    columns: ClassVar[tuple[str, ...]] = ("chosen", "rejected")

    def read(self, row: Row) -> Example:
        """Both transcripts without their last turn are the prompt."""
        turns, chosen = _transcript(row, "chosen")
        other, rejected = _transcript(row, "rejected")
        if turns != other:
            raise Unusable(f"{row.place}: the two transcripts part before their last answer")
        return pair(turns, chosen, rejected, self.form, place=row.place)


@record
class UltraFeedback(HubPreference):
    """UltraFeedback (arXiv 2310.01377) as binarized for Zephyr: whole conversations with a score from 1 to 10 each.

    The margin is the difference of the scores, and difficulty its negative.
    """

    columns: ClassVar[tuple[str, ...]] = ("chosen", "rejected", "score_chosen", "score_rejected")

    def read(self, row: Row) -> Example:
        """Rows with equal scores compare nothing."""
        better, worse = number(row, "score_chosen"), number(row, "score_rejected")
        assert better is not None
        assert worse is not None
        if better <= worse:
            raise Unusable(f"{row.place}: the chosen answer has score {better:g}, the rejected one {worse:g}")
        made = read_pair(row, _WHOLE_CONVERSATIONS, self.form)
        return replace(made, margin=better - worse, difficulty=worse - better)


@record
class Shp(HubPreference):
    """Stanford Human Preferences (arXiv 2110.08420): two comments on a post, the better one with more votes.

    The subset is the forum, the margin the logarithm of the ratio of the votes, and difficulty its negative.
    """

    columns: ClassVar[tuple[str, ...]] = ("history", "human_ref_A", "human_ref_B", "labels", "score_ratio", "domain")

    def read(self, row: Row) -> Example:
        """`labels` is 1 where A is the better one."""
        label, ratio = row.text("labels"), number(row, "score_ratio")
        if label not in ("0", "1") or ratio is None or ratio <= 0:
            raise Unusable(
                f"{row.place}: labels {label!r} and score_ratio {ratio}, expected 0 or 1 and a ratio above 0"
            )
        answers = row.text_or_blank("human_ref_A"), row.text_or_blank("human_ref_B")
        chosen, rejected = answers if label == "1" else answers[::-1]
        margin = abs(log(ratio))
        return pair(
            alternating([Turn("user", row.text_or_blank("history"))], row.place),
            chosen,
            rejected,
            self.form,
            place=row.place,
            subset=re.sub(r"_(train|validation|test)$", "", row.text("domain")),
            margin=margin,
            difficulty=-margin,
        )


def _transcript(row: Row, column: str) -> tuple[tuple[Turn, ...], str]:
    """The turns before the last answer, and that answer, of `\\n\\nHuman: ...\\n\\nAssistant: ...`."""
    before, *parts = _SPEAKER.split(row.text_or_blank(column))
    turns = [
        Turn("user" if speaker == "Human" else "assistant", text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    if before.strip() or not turns or turns[-1].role != "assistant":
        raise Unusable(f"{row.place}: column {column!r} is no transcript from a Human's turn to an Assistant's")
    return alternating(turns[:-1], row.place), turns[-1].text
