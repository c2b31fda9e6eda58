"""What Hydra discovers: the sweeper `w2s`, the launcher `pool`, and `sweeps/` as a configuration group.

Hydra imports this file at every start, `--cfg` and tab completion included, and executes it twice: so it only defines
classes, and what they do is imported when they do it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parents[2]


class SweepFiles(SearchPathPlugin):
    """Makes `sweeps=NAME` find `sweeps/NAME.yaml` beside `train.py`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the repository's root."""
        search_path.append(provider="w2s", path=f"file://{ROOT}")


class W2SSweeper(Sweeper):
    """Plans the whole grid, then launches what is missing; see `w2s_lightning.sweep`."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep of these task overrides."""
        from w2s_lightning.sweep.sweeper import Hydras, sweep

        return sweep(Hydras(self._context, self._task, self._config), self._settings, arguments)


class PoolLauncher(Launcher):
    """Processes on this machine, one a job. Our sweeper schedules them itself; this is for other sweepers."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs."""
        from w2s_lightning.sweep.batch import launch

        return launch(self._context, self._config, self._settings, job_overrides)
