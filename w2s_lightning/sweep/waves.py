"""Units through any of Hydra's launchers: wave after wave, each a batch of jobs that do not need one another.

A launcher returns when its whole batch has ended, and some say little about what failed or raise for all when one did:
so after each wave the store decides. Other nodes' files may take a while to be seen here.
"""

import time
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from w2s_lightning.errors import UserError
from w2s_lightning.sweep.attempt import Record, failure
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.units import Unit

SETTLING = 60.0  # seconds that a shared file system may take to show what another node has written


def run_waves(
    board: Board,
    launcher: Launcher,
    overrides: Callable[[Unit], list[str]],
    log: Callable[[Unit], str | None],
    started: Callable[[Unit], None],
    ended: Callable[[Unit, Record], None],
) -> None:
    """Launch every wave's units whose needs are met."""
    index = 0
    for wave in board.units.waves():
        batch = [unit for unit in wave if board.start(unit)]
        for unit in batch:
            started(unit)
        records = _launch(launcher, [overrides(unit) for unit in batch], index) if batch else []
        index += len(batch)
        until = time.monotonic() + SETTLING
        for unit, told in zip(batch, records, strict=True):
            record = _settled(board, unit, told, until)
            board.end(unit, record, log(unit))
            ended(unit, record)


def _settled(board: Board, unit: Unit, record: Record, until: float) -> Record:
    """The record, once its outputs are seen here or the time for that is over."""
    if record["status"] == "failed":
        return record
    while not board.arrived(unit):
        if time.monotonic() > until:
            why = "it ended well, but its outputs are not here: is paths.store the same folder on every node?"
            return failure(why, "NoOutputs", record["seconds"])
        time.sleep(1.0)
    return record


def _launch(launcher: Launcher, jobs: Sequence[Sequence[str]], index: int) -> list[Record]:
    try:
        returned = list(launcher.launch(jobs, initial_job_idx=index))
    except Exception as error:
        returned = []
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        reason = failure(said, type(error).__name__)
    else:
        reason = failure("the launcher returned nothing for it", "NoReturn")
    records = [_record_of(one) for one in returned]
    return [*records, *[reason] * (len(jobs) - len(records))][: len(jobs)]


def _record_of(returned: JobReturn) -> Record:
    value = returned._return_value
    if returned.status == JobStatus.COMPLETED and isinstance(value, dict) and "status" in value:
        record: Record = value  # type: ignore[assignment]
        return record
    return failure(f"{type(value).__name__}: {value}", type(value).__name__)
