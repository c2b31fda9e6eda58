"""Results that belong to no sweep, as the rows that a sweep would have: jobs run one at a time are shown as well."""

from typing import Any

from w2s_lightning.results.claims import key_of
from w2s_lightning.results.groups import ARMS, Row, job_row


def loose_row(result: Row, folder: str) -> dict[str, Any]:
    """A finished job's row; its axes are the overrides that are no matter of the machine."""
    overrides = list(result.get("overrides") or ())
    axes = dict(sorted(text.lstrip("+").split("=", 1) for text in key_of(overrides) if "=" in text))
    rows = {role: next((row for row in result["rows"] if row["role"] == role), None) for role in ARMS}
    rows["student"] = next(row for row in result["rows"] if row["name"] == result["student_of_record"])
    arms = {arm: row and row["evaluate"] for arm, row in rows.items()}
    judged = {arm: row["benchmark"] for arm, row in rows.items() if row and row.get("benchmark")}
    where = {"digest": result["digest"], "folder": folder, "state": "done"}
    return job_row(result["job"], axes, overrides, result, **where, arms=arms, benchmark_arms=judged or None)
