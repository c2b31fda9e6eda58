"""Several processes for one piece of work: started together, watched, ended together.

The job itself stays one process, which holds the lease, publishes, and prints; only the work is shared. Processes are
forked from a server that has loaded what the work needs and nothing else, so no thread and no GPU is inherited. When
one fails or is killed, the others are ended and the job hears why. Ctrl-C and SIGTERM go to the first process, whose
fit saves a checkpoint at the end of its step.
"""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

import torch.distributed as dist

from w2s_lightning.data import ranks
from w2s_lightning.errors import UserError, handling
from w2s_lightning.models.device import Report

Share = partial[None]  # of the work: called with `report=` in a process of its own, so it must pickle

GRACE = 5.0  # seconds that the others may take to end after one has failed
ORPHANED = 3


class Outcome(NamedTuple):
    """How one process ended; `text` is for people."""

    kind: Literal["done", "mistake", "failed", "killed", "stopped"]
    text: str


class Member(NamedTuple):
    """A running process, and where it is heard."""

    process: Any
    pipe: Connection


def together(shares: Sequence[Share], report: Report) -> None:
    """Run every share in a process of its own, joined as `data.ranks`; the first one's progress goes to `report`.

    Raises what the first failure was: UserError for a mistake or a killed process, KeyboardInterrupt or SystemExit
    after Ctrl-C or SIGTERM, RuntimeError with the process's own traceback for anything else.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([shares[0].func.__module__, "hydra"])  # hydra: for train.py, their main module
    with tempfile.TemporaryDirectory(prefix="w2s-") as folder:
        meeting = Path(folder) / "meeting"
        team = [_started(context, share, number, len(shares), meeting) for number, share in enumerate(shares)]
        passed: list[int] = []
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def pass_on(number: int, frame: FrameType | None) -> None:
            passed.append(number)
            signal.signal(number, before[signal.Signals(number)])  # a second one has its usual effect
            os.kill(team[0].process.pid, number)

        try:
            with handling(signal.SIGINT, pass_on), handling(signal.SIGTERM, pass_on):
                outcomes = _listen(team, report)
        finally:
            for member in team:
                member.process.kill()
                member.process.join()
    if passed:
        raise KeyboardInterrupt if passed[0] == signal.SIGINT else SystemExit(128 + passed[0])
    # A killed process explains what the others then complain about; a mistake explains more than a crash.
    for kind in ("killed", "mistake", "stopped", "failed"):
        for outcome in outcomes:
            if outcome.kind == kind:
                raise {"failed": RuntimeError, "stopped": KeyboardInterrupt}.get(kind, UserError)(outcome.text)


# ---------------------------------------------------------------- in the job's process


def _started(context: Any, share: Share, number: int, of: int, meeting: Path) -> Member:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_take_part, args=(share, number, of, meeting, theirs), daemon=True)
    process.start()
    theirs.close()
    return Member(process, ours)


def _listen(team: Sequence[Member], report: Report) -> list[Outcome]:
    """Outcomes in the order in which they came, until all are there or the grace after a first failure is over."""
    outcomes: list[Outcome] = []
    waiting = {member.pipe: (number, member) for number, member in enumerate(team)}
    until = float("inf")
    while waiting and time.monotonic() < until:
        for pipe in wait(list(waiting), timeout=1.0):
            number, member = waiting[pipe]  # type: ignore[index]
            said = _said(member, f"process {number + 1} of {len(team)}")
            if not isinstance(said, Outcome):
                report(*said)
                continue
            del waiting[pipe]  # type: ignore[arg-type]
            outcomes.append(said)
            if said.kind != "done":
                until = min(until, time.monotonic() + (0 if said.kind == "stopped" else GRACE))
    return outcomes


def _said(member: Member, who: str) -> Outcome | tuple[int, int]:
    """The next thing that a process says: its progress, or how it ended."""
    try:
        said: Outcome | tuple[int, int] = member.pipe.recv()
        return said
    except EOFError:
        member.process.join()
        return Outcome("killed", f"{who} that shared this fit {_end(member.process.exitcode)}")


def _end(code: int) -> str:
    if code >= 0:
        return f"ended without a word (exit code {code})"
    hint = ", perhaps by the system for want of memory" if code == -signal.SIGKILL else ""
    return f"was killed ({signal.Signals(-code).name}{hint}): the same command goes on from the last checkpoint"


# ---------------------------------------------------------------- in each process of the team


def _take_part(share: Share, number: int, of: int, meeting: Path, pipe: Connection) -> None:
    os.setpgid(0, 0)  # Ctrl-C in a terminal reaches the job alone, which passes it on
    threading.Thread(target=_end_with_job, daemon=True).start()
    if number > 0:  # what all of them would say, the first one says
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        ranks.join(meeting, number, of)
        with suppress(ranks.PartDone):
            share(report=lambda *done: pipe.send(done) if number == 0 else None)
        dist.destroy_process_group()
        outcome = Outcome("done", "")
    except UserError as mistake:
        outcome = Outcome("mistake", str(mistake))
    except (KeyboardInterrupt, SystemExit):
        outcome = Outcome("stopped", "")
    except Exception as error:
        outcome = Outcome("failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    pipe.send(outcome)


def _end_with_job() -> None:
    """A killed job leaves nobody behind who goes on training."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(ORPHANED)
