"""What became of a job or stage, as a plain record that crosses processes: exceptions with constructors of their own
do not."""

import resource
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Literal, TypedDict

from w2s_lightning.errors import UserError

Status = Literal["done", "failed"]


class Record(TypedDict):
    """`type` and `traceback` name the exception, `message` is for people; all three are empty when it is done."""

    status: Status
    type: str
    message: str
    traceback: str
    seconds: float
    peak_memory_bytes: int


def attempt(work: Callable[[], Any]) -> Record:
    """Do it, and tell how it went. A user's mistake has no traceback; Ctrl-C passes."""
    started = time.monotonic()
    try:
        work()
    except UserError as error:
        return _record(started, "failed", type(error).__name__, str(error), "")
    except Exception as error:
        message = f"{type(error).__name__}: {_first_line(error)}"
        return _record(started, "failed", type(error).__name__, message, traceback.format_exc())
    return _record(started, "done", "", "", "")


def failure(message: str, kind: str, seconds: float = 0.0) -> Record:
    """The record of something that could not tell itself how it went."""
    return Record(status="failed", type=kind, message=message, traceback="", seconds=seconds, peak_memory_bytes=0)


def last_error(text: str, otherwise: str) -> str:
    """The last line in which a program has told what went wrong."""
    lines = [line.removeprefix("error: ") for line in text.splitlines() if line.startswith("error: ")]
    return lines[-1] if lines else otherwise


def show(record: Record) -> None:
    """Print a failure to stderr: one or two lines for a user's mistake, else with its traceback."""
    if record["status"] == "failed":
        print(f"{record['traceback']}error: {record['message']}", file=sys.stderr)


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _record(started: float, status: Status, kind: str, message: str, trace: str) -> Record:
    return Record(
        status=status,
        type=kind,
        message=message,
        traceback=trace,
        seconds=round(time.monotonic() - started, 3),
        peak_memory_bytes=peak_memory(),
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")
