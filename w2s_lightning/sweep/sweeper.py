"""What Hydra calls for `-m`: plan and check the whole grid, show it or run it.

Whatever happens, finished stages and results stay, and the same command goes on from them.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from w2s_lightning.config import Runtime
from w2s_lightning.cost import HERE, rate_of
from w2s_lightning.refs import Refs
from w2s_lightning.show.words import shown
from w2s_lightning.store import Store
from w2s_lightning.sweep.asked import Asked, Hydras, understand
from w2s_lightning.sweep.checked import with_checked_data
from w2s_lightning.sweep.errands import check_extra
from w2s_lightning.sweep.finished import Finished
from w2s_lightning.sweep.grid import Grid, PlannedJob, plan_grid
from w2s_lightning.sweep.lines import planning
from w2s_lightning.sweep.machine import num_cores
from w2s_lightning.sweep.paper import on_paper, show_plan
from w2s_lightning.sweep.pool import start_server
from w2s_lightning.sweep.running import POOL, Running

__all__ = ["Hydras", "sweep"]


def sweep(hydras: Hydras, settings: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Run or plan a sweep; raise UserError for a mistake, and at the end when something failed."""
    console = Console()
    with _stopping_cleanly():
        asked = understand(hydras, {key: _plain(value) for key, value in settings.items()}, arguments)
        finished = Finished()
        grid = _planned(asked, console, partial(_foresee, hydras, finished))
        if grid.jobs[0].runtime.run.mode == "plan":
            _show(grid, finished, console)
        else:
            grid = with_checked_data(grid, lambda job: finished.result(job) is None, partial(_note, console))
            Running(hydras, asked, grid, console).run()


def _foresee(hydras: Hydras, finished: Finished, job: PlannedJob) -> None:
    """As soon as one job is seen to need it: start the pool's server, which takes seconds, or look for the launcher's
    extra."""
    target = str(hydras.config.hydra.launcher._target_)
    if job.runtime.run.mode == "job" and finished.result(job) is None:
        start_server() if target == POOL else check_extra(target)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _planned(asked: Asked, console: Console, planned: Callable[[PlannedJob], None]) -> Grid:
    @cache
    def refs(store: str, on_paper: bool) -> Refs:
        return Refs(Path(store), on_paper=on_paper)

    def resolver(runtime: Runtime) -> Refs:
        return refs(runtime.paths.store, runtime.run.mode == "plan")

    with planning(console) as progress:
        grid = plan_grid(
            asked.expansion.jobs,
            asked.composer,
            resolver,
            allow_inverted=asked.allow_inverted,
            progress=progress,
            planned=planned,
        )
    for notice in (*asked.expansion.notices, *grid.notices()):
        _note(console, notice)
    return grid


def _note(console: Console, text: str) -> None:
    console.print(shown(f"note: {text}"), highlight=False, soft_wrap=True)


def _show(grid: Grid, finished: Finished, console: Console) -> None:
    runtime = grid.jobs[0].runtime
    rate = rate_of(runtime.run.accelerator)
    store = Store.at(Path(runtime.paths.store), create=False)
    num_done = sum(finished.result(job) is not None for job in grid.jobs)
    paper = on_paper(grid, store.has, num_done, rate)
    show_plan(console, paper, rate, num_cores() if rate is HERE else 1)


@contextmanager
def _stopping_cleanly() -> Iterator[None]:
    """Let SIGTERM stop a sweep as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
