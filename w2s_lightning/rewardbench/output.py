"""What an evaluation leaves behind: a row a pair (Parquet), the scores (JSON), and a table in the terminal.

Names and texts that a data set or a model wrote are shown as text, never as markup or control characters.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.errors import printable
from w2s_lightning.metrics.intervals import FloatArray, Interval
from w2s_lightning.metrics.sections import SECTIONS, Judgement, LengthBias
from w2s_lightning.tasks.reward_sets import RewardSet

SCORES = "scores.parquet"
SUMMARY = "rewardbench.json"
_SHOWN = 60  # characters of a name


@dataclass(frozen=True)
class Evaluation:
    """A judged reward model: rewards [num_rows, 2] (chosen, rejected), `wins` [num_rows], and what is said of it."""

    about: Mapping[str, Any]
    rows: RewardSet
    rewards: NDArray[np.float32]
    tokens: NDArray[np.int64]
    wins: FloatArray
    judgement: Judgement
    lengths: LengthBias
    notices: tuple[str, ...]

    @property
    def ties(self) -> int:
        """Rows whose two rewards are equal, which count as losses."""
        return int((self.rewards[:, 0] == self.rewards[:, 1]).sum())


def write(evaluation: Evaluation, folder: Path) -> None:
    """Both files; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = evaluation.rows.pairs
    columns = {
        "place": list(evaluation.rows.places),
        "example_id": [pair.id for pair in pairs],
        "group": [pair.group for pair in pairs],
        "subset": list(evaluation.rows.subsets),
        "reward_chosen": evaluation.rewards[:, 0],
        "reward_rejected": evaluation.rewards[:, 1],
        "win": evaluation.wins.astype(bool),
        "tokens_chosen": evaluation.tokens[:, 0],
        "tokens_rejected": evaluation.tokens[:, 1],
    }
    pq.write_table(pa.table(columns), folder / SCORES)
    (folder / SUMMARY).write_text(json.dumps(summary(evaluation), indent=2, ensure_ascii=False) + "\n")


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The scores as JSON types."""
    judged, lengths = evaluation.judgement, evaluation.lengths
    return {
        **evaluation.about,
        "num_rows": len(evaluation.wins),
        "ties": evaluation.ties,
        "overall": None if judged.overall is None else asdict(judged.overall),
        "sections": {name: asdict(part) for name, part in judged.sections.items()},
        "subsets": {name: asdict(part) for name, part in judged.subsets.items()},
        "other_subsets": {name: asdict(part) for name, part in judged.others.items()},
        "missing_sections": list(judged.missing.sections),
        "missing_subsets": {name: list(lost) for name, lost in judged.missing.subsets.items()},
        "chosen_is": {
            name: None if part is None else asdict(part)
            for name, part in (("shorter", lengths.shorter), ("equal", lengths.equal), ("longer", lengths.longer))
        },
        "notices": list(evaluation.notices),
    }


def show(evaluation: Evaluation, console: Console) -> None:
    """The table of overall, sections and subsets, and what has to be said with it."""
    table = Table(title=escape(plain(str(evaluation.about["model"]))), title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "win rate [95 %]"):
        table.add_column(column, no_wrap=True)
    table.add_column("rows", justify="right")
    for name, part, style in _lines(evaluation.judgement):
        table.add_row(escape(plain(name)), with_interval(part), str(part.n), style=style)
    for name, rate in (
        ("chosen is shorter", evaluation.lengths.shorter),
        ("chosen is as long", evaluation.lengths.equal),
        ("chosen is longer", evaluation.lengths.longer),
    ):
        if rate is not None:
            table.add_row(name, with_interval(rate), str(rate.n), style="dim")
    console.print(table)
    for line in said(evaluation):
        console.print(escape(plain(line, len(line))), soft_wrap=True, highlight=False)


def _lines(judged: Judgement) -> list[tuple[str, Interval, str | None]]:
    lines: list[tuple[str, Interval, str | None]] = []
    if judged.overall is not None:
        lines.append(("overall", judged.overall, "bold"))
    for section, score in judged.sections.items():
        lines.append((section, score, "bold"))
        lines += [(f"  {name}", judged.subsets[name], None) for name in SECTIONS[section] if name in judged.subsets]
    return lines + [(f"(no section) {name}", part, None) for name, part in judged.others.items()]


def said(evaluation: Evaluation) -> list[str]:
    """In sentences: what is missing, ties, notices."""
    judged, about = evaluation.judgement, evaluation.about
    written = "as plain text" if about["form"]["chat_template"] is None else "by the model's chat template"
    lines = [f"rewards: {about['rewards']}; rows written {written}; intervals: bootstrap over prompts"]
    if judged.sections and judged.missing.sections:
        lines.append(f"missing sections, left out with their weight: {', '.join(judged.missing.sections)}")
    lines += [
        f"missing in {section}, left out with their weight: {', '.join(names)}"
        for section, names in judged.missing.subsets.items()
    ]
    if judged.others:
        lines.append(f"not among RewardBench's subsets, in no section: {', '.join(map(plain, judged.others))}")
    if evaluation.ties:
        lines.append(f"{evaluation.ties} ties, counted as losses")
    return [*lines, *(f"note: {notice}" for notice in evaluation.notices)]


def with_interval(part: Interval) -> str:
    """`0.812 [0.790, 0.834]`."""
    return f"{part.value:.3f} [{part.low:.3f}, {part.high:.3f}]"


def plain(text: str, most: int = _SHOWN) -> str:
    """Text without control characters, cut where it is long."""
    shown = printable(text)
    return shown if len(shown) <= most else shown[:most] + "..."
