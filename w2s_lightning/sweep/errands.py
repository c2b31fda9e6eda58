"""A batch of a launcher's jobs as errands for a cluster: what to run, of which kind, with which resources."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from w2s_lightning.errors import UserError
from w2s_lightning.sweep.attempt import Record
from w2s_lightning.sweep.composition import own_words
from w2s_lightning.sweep.pool import LOG
from w2s_lightning.sweep.remote import Errand

SLURM, RAY = "hydra_plugins.w2s.SlurmLauncher", "hydra_plugins.w2s.RayLauncher"
_NEEDS = {SLURM: ("slurm", "submitit", "slurm"), RAY: ("ray_cluster", "ray", "ray")}


def check_extra(target: str) -> None:
    """Raise UserError when a launcher of ours needs a package that is not installed."""
    if target in _NEEDS:
        name, package, extra = _NEEDS[target]
        if find_spec(package) is None:
            raise UserError(f"the launcher {name} needs an extra: pip install 'w2s-lightning[{extra}]'")


def errands_of(config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[Errand]:
    """One errand a job, which tells its kind as `hydra.job.name` and its place as `hydra.sweep.subdir`."""
    environment = _environment(settings_of(config))
    parser = OverridesParser.create()
    made = []
    for number, words in enumerate(jobs, first):
        told = {o.key_or_group: str(o.value()) for o in parser.parse_overrides(list(words))}
        place = Path(told.get("hydra.sweep.dir", str(config.hydra.sweep.dir)))
        log = place / told.get("hydra.sweep.subdir", f"jobs/{number}") / LOG
        kind = told.get("hydra.job.name", "job")
        program = Path(sys.argv[0]).resolve()
        made.append(Errand(kind, program, (*own_words(config), *words), Path.cwd(), log.absolute(), environment))
    return made


def settings_of(config: DictConfig) -> dict[str, Any]:
    """`hydra.launcher` as plain values."""
    settings = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert isinstance(settings, dict)
    return {str(key): value for key, value in settings.items()}


def settings_for(settings: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The settings of a kind of stage: the launcher's, but for those that `stages.KIND` sets."""
    stages = settings["stages"] or {}
    own = {key: value for key, value in (stages.get(kind) or {}).items() if value is not None}
    return {**{key: value for key, value in settings.items() if key != "stages"}, **own}


def returned(jobs: Sequence[Sequence[str]], records: Sequence[Record]) -> list[JobReturn]:
    """What a launcher returns: every job with its record as value, as `train.py` gives it to any launcher."""
    found = []
    for job, record in zip(jobs, records, strict=True):
        one = JobReturn(overrides=list(job), status=JobStatus.COMPLETED)
        one.return_value = record
        found.append(one)
    return found


def _environment(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: os.environ[name] for name in settings["environment"] if name in os.environ}
