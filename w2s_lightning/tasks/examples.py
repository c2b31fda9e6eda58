"""What a task hands out: examples of kind choice, keyed by content, in four disjoint splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from w2s_lightning.digest import SHORT
from w2s_lightning.tasks.fingerprint import fingerprint

Split = Literal["supervise", "transfer", "validation", "test"]
SPLITS: tuple[Split, ...] = ("supervise", "transfer", "validation", "test")
Layout = Literal["text", "options"]


@dataclass(frozen=True)
class Choice:
    """Pick one of K classes: one text gives K logits (layout `text`), or K texts one score each (`options`).

    `id` is a hash of the input and options without the label, `group` names the question, prompt or fact, `label` is
    the gold class, `difficulty` grows with difficulty in the task's own unit (None: unknown).
    """

    id: str
    group: str
    texts: tuple[str, ...]
    label: int
    difficulty: float | None


def example_id(texts: Sequence[str]) -> str:
    """16 hex digits of the sha256 of an example's texts: the key that targets and predictions are joined by."""
    return fingerprint("texts", *texts)[:SHORT]


def group_id(name: str) -> str:
    """16 hex digits of the sha256 of a group's name (a question or prompt may be long)."""
    return fingerprint("group", name)[:SHORT]


def choice(texts: Sequence[str], *, label: int, group: str, difficulty: float | None = None) -> Choice:
    """A `Choice` with its id; `group` is a ready group id."""
    return Choice(example_id(texts), group, tuple(texts), label, difficulty)


@dataclass(frozen=True)
class Splits:
    """A task's examples for one seed; `notices` says what was counted and done on the way, for people to read."""

    supervise: tuple[Choice, ...]
    transfer: tuple[Choice, ...]
    validation: tuple[Choice, ...]
    test: tuple[Choice, ...]
    notices: tuple[str, ...]

    def __post_init__(self) -> None:
        seen_ids: set[str] = set()
        seen_groups: set[str] = set()
        for name in SPLITS:
            ids = [item.id for item in self.of(name)]
            groups = {item.group for item in self.of(name)}
            assert seen_ids.isdisjoint(ids), f"{name}: shares an example with another split"
            assert len(ids) == len(set(ids)), f"{name}: an example stands twice"
            assert seen_groups.isdisjoint(groups), f"{name}: shares a group with another split"
            seen_ids.update(ids)
            seen_groups |= groups

    def of(self, split: Split) -> tuple[Choice, ...]:
        """The examples of one split."""
        chosen: tuple[Choice, ...] = getattr(self, split)
        return chosen


class ChoiceTask(Protocol):
    """What every task of kind choice offers.

    `words` holds one verdict word per class in layout `text`, and (not the right one, the right one) in layout
    `options`, where every text is a statement of its own. `class_names` always has `num_classes` names, the ones that
    label files use. `typical_tokens` is a rough number of tokens per example, all its texts together, for estimates.
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def world(self) -> Any | None: ...
    @property
    def typical_tokens(self) -> int: ...
    def splits(self, seed: int) -> Splits: ...
    def sizes(self) -> Mapping[Split, int]: ...
    def __hash__(self) -> int: ...
