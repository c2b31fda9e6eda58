"""What a `-m` command asks for: its jobs, before any of them is planned, and how to say it again."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from w2s_lightning.errors import UserError
from w2s_lightning.results.claims import Claim, read_claims
from w2s_lightning.sweep.axes import Declared, Expansion, expand
from w2s_lightning.sweep.composition import Composer, own_words


@dataclass(frozen=True)
class Hydras:
    """What Hydra hands to a sweeper."""

    context: HydraContext
    task: TaskFunction
    config: DictConfig


@dataclass(frozen=True)
class Asked:
    """One command: `name` is the sweep file's, `claims` what it is to decide, if anything."""

    name: str
    command: str
    arguments: tuple[str, ...]
    expansion: Expansion
    claims: tuple[Claim, ...]
    allow_inverted: bool
    composer: Composer


def understand(hydras: Hydras, settings: Mapping[str, Any], arguments: Sequence[str]) -> Asked:
    """Read the sweep file's axes and the command line; raise UserError where they make no grid."""
    loader = hydras.context.config_loader
    assert isinstance(loader, ConfigLoaderImpl)
    cases = list(settings.get("cases") or ())
    claims: list[Claim] = []
    if settings.get("claims") is not None:
        if cases:
            raise UserError("a sweep has either claims or cases: keep one")
        claims = read_claims(_beside_the_program(str(settings["claims"])))
        cases = cases_of(claims)
    declared = Declared(settings.get("params") or {}, cases)
    name = hydras.config.hydra.runtime.choices.get("sweeps")
    return Asked(
        name=str(name or "grid"),
        command=shlex.join(["python", "train.py", "-m", *arguments, *own_words(hydras.config)]),
        arguments=tuple(arguments),
        expansion=expand(declared, arguments, OverridesParser.create(config_loader=loader)),
        claims=tuple(claims),
        allow_inverted=bool(settings.get("allow_inverted")),
        composer=Composer(loader, hydras.config),
    )


def cases_of(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """The jobs that claims are decided by, each once."""
    cases: dict[tuple[str, ...], dict[str, Any]] = {}
    for claim in claims:
        for overrides in (claim.jobs, getattr(claim.quantity, "against", None)):
            for seed in claim.seeds if overrides is not None else ():
                texts = (*(overrides or ()), f"seed={seed}")
                cases[tuple(sorted(texts))] = dict(text.split("=", 1) for text in texts)
    return list(cases.values())


def _beside_the_program(path: str) -> Path:
    """A path as given, or relative to where `train.py` lies."""
    here = Path(path)
    return here if here.exists() else Path(sys.argv[0]).resolve().parent / path
