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
from rich.console import Console

from w2s_lightning.atomic import write_whole
from w2s_lightning.metrics.intervals import FloatArray, Interval
from w2s_lightning.metrics.sections import SECTIONS, Judgement
from w2s_lightning.show.numbers import interval, shown
from w2s_lightning.show.terminal import print_table
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
    lengths: Mapping[str, Interval | None]
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
    judged = asdict(evaluation.judgement)
    summary = {
        **evaluation.about,
        "num_rows": len(evaluation.wins),
        "ties": evaluation.ties,
        **{kind: judged[kind] for kind in ("overall", "sections", "subsets")},
        "other_subsets": judged["others"],
        "missing_sections": judged["missing"]["sections"],
        "missing_subsets": judged["missing"]["subsets"],
        "chosen_is": {name: part and asdict(part) for name, part in evaluation.lengths.items()},
        "notices": list(evaluation.notices),
    }
    write_whole(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def show(evaluation: Evaluation, console: Console) -> None:
    """The table of overall, sections and subsets, and what has to be said with it."""
    judged = evaluation.judgement
    found: list[tuple[str, Interval | None]] = [("overall", judged.overall)]
    for section, score in judged.sections.items():
        found.append((section, score))
        found += [(f"  {name}", judged.subsets[name]) for name in SECTIONS[section] if name in judged.subsets]
    found += [(f"(no section) {name}", part) for name, part in judged.others.items()]
    words = {"shorter": "chosen is shorter", "equal": "chosen is as long", "longer": "chosen is longer"}
    found += [(words[name], part) for name, part in evaluation.lengths.items()]
    rows = [(short(name), interval(vars(part)), part.n) for name, part in found if part is not None]
    columns = ("", "win rate [95 %]", "rows")
    print_table(console, columns, rows, short(str(evaluation.about["model"])), bold="overall")
    for line in said(evaluation):
        console.print(shown(line), soft_wrap=True, highlight=False)


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
        lines.append(f"not among RewardBench's subsets, in no section: {', '.join(map(short, judged.others))}")
    if evaluation.ties:
        lines.append(f"{evaluation.ties} ties, counted as losses")
    return [*lines, *(f"note: {notice}" for notice in evaluation.notices)]


def short(name: str) -> str:
    """A name that a data set or a model brought, cut where it is long."""
    return name if len(name) <= _SHOWN else name[:_SHOWN] + "..."
