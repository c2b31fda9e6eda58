"""A sweep's ledger (`sweep.json`): where it lies, whether it can be read, and what to say when it is not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_lightning.errors import UserError
from w2s_lightning.results.groups import ARMS

LEDGER = "sweep.json"
_SHARED = {"task", "paradigm", "weak", "strong", "axes", "metric", "cheats", "pgr", *ARMS}
_OF_JOB = _SHARED | {"seed", "overrides", "digest", "folder", "state"}
_OF_GROUP = _SHARED | {"n", "expected", "missing", "seeds"}


class DamagedLedger(Exception):
    """A ledger that is none; the text names the file."""


def read_ledger(folder: Path) -> Mapping[str, Any]:
    """A sweep's content; raise UserError for a folder that is no sweep, DamagedLedger for a ledger that is none."""
    try:
        content: Any = json.loads((folder / LEDGER).read_bytes())
        _check(content)
    except FileNotFoundError:
        raise UserError(no_sweep(folder)) from None
    except ValueError as error:
        raise DamagedLedger(f"{folder / LEDGER} is damaged ({error})") from None
    found: Mapping[str, Any] = content
    return found


def _check(content: Any) -> None:
    """Raise ValueError for what is no ledger that the pages can read."""
    if not isinstance(content, dict) or not {"jobs", "groups", "sweep"} <= content.keys():
        raise ValueError("it holds no jobs")
    for needed, rows in ((_OF_JOB, content["jobs"]), (_OF_GROUP, content["groups"])):
        for row in rows:
            if not isinstance(row, dict) or not row.keys() >= needed:
                raise ValueError("a row of it lacks figures: it was written by another version")


def no_sweep(folder: Path) -> str:
    """What to say of a folder without a ledger."""
    near = [path.parent for path in (*folder.glob(f"*/{LEDGER}"), *folder.glob(f"sweeps/*/{LEDGER}"))]
    if near:
        return f"{folder} is no sweep, but it holds some: name one, such as --sweep {near[0]}"
    return (
        f"{folder} is no sweep: it has no {LEDGER}. Sweeps lie under outputs/sweeps/ once `python train.py -m ...` ran"
    )
