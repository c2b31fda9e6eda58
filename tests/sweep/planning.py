"""Expands, composes and plans sweeps in this process, as the sweeper does: for tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from tests.composing import ROOT, FixedCommits
from w2s_lightning.sweep.asked import Asked, Hydras, understand
from w2s_lightning.sweep.grid import Grid, plan_grid

SWEEPS = sorted(file.stem for file in (ROOT / "sweeps").glob("*.yaml"))


@dataclass(frozen=True)
class Command:
    """A `-m` command line in Hydra's hands."""

    hydras: Hydras
    arguments: tuple[str, ...]

    @cached_property
    def asked(self) -> Asked:
        settings = OmegaConf.to_container(self.hydras.config.hydra.sweeper)
        assert isinstance(settings, dict)
        return understand(self.hydras, {str(k): v for k, v in settings.items()}, self.arguments)

    def grid(self, *, allow_inverted: bool = False) -> Grid:
        return plan_grid(
            self.asked.expansion.jobs,
            self.asked.composer,
            lambda _: FixedCommits(),
            allow_inverted=allow_inverted,
            progress=lambda *_: None,
        )


@contextmanager
def hydra_command(*arguments: str) -> Iterator[Command]:
    """Compose the sweep as a whole, as Hydra does before it calls the sweeper."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", list(arguments), RunMode.MULTIRUN)
        context = HydraContext(config_loader=loader, callbacks=None)  # type: ignore[arg-type]
        yield Command(Hydras(context, lambda _: None, master), tuple(master.hydra.overrides.task))


def grid_of(*arguments: str, allow_inverted: bool = False) -> Grid:
    """The planned grid of a `-m` command line."""
    with hydra_command(*arguments) as command:
        return command.grid(allow_inverted=allow_inverted)


def parser() -> OverridesParser:
    return OverridesParser.create()


def composed_by_hydra(master: DictConfig, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str | None]]:
    """A job's configuration and choices as Hydra's own launcher composes it."""
    cfg = GlobalHydra.instance().config_loader().load_sweep_config(master, list(overrides))
    choices = dict(cfg.hydra.runtime.choices)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    return cfg, choices
