"""What Hydra discovers: the sweeper `w2s`, the launchers `pool`, `slurm` and `ray_cluster`.

Hydra imports this file at every start, `--cfg` and tab completion included, and executes it twice: so it only defines
classes, and what they do is imported when they do it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.utils import JobReturn
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

CONF = Path(__file__).resolve().parents[2] / "conf"


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


class ModelNames(SearchPathPlugin):
    """Models without a file of their own: folders go before files of that name, repositories of the hub after them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put both into the search path."""
        search_path.prepend("w2s", "models://folders")
        search_path.append("w2s", "models://hub")


class ModelSource(ConfigSource):
    """The YAML of a model that is called by its folder or repository: `w2s_lightning.model_names` writes it."""

    @staticmethod
    def scheme() -> str:
        """Of its places in the search path."""
        return "models"

    def available(self) -> bool:
        """Always."""
        return True

    def is_config(self, config_path: str) -> bool:
        """Whether a configuration is that of such a model."""
        group, _, name = config_path.partition("/")
        if group != "model" or not ("/" in name or name.startswith(".")):  # no other needs what the import loads
            return False
        from w2s_lightning import model_names

        known = model_names.is_folder if self.path == "folders" else model_names.is_repository
        return known(name)

    def load_config(self, config_path: str) -> ConfigResult:
        """What stands for it."""
        from w2s_lightning import model_names

        block = model_names.block_of(config_path.partition("/")[2], CONF)
        return ConfigResult(
            provider=self.provider, path=self.full_path(), config=OmegaConf.create(block), header={"package": None}
        )

    def is_group(self, config_path: str) -> bool:
        """The places of models are offered by a shell's completion as groups of their own."""
        return config_path.startswith("model@")

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """What can be chosen there."""
        files = sorted(file.stem for file in (CONF / "model").glob("[!_]*.yaml"))
        return files if self.is_group(config_path) and results_filter != ObjectType.GROUP else []
