"""One job as Hydra composed it, run alone or launched by a sweep through any of Hydra's launchers."""

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from w2s_lightning import job
from w2s_lightning.config import build
from w2s_lightning.errors import UserError
from w2s_lightning.sweep.axes import Declared, open_axes


def run(cfg: DictConfig, hydra: Any, compute: job.Compute) -> None:
    """Bind the configuration and run the job; `hydra` is Hydra's own node.

    Raises UserError for a mistake, a sweep file without -m among them.
    """
    if hydra.mode == RunMode.RUN:
        check_one_cell(hydra)
    settings, runtime = build(cfg, hydra.runtime.choices)
    text = OmegaConf.to_yaml(cfg, resolve=True)
    job.run(job.Request(settings, runtime, text, tuple(hydra.overrides.task)), compute, Console())


def check_one_cell(hydra: Any) -> None:
    """Without -m, a sweep file is only good for one cell: every axis must be fixed on the command line."""
    name = hydra.runtime.choices.get("sweeps")
    if name is None:
        return
    settings = OmegaConf.to_container(hydra.sweeper)
    assert isinstance(settings, dict)
    declared = Declared(settings.get("params") or {}, settings.get("cases") or ())
    left = open_axes(declared, list(hydra.overrides.task), OverridesParser.create())
    if settings.get("claims") and not any(text.startswith("seed=") for text in hydra.overrides.task):
        left.append("seed")
    if left:
        raise UserError(
            f"sweeps={name} is a grid: run it with -m (`python train.py -m sweeps={name}`), "
            f"or fix {', '.join(left)} to run one cell of it"
        )
