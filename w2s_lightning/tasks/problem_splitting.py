"""From rows to problems in four splits; which problem goes where is decided by the rules of `splitting`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.examples import SPLITS, Choice
from w2s_lightning.tasks.files import Row
from w2s_lightning.tasks.problems import Problem, ProblemSplits
from w2s_lightning.tasks.splitting import Limits, Pool, Shares, make_splits


class UnparsedAnswer(UserError):
    """A gold answer that the task's key cannot read."""


class _Entry(NamedTuple):
    problem: Problem
    place: str


@dataclass(frozen=True)
class ProblemPool:
    """Distinct problems of one file or split, and what was counted on the way."""

    problems: tuple[Problem, ...]
    notices: tuple[str, ...]


def own_problems(rows: Iterable[Row], read: Callable[[Row], Problem], what: str) -> ProblemPool:
    """Problems of a person's file without duplicates.

    Raises UserError, with file and line, for a gold answer that does not parse and for one question with two answers.
    """
    entries = [_Entry(read(row), row.place) for row in rows]
    for first, other in _conflicts(entries):
        answers = f"{first.problem.answer!r} and {other.problem.answer!r}"
        raise UserError(f"{first.place} and {other.place}: one question has the answers {answers}; keep one")
    return _distinct(entries, what, ())


def published_problems(rows: Iterable[Row], read: Callable[[Row], Problem], what: str) -> ProblemPool:
    """Problems of a published data set, whose gaps the user cannot mend: they are left out and counted.

    Raises UserError when no gold answer parses.
    """
    entries, unparsed = [], list[UnparsedAnswer]()
    for row in rows:
        try:
            entries.append(_Entry(read(row), row.place))
        except UnparsedAnswer as error:
            unparsed.append(error)
    if unparsed and not entries:
        raise unparsed[0]
    bad = {first.problem.id for first, _ in _conflicts(entries)}
    kept = [entry for entry in entries if entry.problem.id not in bad]
    counts = (("without a gold answer that parses", len(unparsed)), ("with conflicting answers", len(bad)))
    notices = tuple(f"{what}: {_questions(count)} {fault} left out" for fault, count in counts if count)
    return _distinct(kept, what, notices)


def split_problems(
    train: ProblemPool, test: ProblemPool, *, shares: Shares, limits: Limits, seed: int
) -> ProblemSplits:
    """Carve the training pool by group; raise UserError when a split comes out empty."""
    problems = {problem.id: problem for problem in (*train.problems, *test.problems)}
    made = make_splits(_stand_ins(train), _stand_ins(test), shares=shares, limits=limits, seed=seed)
    found = {split: tuple(problems[item.id] for item in made.of(split)) for split in SPLITS}
    return ProblemSplits(**found, notices=made.notices)


def _stand_ins(pool: ProblemPool) -> Pool:
    """The pool as `splitting` knows it: it reads `id` and `group` alone."""
    items = (Choice(item.id, item.group, (item.question, ""), 0, item.difficulty) for item in pool.problems)
    return Pool(tuple(items), pool.notices)


def _conflicts(entries: Iterable[_Entry]) -> list[tuple[_Entry, _Entry]]:
    first: dict[str, _Entry] = {}
    pairs = [(first.setdefault(entry.problem.id, entry), entry) for entry in entries]
    return [(a, b) for a, b in pairs if a.problem.answer != b.problem.answer]


def _distinct(entries: Sequence[_Entry], what: str, notices: tuple[str, ...]) -> ProblemPool:
    by_id: dict[str, Problem] = {}
    for entry in entries:
        by_id.setdefault(entry.problem.id, entry.problem)
    repeated = len(entries) - len(by_id)
    if repeated:
        notices += (f"{what}: {_questions(repeated, 'duplicate ')} left out",)
    return ProblemPool(tuple(by_id.values()), notices)


def _questions(count: int, kind: str = "") -> str:
    return f"{count} {kind}question{'' if count == 1 else 's'}"
