"""From rows of a training and a test file to four splits: duplicates, leaks, shares and limits.

Everything goes by group (the question or prompt), and by hashes of content instead of positions, so neither the order
of a file nor a library's random numbers decide where an example goes. The test set never depends on the seed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Count, OpenShare, record
from w2s_lightning.tasks.examples import SPLITS, Choice, Split, Splits
from w2s_lightning.tasks.fingerprint import fingerprint

TRAINING: tuple[Split, ...] = ("supervise", "transfer", "validation")


@record
class Shares:
    """Parts of the training examples that go to each split, by whole groups; what they leave over is not used."""

    supervise: OpenShare
    transfer: OpenShare
    validation: OpenShare

    def __post_init__(self) -> None:
        total = self.supervise + self.transfer + self.validation
        if total > 1 + 1e-9:
            raise UserError(f"task.shares add up to {total:g}: supervise, transfer and validation may use 1 at most")


@record
class Limits:
    """Most examples of each split, null for no limit; the test subset is the same for every seed."""

    supervise: Count | None
    transfer: Count | None
    validation: Count | None
    test: Count | None

    def by_split(self) -> dict[Split, int | None]:
        """The limits by split."""
        return {split: getattr(self, split) for split in SPLITS}


class Entry(NamedTuple):
    """An example and where it was read (`file:line`)."""

    choice: Choice
    place: str


@dataclass(frozen=True)
class Pool:
    """Distinct examples of one file, and what was counted on the way."""

    choices: tuple[Choice, ...]
    notices: tuple[str, ...]


def refusing_conflicts(entries: Sequence[Entry], names: Sequence[str], what: str) -> Pool:
    """Drop duplicates; raise UserError when one text has two labels. `names` are the classes', `what` the file's."""
    for first, other in _conflicts(entries):
        text = first.choice.texts[0]
        labels = f"{names[first.choice.label]!r} and {names[other.choice.label]!r}"
        start = text if len(text) <= 60 else text[:60] + "..."
        raise UserError(f"{first.place} and {other.place}: one text has the labels {labels}: {start!r}; keep one")
    return _distinct(entries, what, ())


def dropping_conflicts(entries: Sequence[Entry], what: str) -> Pool:
    """Drop duplicates, and whatever has two labels (published data that the user cannot mend), and say so."""
    bad = {first.choice.id for first, _ in _conflicts(entries)}
    kept = [entry for entry in entries if entry.choice.id not in bad]
    notices = (f"{what}: {len(bad)} {_plural(len(bad), 'text')} with conflicting labels left out",) if bad else ()
    return _distinct(kept, what, notices)


def _conflicts(entries: Iterable[Entry]) -> list[tuple[Entry, Entry]]:
    first: dict[str, Entry] = {}
    pairs = [(first.setdefault(entry.choice.id, entry), entry) for entry in entries]
    return [(a, b) for a, b in pairs if a.choice.label != b.choice.label]


def _distinct(entries: Sequence[Entry], what: str, notices: tuple[str, ...]) -> Pool:
    by_id: dict[str, Choice] = {}
    for entry in entries:
        by_id.setdefault(entry.choice.id, entry.choice)
    repeated = len(entries) - len(by_id)
    if repeated:
        notices += (f"{what}: {repeated} duplicate {_plural(repeated, 'example')} left out",)
    return Pool(tuple(by_id.values()), notices)


def make_splits(train: Pool, test: Pool, *, shares: Shares, limits: Limits, seed: int) -> Splits:
    """Carve the training pool by group; raise UserError when a split comes out too small to use."""
    training, leaked = _without_test(train.choices, test.choices)
    carved = _carve(_ordered(training, "train", seed), shares)
    carved["test"] = _ordered(test.choices, "test", 0)
    chosen = {split: tuple(carved[split][:limit]) for split, limit in limits.by_split().items()}
    _check(chosen)
    return Splits(**chosen, notices=train.notices + test.notices + leaked)


def _without_test(train: Sequence[Choice], test: Sequence[Choice]) -> tuple[list[Choice], tuple[str, ...]]:
    """The training examples whose whole group has nothing in common with the test file, and what was taken away."""
    groups, ids = {item.group for item in test}, {item.id for item in test}
    shared = {item.group for item in train if item.group in groups or item.id in ids}
    kept = [item for item in train if item.group not in shared]
    if not shared:
        return kept, ()
    if not kept:
        raise UserError("every group of the training file is also in the test file: give two different files")
    removed = len(train) - len(kept)
    return kept, (
        f"{len(shared)} {_plural(len(shared), 'group')} of the training file ({removed} "
        f"{_plural(removed, 'example')}) removed: also in the test file",
    )


def _ordered(choices: Iterable[Choice], *key: str | int) -> list[Choice]:
    """Shuffled by group, the members of a group side by side."""
    order = {group: fingerprint(*key, group) for group in {item.group for item in choices}}
    return sorted(choices, key=lambda item: (order[item.group], item.id))


def _carve(choices: Sequence[Choice], shares: Shares) -> dict[Split, list[Choice]]:
    """A group goes to the split in whose part of the line its first example stands."""
    carved: dict[Split, list[Choice]] = {split: [] for split in TRAINING}
    parts = (shares.supervise, shares.transfer, shares.validation)
    ends = [round(sum(parts[: n + 1]) * len(choices)) for n in range(len(parts))]
    group, home = "", None
    for place, item in enumerate(choices):
        if item.group != group:
            group = item.group
            home = next((split for split, end in zip(TRAINING, ends, strict=True) if place < end), None)
        if home is not None:
            carved[home].append(item)
    return carved


def _check(chosen: Mapping[Split, Sequence[Choice]]) -> None:
    for split, items in chosen.items():
        setting = "the test file" if split == "test" else f"the training file, task.shares.{split}"
        if not items:
            raise UserError(f"no examples for {split}: it needs more rows ({setting}, task.limits.{split})")
        labels = Counter(item.label for item in items)
        if len(labels) < 2 and len(items[0].texts) == 1 and split != "validation":
            raise UserError(
                f"{split} has {len(items)} {_plural(len(items), 'example')}, all of one class: "
                f"it needs more rows ({setting}, task.limits.{split})"
            )


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
