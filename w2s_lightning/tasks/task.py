"""What a task is: what it offers to everything above (`Task`), and the one that reads rows (`DataTask`).

A task's fields are identity of the data but for its name, which is for people. Its kind is a value: whoever needs more
than ids, groups and texts asks for it. How an answer is judged is not here (`schema.Judge`).
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Protocol, cast

from w2s_lightning.config.schema import OpenShare, record
from w2s_lightning.config.typed import Name
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS, Example, Kind, Layout, Split, Splits
from w2s_lightning.tasks.final_answer import AnswerKey
from w2s_lightning.tasks.format import Format
from w2s_lightning.tasks.readers import Reader
from w2s_lightning.tasks.source import ENDINGS_SPOKEN, PARTS, GivenFile, Hub, Part, SourceRow, Table, read_table
from w2s_lightning.tasks.split import ExamplePool, Limits, Shares, held_out, make_pool, make_splits

TEST_OF = "test_of"
"""A column of a person's file that names the task of which a row's prompt is a test question: said in a notice."""
_CHARACTERS_PER_TOKEN = 4
_NO_LABEL = ("nan", "none", "null", "na", "n/a", "<na>")  # what programs write where there is no value


class Task(Protocol):
    """What every task offers, whatever its kind.

    Of choice and preference: `class_names`, the ones that label files use; `words`, one verdict word a class in layout
    `text`, (not the right one, the right one) in layout `options`, where every text is a statement of its own, or none;
    `words_are_labels` where nobody chose words, and the labels stand in for them.
    Of preference and reasoning: `format`. Of reasoning: `key`, which reads and compares final answers. `world` is the
    embedded world that ladder models are pretrained on (None: other data). `typical_tokens` is a rough number of tokens
    of an example, all its texts together, for estimates; `typical_solution_tokens` of a gold solution alone.
    """

    @property
    def kind(self) -> Kind: ...
    @property
    def name(self) -> str: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def words_are_labels(self) -> bool: ...
    @property
    def format(self) -> Format: ...
    @property
    def key(self) -> AnswerKey: ...
    @property
    def world(self) -> Any | None: ...
    @property
    def typical_tokens(self) -> int: ...
    @property
    def typical_solution_tokens(self) -> int: ...
    def sizes(self) -> Mapping[Split, int]: ...
    def splits(self, seed: int) -> Splits: ...
    def __hash__(self) -> int: ...


def mean_tokens(texts: Sequence[str]) -> int:
    """A rough number of tokens of the mean text."""
    return 1 + sum(map(len, texts)) // (max(1, len(texts)) * _CHARACTERS_PER_TOKEN)


@record
class DataTask:
    """Examples of a hub data set or, in the same columns, of a person's own `train_file` and `test_file`.

    `reader` says which kind of task it is and how a row becomes an example, `format` how a preference's or reasoning
    task's texts are written down. `shares` and `limits` say how training rows are split; on the hub a plan counts with
    the limits, since it downloads nothing. `words` null: the class names. With a `test_share` that part of the training
    file's groups is kept for testing, in place of a file.
    """

    world: ClassVar[None] = None

    name: Name = field(compare=False)
    source: Hub | None
    train_file: GivenFile | None
    test_file: GivenFile | None
    reader: Reader
    format: Format | None
    words: tuple[str, ...] | None
    shares: Shares
    limits: Limits
    test_share: OpenShare | None = None
    spelling: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.kind == "reasoning":
            object.__setattr__(self, "spelling", self.key.spelling)
        if self.test_share is not None and (self.train_file is None or self.test_file is not None):
            raise UserError(
                "task.test_share keeps a part of task.train_file for testing: give that file and no task.test_file"
            )
        needed = ("train_file",) if self.test_share else ("train_file", "test_file")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing and (len(missing) == 1 or self.source is None):
            other = "" if self.source is None else "; give both files, or none for the hub"
            if missing == ["test_file"] and self.source is None:
                other = ", or test on a fifth of the training file's groups with task.test_share=0.2"
            raise UserError(
                f"task.{missing[0]} has no file: type task.{missing[0]}=/path/to/file.jsonl ({ENDINGS_SPOKEN}){other}"
            )
        if self.reader.kind != "choice" and self.format is None:
            raise UserError("task.format is missing: it says how the texts are written down")
        if not missing:  # they stand in for the hub, which then is no part of what is learned
            object.__setattr__(self, "source", None)
            for table in map(self._table, PARTS[:1] if self.test_share else PARTS):
                for column, setting in self.reader.columns().items():
                    table.require(column, setting)
        object.__setattr__(self, "reader", self.reader.fitted(None if missing else self._table("train")))
        if self.words is None:
            object.__setattr__(self, "words", self.reader.class_names if self.layout == "text" else ())
        named = self.reader.class_names
        wanted = len(named) if named and self.layout == "text" else 2
        if self.kind != "reasoning" and len(self.words or ()) not in ((0, wanted) if named else (wanted,)):
            told = f" ({', '.join(named)})" if len(named) == wanted else ""
            raise UserError(
                f"task.words has {len(self.words or ())} words for {wanted} classes{told}: "
                "give one for each, in this order"
            )

    def _table(self, part: Part) -> Table:
        file = self.train_file if part == "train" else self.test_file
        assert file is not None
        return read_table(file)

    @property
    def kind(self) -> Kind:
        return self.reader.kind

    @property
    def layout(self) -> Layout:
        return self.reader.layout

    @property
    def class_names(self) -> tuple[str, ...]:
        """What label files call the classes; those without names of their own go by their verdict words."""
        return self.reader.class_names or self.words or ()

    @property
    def words_are_labels(self) -> bool:
        return bool(self.words) and self.words == self.reader.class_names

    @property
    def key(self) -> AnswerKey:
        return self.reader.key

    @property
    def typical_tokens(self) -> int:
        if self.source is None:
            read = [(*one.texts, *(one.completions if self.kind == "reasoning" else ())) for one in self._some()]
            return mean_tokens(["".join(texts) for texts in read])
        return self.reader.typical_tokens * (len(self.class_names) if self.layout == "options" else 1)

    @property
    def typical_solution_tokens(self) -> int:
        if self.source is None:
            return mean_tokens([one.solution for one in self._some()])
        return self.reader.typical_solution_tokens

    def _some(self) -> Sequence[Example]:
        return _pools(self)[0].examples[:500]

    def resolved(self, find: Callable[[str, str], str]) -> "DataTask":
        """The same task with the commit of its data set filled in, which `find(repository, revision)` tells."""
        if self.source is None:
            return self
        try:
            return replace(self, source=self.source.resolved(find))
        except UserError as error:
            raise UserError(f"{error}, or files in its columns: `task.train_file=... task.test_file=...`") from None

    def sizes(self) -> Mapping[Split, int]:
        """Examples per split.

        On the hub the limits (0: not known), which need no download. Of files those of seed 0: splits are by whole
        groups, so another seed may differ by a few.
        """
        if self.source is not None:
            return {split: limit or 0 for split, limit in self.limits.by_split().items()}
        splits = self.splits(0)
        return {split: len(splits.of(split)) for split in SPLITS}

    def splits(self, seed: int) -> Splits:
        """The examples of job seed `seed`; raise UserError for data that cannot be loaded or used."""
        return make_splits(*_pools(self), shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _pools(task: DataTask) -> tuple[ExamplePool, ExamplePool]:
    if task.test_share:
        return held_out(_pool(task, "train"), task.test_share)
    return _pool(task, "train"), _pool(task, "test")


def _pool(task: DataTask, part: Part) -> ExamplePool:
    if task.source is not None:
        rows: Sequence[SourceRow] = task.source.rows(part, list(task.reader.columns()))
        what = f"{task.name} ({getattr(task.source, part)})"
    else:
        rows, what = task._table(part).rows, "training file" if part == "train" else "test file"
    format = cast(Format, task.format)
    pool = make_pool(
        rows,
        lambda row: task.reader.read(row, format),
        what,
        kind=task.kind,
        class_names=task.class_names,
    )
    counts = Counter(str(row.values[TEST_OF]) for row in rows if row.values.get(TEST_OF))
    warnings = tuple(
        f"{what}: {count} rows are about test questions of {name}: what is trained on them must not be tested there"
        for name, count in counts.items()
    )
    if part == "train":
        warnings += tuple(f"{what}: {told}" for told in _odd_classes(task.class_names))
    return replace(pool, notices=warnings + pool.notices)


def _odd_classes(names: Sequence[str]) -> Iterator[str]:
    """What is said of classes that are one to a reader's eye, or none at all."""

    def seen(name: str) -> str:
        shown = (sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")
        return " ".join("".join(shown).casefold().split())

    for one, other in pairwise(sorted(names, key=seen)):
        if one.casefold() == other.casefold():
            yield f"the labels {one!r} and {other!r} are two classes, which differ in case alone"
        elif seen(one) == seen(other):
            yield f"the labels {one!a} and {other!a} are two classes, which look the same"
    for name in names:
        if name.casefold() in _NO_LABEL:
            yield f"the label {name!r} is a class: is it written where a label is missing?"
