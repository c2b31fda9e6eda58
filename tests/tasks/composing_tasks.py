"""Composes `conf/task/*.yaml` with Hydra and binds it as `train.py` does, one task at a time."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from w2s_lightning.config.bind import bind_target
from w2s_lightning.config.mistakes import Origin

CONF = Path(__file__).resolve().parents[2] / "conf" / "task"


def task(name: str, *overrides: str) -> Any:
    """The task of `conf/task/<name>.yaml`; overrides without the `task.` prefix."""
    with initialize_config_dir(str(CONF.parent), version_base="1.3"):
        cfg = compose("config", overrides=[f"task={name}", *map(_of_task, overrides)])
    values = OmegaConf.to_container(cfg.task, resolve=True)
    assert isinstance(values, dict)
    for key in ("judge", "benchmark", "benchmark_overlap", "test_samples"):
        values.pop(key, None)
    return bind_target({str(key): value for key, value in values.items()}, Origin("task", name))


def _of_task(override: str) -> str:
    sign = "+" if override.startswith("+") else ""
    return f"{sign}task.{override.removeprefix(sign)}"
