"""Composes the project's real configuration the way `train.py` does, for tests."""

from collections.abc import Mapping
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from w2s_lightning.config.bind import JobSettings, Runtime, build
from w2s_lightning.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parent.parent


class FixedCommits:
    """A resolver for tests: every repository is at one made-up commit."""

    def commit(self, kind: str, repository: str, revision: str) -> str:
        return "0" * 40


def composed(*overrides: str) -> tuple[DictConfig, Mapping[str, str | None]]:
    """The composed configuration and the choice made in each group."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, choices


def job(*overrides: str) -> tuple[JobSettings, Runtime]:
    return build(*composed(*overrides), overrides)


def plan(*overrides: str) -> Plan:
    return make_plan(job(*overrides)[0], FixedCommits())
