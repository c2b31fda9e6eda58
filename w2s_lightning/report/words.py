"""Numbers and names as people read them, the same in the page and in the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from w2s_lightning.show import words

DASH = "–"
_SHOWN = ("seed", "task", "paradigm", "model@weak", "model@strong")

Row = Mapping[str, Any]


def pair_of(row: Row) -> str:
    """`micro → small`."""
    return f"{row['weak']} → {row['strong']}"


def arm_of(row: Row, *, with_paradigm: bool) -> str:
    """What varied besides the pair: `objective=logconf`, with or else for want of it the paradigm."""
    parts = [f"{key}={value}" for key, value in row["axes"].items() if key not in _SHOWN]
    return " ".join([*([str(row["paradigm"])] if with_paradigm or not parts else []), *parts])


def number(value: float | None, digits: int = 3) -> str:
    """`0.812`, `−0.041`, or a dash."""
    return DASH if value is None else f"{value:z.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """`+0.041`, `−0.041`."""
    return f"{value:+z.{digits}f}".replace("-", "−")


def interval(part: Row | None, digits: int = 3) -> str:
    """`0.812 [0.790, 0.834]`, or a dash."""
    if part is None or part.get("value") is None:
        return DASH
    if part.get("low") is None:
        return number(part["value"], digits)
    return f"{number(part['value'], digits)} [{number(part['low'], digits)}, {number(part['high'], digits)}]"


def seconds(value: float | None) -> str:
    """`0.8 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value is None:
        return DASH
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float | None) -> str:
    """`512 MB`."""
    return words.size(count)


def counted(count: int, word: str, many: str | None = None) -> str:
    """`1 job`, `3 jobs`."""
    return f"{count} {word if count == 1 else many or word + 's'}"


def listed(words: Iterable[str], most: int = 4) -> str:
    """`a, b and c`, or the first few `and 7 more`."""
    items = list(words)
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def mean(values: Sequence[float]) -> float | None:
    """Their mean, None for none."""
    return sum(values) / len(values) if values else None


def saw(information: Row | None) -> str:
    """What a row's model was trained on: `3000 pseudo-labels from 2000 gold`."""
    if information is None:
        return "unknown"
    gold, pseudo = information.get("gold_seen_by_student") or 0, information.get("pseudo_labels") or 0
    upstream = information.get("gold_upstream") or 0
    parts = [f"{gold} gold labels"] if gold else []
    parts += [f"{pseudo} pseudo-labels"] if pseudo else []
    text = " and ".join(parts)
    if upstream:
        text += f" from {upstream} gold labels"
    return text or "no labels"
