"""The question that a sweep asks: as its file states it, else read off its shape."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_lightning.report.records import Group
from w2s_lightning.report.words import counted, listed

SWEEPS = (Path("sweeps"), Path(__file__).resolve().parents[2] / "sweeps")


def stated_question(sweep: str) -> str | None:
    """The first question in the comment that a sweep's file begins with (`sweeps/<name>.yaml`)."""
    if not re.fullmatch(r"[\w-]+", sweep):
        return None
    file = next((folder / f"{sweep}.yaml" for folder in SWEEPS if (folder / f"{sweep}.yaml").is_file()), None)
    if file is None:
        return None
    comments = [line[1:].strip() for line in file.read_text().splitlines() if line.startswith("#")]
    text = " ".join(line for line in comments if not line.startswith("@"))
    found = re.search(r"[^.?]*\?", text)
    return found[0].strip() if found else None


def question_of(groups: Sequence[Group], verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One question in plain words."""
    if verdicts:
        return f"Which of the {len(verdicts)} claims hold?" if len(verdicts) > 1 else "Does the claim hold?"
    pairs = list(dict.fromkeys(group.pair for group in groups))
    arms = list(dict.fromkeys(group.arm for group in groups))
    paradigms = list(dict.fromkeys(str(group.row["paradigm"]) for group in groups))
    where = pairs[0] if len(pairs) == 1 else counted(len(pairs), "pair")
    if len(paradigms) > 1:
        return f"Which paradigm recovers more of the gap: {listed(map(_spoken, paradigms))} ({where})?"
    if len(arms) > 1:
        return f"Which variant of {_spoken(paradigms[0])} recovers more of the gap ({where})?"
    if len(pairs) > 1:
        return "How much of the gap does the student recover as supervisor and student grow?"
    return f"How much of the gap does the student recover ({where})?" if pairs else "Nothing has been asked yet."


def _spoken(name: str) -> str:
    return name.replace("_", " ")
