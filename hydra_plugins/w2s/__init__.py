"""What Hydra discovers: the sweeper `w2s`, the launchers `pool`, `slurm` and `ray_cluster`.

Hydra imports this file at every start, `--cfg` and tab completion included, and executes it twice: so it only defines
classes, and what they do is imported when they do it.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class W2SSweeper(Sweeper):
    """Plans the whole grid, then launches what is missing; see `w2s_lightning.sweep`."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings, which are read from the configuration."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep of these task overrides."""
        from w2s_lightning.report.writing import Reporter
        from w2s_lightning.sweep.run import sweep

        return sweep(self._context, self._task, self._config, arguments, Reporter)


class PoolLauncher(Launcher):
    """Processes on this machine, one a unit. Our sweeper runs the pool itself: to Hydra this is only its name."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings, which are read from the configuration."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over."""
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Refuse other sweepers."""
        from w2s_lightning.errors import UserError

        raise UserError("hydra/launcher=pool launches for hydra/sweeper=w2s alone: choose hydra/launcher=basic, or w2s")


class SlurmLauncher(PoolLauncher):
    """Jobs of a Slurm cluster, through submitit."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over; refuse where no cluster answers."""
        from w2s_lightning.sweep import cluster

        self._config = config
        cluster.connect(config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs."""
        from w2s_lightning.sweep import cluster

        return cluster.launch(self._config, job_overrides, initial_job_idx)


class RayLauncher(SlurmLauncher):
    """Tasks of a Ray cluster: `w2s_lightning.sweep.cluster` tells the two apart by their names."""
