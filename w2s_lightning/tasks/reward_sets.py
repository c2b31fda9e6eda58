"""Rows that reward models are judged on: RewardBench, its prior sets, and files in the same columns.

Columns are `prompt` (a text or turns), `chosen`, `rejected` and `subset`. Every row counts, also one that stands twice:
the published figures are means over rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.example import Example
from w2s_lightning.tasks.files import Row, SameAnswers, Unusable, read_table
from w2s_lightning.tasks.hub_source import HubSource
from w2s_lightning.tasks.pair_columns import PairColumns, read_pair
from w2s_lightning.tasks.split import left_out

REWARD_BENCH = "allenai/reward-bench"
PRIOR_SETS = "allenai/pref-test-sets"
_SPLITS = {  # by the last part of the repository's name, so that a folder may hold it too
    "reward-bench": ("filtered",),
    "pref-test-sets": ("anthropic_helpful", "anthropic_hhh", "shp", "summarize"),
}
_BY_SPLIT = ("pref-test-sets",)  # where a split's name is its rows' subset
_FILES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class RewardSet:
    """Pairs to be scored, the place (`file:line`) of each, and what was counted on the way, for people to read."""

    pairs: tuple[Example, ...]
    places: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subset of each row."""
        return tuple(pair.subset or "" for pair in self.pairs)

    @property
    def groups(self) -> tuple[str, ...]:
        """The prompt's group of each row, which is what a bootstrap resamples."""
        return tuple(pair.group for pair in self.pairs)


def located(data: str) -> DataFile | HubSource:
    """A file by its ending, a folder in a hub repository's layout, or a hub repository whose commit is yet to be found.

    Raises UserError for a file or folder that is not there.
    """
    if Path(data).suffix in _FILES:
        return DataFile.at(data)
    folder = Path(data).expanduser().is_dir()
    if not folder and (data.startswith(("/", "~", ".")) or data.count("/") != 1):
        raise UserError(f"no such data: {data} (expected a file ({', '.join(_FILES)}), a folder, or {REWARD_BENCH})")
    hub = {"path": data, "config": None, "revision": "main", "commit": None}
    return TypeAdapter(HubSource).validate_python(hub)


def read_reward_set(source: DataFile | HubSource, form: Form, splits: Sequence[str] = ()) -> RewardSet:
    """The rows of a source, written with `form`; `splits` of a hub repository (none: those known for its name).

    Rows with equal answers are left out and counted, as are rows of published data without a comparison in them. Raises
    UserError for such a row of a file, naming file and line.
    """
    if isinstance(source, DataFile):
        table = read_table(source)
        for column in ("prompt", "chosen", "rejected", "subset"):
            table.require(column, "RewardBench's columns are prompt, chosen, rejected, subset")
        return _read([(row, None) for row in table.rows], form, str(source.path), own=True)
    name = source.label.rsplit("/", 1)[-1]
    known = splits or _SPLITS.get(name)
    if known is None:
        raise UserError(f"{source.label}: which of its splits? Give --split NAME (known: {', '.join(_SPLITS)})")
    by_split = name in _BY_SPLIT
    columns = ["prompt", "chosen", "rejected", *([] if by_split else ["subset"])]
    rows = [(row, split if by_split else None) for split in known for row in source.rows(split, columns, None)]
    return _read(rows, form, source.label, own=False)


def _read(rows: Sequence[tuple[Row, str | None]], form: Form, what: str, *, own: bool) -> RewardSet:
    pairs, places, faults = list[Example](), list[str](), list[Unusable]()
    for row, subset in rows:
        try:
            pairs.append(_pair(row, form, subset))
            places.append(row.place)
        except Unusable as fault:
            if own and not isinstance(fault, SameAnswers):
                raise
            faults.append(fault)
    if not pairs:
        raise UserError(f"{what} holds no pair of different answers")
    return RewardSet(tuple(pairs), tuple(places), left_out(faults, what, "preference"))


def _pair(row: Row, form: Form, subset: str | None) -> Example:
    values = row.values if subset is None else {**row.values, "subset": subset}
    if not isinstance(values.get("subset"), str):
        raise Unusable(f"{row.place}: column 'subset' holds no name")
    return read_pair(Row(row.place, values), _COLUMNS, form)


_COLUMNS = PairColumns(
    prompt="prompt", chosen="chosen", rejected="rejected", margin=None, subset="subset", group=None, difficulty=None
)
