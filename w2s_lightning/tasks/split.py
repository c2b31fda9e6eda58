"""From rows of a training and a test set to four splits: unusable rows, duplicates, leaks, shares and limits.

Everything goes by group (the question or prompt), and by hashes of content instead of positions, so neither the order
of a file nor a library's random numbers decide where an example goes. The test set never depends on the seed.
A person's own file is refused where it contradicts itself; published data, which the user cannot mend, is used without
the rows at fault, and the notices say how many.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from w2s_lightning.config.schema import Count, OpenShare, record
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import SPLITS, TRAINING, Example, Kind, Split, Splits
from w2s_lightning.tasks.source import SameAnswers, SourceRow, Unusable

_NOUNS: Mapping[Kind, str] = {"choice": "example", "preference": "pair", "reasoning": "question"}


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


@dataclass(frozen=True)
class ExamplePool:
    """Distinct examples of one file or published split, and what was counted on the way."""

    examples: tuple[Example, ...]
    notices: tuple[str, ...]


def make_pool(
    rows: Iterable[SourceRow],
    read: Callable[[SourceRow], Example],
    what: str,
    *,
    kind: Kind,
    class_names: Sequence[str] = (),
) -> ExamplePool:
    """Read rows and drop duplicates; `what` is the file's or split's name.

    Raises:
        UserError: in a person's own file, with file and line, for a row that is unusable (but for equal answers) or
            that contradicts another; when no row can be used, with the first of them.
    """
    found, faults = usable(rows, read)
    first, contradicted = dict[str, tuple[Example, SourceRow]](), set[str]()
    for example, row in found:
        other, before = first.setdefault(example.id, (example, row))
        if (other.label, other.answer) != (example.label, example.answer):
            if row.own:
                said = _contradiction(other, example, class_names)
                raise UserError(f"{before.place} and {row.place}: {said}; keep one")
            contradicted.add(example.id)
    if faults and not found:
        raise UserError(f"{what}: none of the {len(faults)} rows can be used: {faults[0]}")
    kept = tuple(example for id, (example, _) in first.items() if id not in contradicted)
    repeated = sum(example.id not in contradicted for example, _ in found) - len(kept)
    noun, notices = _NOUNS[kind], left_out(faults, what, kind)
    if contradicted:
        conflicting = f"conflicting {'answers' if kind == 'reasoning' else 'labels'}"
        notices += (f"{what}: {_counted(len(contradicted), noun)} with {conflicting} left out",)
    if repeated:
        notices += (f"{what}: {_counted(repeated, f'duplicate {noun}')} left out",)
    return ExamplePool(kept, notices)


def usable(
    rows: Iterable[SourceRow], read: Callable[[SourceRow], Example]
) -> tuple[list[tuple[Example, SourceRow]], list[Unusable]]:
    """The examples of rows, and what is wrong with the other rows; raise that in a person's own file."""
    found, faults = list[tuple[Example, SourceRow]](), list[Unusable]()
    for row in rows:
        try:
            found.append((read(row), row))
        except Unusable as fault:
            if row.own and not isinstance(fault, SameAnswers):
                raise
            faults.append(fault)
    return found, faults


def _contradiction(first: Example, other: Example, class_names: Sequence[str]) -> str:
    if first.answer is not None:
        return f"one question has the answers {first.answer!r} and {other.answer!r}"
    if first.turns:
        return "one pair with either answer as the better one"
    assert first.label is not None
    assert other.label is not None
    text, labels = first.texts[0], f"{class_names[first.label]!r} and {class_names[other.label]!r}"
    return f"one text has the labels {labels}: {text if len(text) <= 60 else text[:60] + '...'!r}"


def left_out(faults: Sequence[Unusable], what: str, kind: Kind) -> tuple[str, ...]:
    """What to say of rows that were left out, by reason."""
    reasons = Counter(fault.reason for fault in faults)
    firsts = {fault.reason: fault for fault in reversed(faults)}
    return tuple(
        f"{what}: {_counted(count, _NOUNS[kind])} {reason} left out (the first is {firsts[reason]})"
        for reason, count in reasons.items()
    )


def held_out(pool: ExamplePool, share: float) -> tuple[ExamplePool, ExamplePool]:
    """What is left of a pool, and a share of its examples to test on: whole groups, the same for every seed."""
    ordered = _ordered(pool.examples, "test_share")
    groups = {item.group for item in ordered[: round(share * len(ordered))]}
    held = tuple(item for item in pool.examples if item.group in groups)
    return replace(pool, examples=tuple(item for item in pool.examples if item.group not in groups)), ExamplePool(
        held, ()
    )


def make_splits(train: ExamplePool, test: ExamplePool, *, shares: Shares, limits: Limits, seed: int) -> Splits:
    """Carve the training pool by group; raise UserError when a split comes out too small to use."""
    training, leaked = _without_test(train.examples, test.examples)
    carved = _carve(_ordered(training, "train", seed), shares)
    carved["test"] = _ordered(test.examples, "test", 0)
    chosen = {split: tuple(carved[split][:limit]) for split, limit in limits.by_split().items()}
    for split, items in chosen.items():
        _check(split, items)
    return Splits(**chosen, notices=train.notices + test.notices + leaked)


def _without_test(train: Sequence[Example], test: Sequence[Example]) -> tuple[list[Example], tuple[str, ...]]:
    """The training examples whose whole group has nothing in common with the test file, and what was taken away."""
    groups, ids = {item.group for item in test}, {item.id for item in test}
    shared = {item.group for item in train if item.group in groups or item.id in ids}
    kept = [item for item in train if item.group not in shared]
    if not shared:
        return kept, ()
    if not kept:
        raise UserError("every group of the training file is also in the test file: give two different files")
    removed = _counted(len(train) - len(kept), "example")
    return kept, (f"{_counted(len(shared), 'group')} of the training file ({removed}) removed: also in the test file",)


def _ordered(examples: Iterable[Example], *key: str | int) -> list[Example]:
    """Shuffled by group, the members of a group side by side."""
    order = {group: fingerprint(*key, group) for group in {item.group for item in examples}}
    return sorted(examples, key=lambda item: (order[item.group], item.id))


def _carve(examples: Sequence[Example], shares: Shares) -> dict[Split, list[Example]]:
    """A group goes to the split in whose part of the line its first example stands."""
    carved: dict[Split, list[Example]] = {split: [] for split in TRAINING}
    parts = (shares.supervise, shares.transfer, shares.validation)
    ends = [round(sum(parts[: n + 1]) * len(examples)) for n in range(len(parts))]
    group, home = "", None
    for place, item in enumerate(examples):
        if item.group != group:
            group = item.group
            home = next((split for split, end in zip(TRAINING, ends, strict=True) if place < end), None)
        if home is not None:
            carved[home].append(item)
    return carved


def _check(split: Split, items: Sequence[Example]) -> None:
    needs = "the test file" if split == "test" else f"the training file, task.shares.{split}"
    needs = f"it needs more rows ({needs}, task.limits.{split})"
    if not items:
        raise UserError(f"no examples for {split}: {needs}")
    # Pairs and options may all have their right one in the same place by chance; one class alone teaches nothing.
    classified = len(items[0].texts) == 1 and items[0].label is not None
    if classified and len({item.label for item in items}) < 2 and split != "validation":
        raise UserError(f"{split} has {_counted(len(items), 'example')}, all of one class: {needs}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
