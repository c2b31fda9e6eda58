"""Supervisors' files are read once before anything is computed, so that a missing id stops nothing halfway."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from w2s_lightning.stage import Part, Stage
from w2s_lightning.stages import Supervisor, Task
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.solutions_file import read_solutions
from w2s_lightning.tasks.supervisor_file import read_answers


def check_supervisors(stages: Iterable[Stage], task: Task, splits: Any) -> None:
    """Raise UserError for a file that does not answer what the stages ask of it; `splits` are those of the job."""
    found = {(one.file.path, one.split): one for stage in stages for one in _inside(stage)}
    for one in found.values():
        ids = [item.id for item in splits.of(one.split)]
        if task.kind == "reasoning":
            known = {item.id for split in SPLITS for item in splits.of(split)}
            read_solutions(one.file, ids, known=known, parse=task.parse)
        else:
            read_answers(one.file, ids, task.class_names)


def _inside(value: object) -> Iterator[Supervisor]:
    """The supervisors that a stage reads itself: its parents are asked on their own."""
    if isinstance(value, Supervisor):
        yield value
    elif isinstance(value, Stage | Part):
        for f in fields(value):
            held = getattr(value, f.name)
            yield from () if isinstance(held, Stage) else _inside(held)
    elif isinstance(value, tuple):
        for item in value:
            yield from () if isinstance(item, Stage) else _inside(item)
