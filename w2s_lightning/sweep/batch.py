"""The pool as a plain Hydra launcher, for other sweepers: whole jobs, each of which computes what the store lacks.

Jobs that want the same stage wait for one another's lease, so nothing is computed twice even here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig
from rich.console import Console

from w2s_lightning.refs import Refs
from w2s_lightning.sweep.attempt import Record
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.composition import Composer, own_words
from w2s_lightning.sweep.finished import Finished
from w2s_lightning.sweep.grid import plan_grid
from w2s_lightning.sweep.lines import Lines
from w2s_lightning.sweep.machine import machine_for
from w2s_lightning.sweep.pool import Pool
from w2s_lightning.sweep.units import SCORE_SECONDS, Unit, Units


def launch(
    context: HydraContext, config: DictConfig, settings: Mapping[str, Any], jobs: Sequence[Sequence[str]]
) -> list[JobReturn]:
    """Run a batch; one return a job, in its order, with the job's record as its value."""
    assert isinstance(context.config_loader, ConfigLoaderImpl)
    composer = Composer(context.config_loader, config)
    grid = plan_grid(
        [tuple(own for own in job if not own.startswith("hydra.")) for job in jobs],
        composer,
        lambda runtime: Refs(Path(runtime.paths.store), on_paper=False),
        allow_inverted=True,
        progress=lambda *_: None,
    )
    units = Units(tuple(Unit(j.plan.digest, j.folder.name, j, (), frozenset(), SCORE_SECONDS) for j in grid.jobs))
    finished, records = Finished(), dict[tuple[str, ...], Record]()
    board = Board(units, lambda unit: finished.result(unit.job) is not None, lambda: None)
    trainer = grid.jobs[0].runtime.trainer
    folder, limit = Path(str(config.hydra.sweep.dir)), settings.get("time_limit")
    pool = Pool(
        machine_for(settings, trainer),
        trainer,
        folder,
        request_of=lambda unit: unit.job.request(composer),
        words_of=lambda unit: [*own_words(config), *unit.job.overrides],
        time_limit=limit,
    )
    with Lines(Console(), len(units.all)) as lines:

        def ended(unit: Unit, record: Record) -> None:
            for overrides in (unit.job.overrides, *grid.also.get(unit.key, ())):
                records[overrides] = record
            lines.ended(unit, record)

        pool.run(board, lines.started, ended)
    return [_returned(tuple(job), records) for job in jobs]


def _returned(job: tuple[str, ...], records: Mapping[tuple[str, ...], Record]) -> JobReturn:
    record = records.get(tuple(own for own in job if not own.startswith("hydra.")))
    returned = JobReturn(overrides=job, status=JobStatus.COMPLETED)
    if record is not None and record["status"] == "failed":
        returned.status = JobStatus.FAILED
        returned.return_value = RuntimeError(record["message"])
    else:
        returned.return_value = record
    return returned
