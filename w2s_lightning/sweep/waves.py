"""Units through any of Hydra's launchers: wave after wave, each a batch of jobs that do not need one another.

A launcher returns when its whole batch has ended, and some say little about what failed or raise for all when one did:
so after each wave the store decides.
"""

from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from w2s_lightning.sweep.attempt import Record, failure
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.units import Unit


def run_waves(
    board: Board,
    launcher: Launcher,
    overrides: Callable[[Unit], list[str]],
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
        for unit, record in zip(batch, records, strict=True):
            board.end(unit, record, None)
            ended(unit, record)


def _launch(launcher: Launcher, jobs: Sequence[Sequence[str]], index: int) -> list[Record]:
    try:
        returned = list(launcher.launch(jobs, initial_job_idx=index))
    except Exception as error:
        returned = []
        reason = failure(f"{type(error).__name__}: {error}", type(error).__name__)
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
