"""Expands, composes and plans sweeps in this process, as the sweeper does: for tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from tests.composing import ROOT, FixedCommits
from w2s_lightning.sweep.axes import Command, read_command
from w2s_lightning.sweep.grid import Composer, Grid, plan_grid

SWEEPS = sorted(file.stem for file in (ROOT / "sweeps").glob("*.yaml"))


@dataclass(frozen=True)
class Read:
    """A `-m` command line as Hydra composed it for the sweep as a whole, and what was read from it."""

    master: DictConfig
    command: Command
    composer: Composer


@contextmanager
def hydra_command(*arguments: str) -> Iterator[Read]:
    """Compose the sweep as a whole, as Hydra does before it calls the sweeper."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", list(arguments), RunMode.MULTIRUN)
        command = read_command(master, tuple(master.hydra.overrides.task))
        yield Read(master, command, Composer(loader, master))


def grid_of(*arguments: str, allow_inverted: bool = False) -> Grid:
    """The planned grid of a `-m` command line."""
    with hydra_command(*arguments) as read:
        quiet = Console(quiet=True)
        return plan_grid(
            read.command.jobs, read.composer, lambda _: FixedCommits(), quiet, allow_inverted=allow_inverted
        )


def composed_by_hydra(master: DictConfig, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str | None]]:
    """A job's configuration and choices as Hydra's own launcher composes it."""
    cfg = GlobalHydra.instance().config_loader().load_sweep_config(master, list(overrides))
    choices = dict(cfg.hydra.runtime.choices)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    return cfg, choices
