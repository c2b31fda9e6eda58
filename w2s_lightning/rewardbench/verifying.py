"""A finished reward model as a verifier: how often the best-scored of n samples is right, for any model.

What a job tells of its own models (`best_of.py`), for one that lies in a folder or on the hub.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.content import DataFile
from w2s_lightning.digest import canonical
from w2s_lightning.result.best_of import by_question, curve
from w2s_lightning.rewardbench.output import plain
from w2s_lightning.rewardbench.running import Asked, run, said_of_shared, shared_with_training
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.sample_set import Attempts, SampleSet

SCORES = "samples.parquet"
SUMMARY = "best_of.json"
_MODEL = "model"


@dataclass(frozen=True, eq=False)
class Verified:
    """`summary` is what is written as JSON, `rewards` has one score a sample."""

    summary: Mapping[str, Any]
    attempts: Attempts
    rewards: np.ndarray[Any, np.dtype[np.float32]]


def verify(asked: Asked, form: Form, file: Path, *, allow_overlap: bool) -> Verified:
    """Score every different solution once, and let the scores pick; raise UserError for what cannot be scored."""
    task = SampleSet(source=DataFile.at(file), form=form, words=())
    attempts = task.attempts()
    shared = shared_with_training(asked.model, list(attempts.questions.items()), allowed=allow_overlap)
    scored = run(asked, attempts.texts, form)
    by_text = dict(zip((text.id for text in attempts.texts), scored.rewards[:, 0].tolist(), strict=True))
    rewards, rows = np.array(attempts.scores(by_text), dtype=np.float32), attempts.rows
    names, answers = [(row.question, row.group) for row in rows], [row.answer for row in rows]
    questions = by_question(names, answers, [row.right for row in rows], {_MODEL: rewards.tolist()})
    summary = {
        "model": str(asked.model),
        "reference": None if asked.reference is None else str(asked.reference),
        "rewards": scored.kind,
        "data": {"place": str(file), **canonical(task.source)},
        "form": canonical(form),
        "numerics": canonical(asked.numerics),
        "shared_prompts": shared,
        "num_questions": len(questions),
        "num_rows": len(rows),
        "curve": [{**part, "accuracy": part["accuracy"][_MODEL]} for part in curve(questions)],
        "notices": [*attempts.notices, *scored.notices, *said_of_shared(shared)],
    }
    return Verified(summary, attempts, rewards)


def write(verified: Verified, folder: Path) -> None:
    """Both files; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = verified.attempts.rows
    columns = {name: [getattr(row, name) for row in rows] for name in ("place", "question", "answer", "right")}
    pq.write_table(pa.table({**columns, "reward": verified.rewards}), folder / SCORES)
    (folder / SUMMARY).write_text(json.dumps(verified.summary, indent=2, ensure_ascii=False) + "\n")


def show(verified: Verified, console: Console) -> None:
    """A line for every n, and what has to be said with it."""
    found = verified.summary
    table = Table(title=escape(plain(found["model"])), title_justify="left", box=SIMPLE_HEAD)
    for column in ("n", "best of n [95 %]", "maj@n", "pass@n"):
        table.add_column(column, justify="right", no_wrap=True)
    for part in found["curve"]:
        table.add_row(str(part["n"]), *(_spoken(part[name]) for name in ("accuracy", "majority", "pass")))
    console.print(table)
    about = f"{found['num_rows']} samples of {found['num_questions']} questions; rewards: {found['rewards']}"
    for line in (about, "expected over all subsets of n samples; intervals: bootstrap over questions"):
        console.print(escape(line), soft_wrap=True)
    for notice in found["notices"]:
        console.print(escape(f"note: {plain(notice, len(notice))}"), soft_wrap=True)


def _spoken(part: Mapping[str, Any]) -> str:
    return escape(f"{part['value']:.3f} [{part['low']:.3f}, {part['high']:.3f}]")
