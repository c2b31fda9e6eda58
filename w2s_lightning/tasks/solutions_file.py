"""A supervisor's worked solutions from a file (people, an API), keyed by problem id: `supervisor.file=solutions.jsonl`.

A row has the columns `id` and `solution`; the answer is read from the solution as a model's would be. One file may hold
several splits of a task, but no id that the task does not have.
"""

import csv
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Solution, Split
from w2s_lightning.tasks.files import read_table
from w2s_lightning.tasks.task import ReasoningTask


def read_solutions(
    file: DataFile, ids: Sequence[str], *, known: Collection[str] | None, parse: Callable[[str], str | None]
) -> tuple[Solution, ...]:
    """One solution for each of `ids`, in their order; `parse` reads an answer.

    `known` are all ids that the task has, for the job's seed (None: any other id may stand in the file).

    A solution may be empty or hold no answer: its answer is None.

    Raises:
        UserError: for a file that cannot be read, missing columns, an id twice, an id that is not known, an id without
            a solution.
    """
    table = read_table(file)
    table.require("id", "the problem's id")
    table.require("solution", "the worked solution")
    found: dict[str, tuple[str, str]] = {}
    for row in table.rows:
        id = row.text("id")
        if id in found:
            raise UserError(f"{found[id][0]} and {row.place}: two solutions of problem {id}; keep one")
        if known is not None and id not in known:
            raise UserError(f"{row.place}: the task has no problem {id}: is the file for other data or another seed?")
        found[id] = (row.place, row.text_or_blank("solution"))
    missing = [id for id in ids if id not in found]
    if missing:
        few = ", ".join(missing[:3])
        raise UserError(
            f"{table.path} has no solution for {len(missing)} of {len(ids)} problems, such as {few}; "
            f"`python -m w2s_lightning.tasks.export` writes the ids with their questions"
        )
    return tuple(Solution(id, found[id][1], parse(found[id][1])) for id in ids)


def write_for_solving(task: ReasoningTask, splits: Sequence[Split], seed: int, path: Path) -> int:
    """Write id, split, question and an empty solution column as CSV; gold stays out. Returns the number of rows."""
    made = task.splits(seed)
    items = [(split, item) for split in splits for item in made.of(split)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "split", "question", "solution"])
        writer.writerows([item.id, split, item.question, ""] for split, item in items)
    return len(items)
