"""What things are called and how numbers are written: the same in the terminal, on wandb and in the page."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape

from w2s_lightning.errors import printable

DASH = "-"
ONE_SEED = "one seed: another can differ by more than this"
"""An interval of one job covers another seed of it about a third of the time."""


def shown(text: object) -> str:
    """Text of others for rich to print: neither markup nor control characters, which a terminal would obey."""
    return escape(printable(str(text), keep="\n"))


def number(value: float | None, digits: int = 3) -> str:
    """`0.812`, `-0.041`, or a dash."""
    return DASH if value is None or value != value else f"{value:z.{digits}f}"


def interval(part: Mapping[str, Any] | None, digits: int = 3, sign: str = "") -> str:
    """`0.812 [.790, .834]`, `undefined` for a PGR that is not, a dash for nothing; differences have `sign="+"`."""
    if part is None or part.get("defined") is False:
        return DASH if part is None else "undefined"
    if part.get("value") is None:
        return DASH
    value, low, high = (
        None if one is None else f"{one:{sign}z.{digits}f}" for one in map(part.get, ("value", "low", "high"))
    )
    # An end without its leading zero: the brackets are read beside the value, and columns are narrow.
    ends = [end.replace("0.", ".", 1) if end.lstrip("+-").startswith("0.") else end for end in (low, high) if end]
    return f"{value} [{', '.join(ends)}]" if ends else str(value)


def p_value(value: float | None) -> str:
    """`0.012`, `< 0.001`, or a dash."""
    return "< 0.001" if value is not None and value < 0.001 else number(value)


FEW = 3
"""Seeds from which on an interval over seeds says something."""


def without_ends(part: Mapping[str, Any], seeds: int) -> dict[str, Any]:
    """A figure over so many seeds without its interval, where two of them leave one that says nothing."""
    return {**part, "low": None, "high": None} if 1 < seeds < FEW else {**part}


def over_seeds(part: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A group's figure with its interval, or with its seeds' own values where there are two."""
    seeds = (part or {}).get("per_seed") or ()
    if part is None or part.get("value") is None or not 1 < len(seeds) < FEW:
        return interval(part, digits)
    return f"{number(part['value'], digits)} ({', '.join(number(one, digits) for one in seeds)})"


def tells_nothing(pgr: Mapping[str, Any]) -> bool:
    """Whether a PGR is told apart neither from 0 nor from 1."""
    return bool(pgr.get("defined")) and pgr["low"] <= 0 and pgr["high"] >= 1


def below_zero(difference: Mapping[str, Any] | None) -> bool:
    """Whether the whole interval of a difference lies below 0."""
    return difference is not None and difference.get("high") is not None and bool(difference["high"] < 0)


def seconds(value: float | None) -> str:
    """`0.8 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`, `11 days`, `3 years`, or a dash."""
    if value is None:
        return DASH
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    days, hours = divmod(round(value / 3600), 24)
    if days < 10:
        return f"{counted(days, 'day')} {hours} h" if hours else counted(days, "day")
    days = round(value / 86400)
    return f"{days} days" if days < 730 else f"{round(days / 365.25)} years"


def size(count: float | None) -> str:
    """`1.2 MB`, or a dash."""
    if count is None:
        return DASH
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def counted(count: int, word: str, many: str | None = None) -> str:
    """`1 job`, `3 jobs`."""
    return f"{count} {word if count == 1 else many or word + 's'}"


def listed(words: Iterable[str], most: int = 4) -> str:
    """`a, b and c`, or the first few `and 7 more`."""
    items = list(words)
    if len(items) > most:
        items[most:] = [f"{len(items) - most} more"]
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def split_sizes(sizes: Mapping[str, int]) -> str:
    """`800 training examples (320 supervise, 80 validation, 400 transfer), 200 test examples`."""
    parts = ", ".join(f"{sizes[split]} {split}" for split in ("supervise", "validation", "transfer"))
    return f"{sum(sizes.values()) - sizes['test']} training examples ({parts}), {sizes['test']} test examples"


def pair(row: Mapping[str, Any]) -> str:
    """`micro → small`."""
    return f"{row['weak']} → {row['strong']}"


def job_title(job: Mapping[str, Any]) -> str:
    """`fact_pairs · weak_to_strong · micro → small · seed 0`."""
    return f"{job['task']} · {job['paradigm']} · {pair(job)} · seed {job['seed']}"


def saw(information: Mapping[str, Any] | None) -> str:
    """What a row's model was trained on: `3000 pseudo-labels from 2000 gold labels`."""
    if information is None:
        return "unknown"
    names = ("gold_seen_by_student", "pseudo_labels", "gold_upstream")
    gold, pseudo, upstream = (information.get(name) or 0 for name in names)
    parts = [f"{gold} gold labels"] if gold else []
    parts += [f"{pseudo} pseudo-labels"] if pseudo else []
    return (" and ".join(parts) + (f" from {upstream} gold labels" if upstream else "")) or "no labels"
