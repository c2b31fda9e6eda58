"""From a sweep file and a `-m` command line to the overrides of each job. Knows Hydra's grammar, not our groups.

A sweep file declares `params` (axes whose product is taken) and `cases` (keys that move together), or names a file of
claims, whose jobs are its cases. What the command line sets wins over all: a fixed value there takes the axis away.
"""

import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from math import isfinite, prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep, Sweep
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from w2s_lightning.errors import UserError
from w2s_lightning.results.claim_file import Claim, read_claims

MOST_JOBS = 100_000  # which take ten minutes to plan, and a gigabyte

Overrides = tuple[str, ...]
Axis = tuple[Overrides, ...]  # choices of which each job takes one; a choice may set several keys


@dataclass(frozen=True)
class Command:
    """What a `-m` command asks for, before any of its jobs is planned: `name` is the sweep file's, `again` types it
    anew, `claims` are what it is to decide, if anything, `notices` what is to be said of its axes, `remark` what the
    file says above its tables."""

    name: str
    again: str
    arguments: Overrides
    jobs: tuple[Overrides, ...]
    notices: tuple[str, ...]
    claims: tuple[Claim, ...]
    remark: str | None


def read_command(config: DictConfig, arguments: Sequence[str]) -> Command:
    """Read the sweeper's settings and the command line; raise UserError where they make no grid."""
    settings: Any = OmegaConf.to_container(config.hydra.sweeper)
    cases = list(settings.get("cases") or ())
    claims: list[Claim] = []
    if settings.get("claims") is not None:
        if cases:
            raise UserError("a sweep has either claims or cases: keep one")
        given = Path(str(settings["claims"]))
        claims = read_claims(given if given.exists() else Path(sys.argv[0]).resolve().parent / given)
        cases = cases_of(claims)
    if not (arguments or cases or settings.get("params")):
        raise UserError('-m runs a grid, and nothing names one: type `-m sweeps=smoke`, or `-m "seed=range(3)"`')
    jobs, notices = expand(settings.get("params") or {}, cases, arguments)
    name = str(config.hydra.runtime.choices.get("sweeps") or "grid")
    again = shlex.join(["python", "train.py", "-m", *arguments, *own_words(config)])
    return Command(name, again, tuple(arguments), jobs, tuple(notices), tuple(claims), settings.get("remark"))


def refuse_a_grid(hydra: Any) -> None:
    """Raise UserError for a forgotten -m: without it a sweep file is only good for one cell, every axis of which is
    fixed on the command line (one case fixed whole is enough). `hydra` is Hydra's own node."""
    name, sweeper = hydra.runtime.choices.get("sweeps"), hydra.sweeper
    if name is None or hydra.mode == RunMode.MULTIRUN:
        return
    words: list[str] = list(hydra.overrides.task)
    parsed = OverridesParser.create().parse_overrides(words)
    fixed = {o.get_key_element().lstrip("+~") for o in parsed if not o.is_sweep_override()}
    cases = sweeper.get("cases") or ()
    if len(cases) < 2 or any(all(key.lstrip("+~") in fixed for key in case) for case in cases):
        cases = ()
    keys = [*(sweeper.get("params") or ()), *dict.fromkeys(key for case in cases for key in case)]
    left = [key for key in keys if key.lstrip("+~") not in fixed]
    if sweeper.get("claims") and not any(word.startswith("seed=") for word in words):
        left.append("seed")
    if left:
        raise UserError(
            f"sweeps={name} is a grid: run it with -m (`python train.py -m sweeps={name}`), "
            f"or fix {', '.join(left)} to run one cell of it"
        )


def own_words(config: DictConfig) -> list[str]:
    """Hydra's own overrides of a `-m` command, such as `hydra.searchpath`: a process for one job needs them too."""
    return [str(text) for text in config.hydra.overrides.hydra if not str(text).startswith("hydra.mode=")]


def cases_of(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """The jobs that claims are decided by, each once."""
    cases: dict[Overrides, dict[str, Any]] = {}
    for claim in claims:
        for overrides in (claim.jobs, getattr(claim.quantity, "against", None)):
            for seed in claim.seeds if overrides is not None else ():
                texts = (*(overrides or ()), f"seed={seed}")
                cases[tuple(sorted(texts))] = dict(text.split("=", 1) for text in texts)
    return list(cases.values())


def expand(
    params: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], arguments: Sequence[str]
) -> tuple[tuple[Overrides, ...], list[str]]:
    """Every combination of cases and axes under what the command line sets, in the order of the axes.

    Returns the overrides of each job and what is to be said of values given twice. Raises UserError for an empty axis,
    and where the axes make no grid.
    """
    parser = OverridesParser.create()
    given = {o.get_key_element().lstrip("+~"): o for o in parser.parse_overrides(list(arguments))}
    both = {key.lstrip("+~") for key in params} & {key.lstrip("+~") for case in cases for key in case}
    if both:
        raise UserError(f"{sorted(both)[0]} stands in both params and cases of the sweep: keep one")
    left = [tuple(f"{key}={text_of(case[key])}" for key in case if key.lstrip("+~") not in given) for case in cases]
    # Cases that differ only in what the command line fixes are one case, without a word about it.
    axes = [tuple(dict.fromkeys(left))] if cases else []
    for key, value in params.items():
        if key.lstrip("+~") not in given:
            axes.append(_axis(parser.parse_override(f"{key}={'' if value is None else text_of(value)}")))
    axes += [_axis(override) for override in given.values()]
    counts = [(choice, count) for axis in axes for choice, count in Counter(axis).items() if count > 1]
    distinct = [tuple(dict.fromkeys(axis)) for axis in axes]
    _refuse_many(prod(map(len, distinct)), "the grid")
    jobs = tuple(tuple(chain(*choices)) for choices in product(*distinct))
    return jobs, [f"{' '.join(choice)} is given {count} times: run once" for choice, count in counts]


def text_of(value: Any) -> str:
    """A value of a YAML file as the command line writes it; lists become choices."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(text_of(item) for item in value)
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _axis(override: Override) -> Axis:
    key, text = override.get_key_element(), override.input_line
    assert text is not None
    if not override.is_sweep_override():
        if text.endswith("=") and not override.is_delete():
            raise _empty(key)
        return ((text,),)
    if not override.is_discrete_sweep():
        raise UserError(f"{key}: an axis of a grid lists its values: `{key}=a,b` or `{key}=range(5)`")
    _refuse_odd(key, override.value())
    axis = tuple((f"{key}={value}",) for value in override.sweep_string_iterator())
    if not axis or any(choice[0].endswith("=") for choice in axis):
        raise _empty(key)
    if key == "sweeps" and len(axis) > 1:
        raise UserError(f"one sweep file at a time: run `{axis[0][0]}` and then `{axis[1][0]}`")
    return axis


def _refuse_odd(key: str, values: Any) -> None:
    """Raise UserError for an axis that cannot be listed: sweeps inside of sweeps, and ranges without an end."""
    inside = isinstance(values, ChoiceSweep) and any(isinstance(value, Sweep) for value in values.list)
    if inside or isinstance(values, Glob):
        raise UserError(f"{key}: an axis is one list or one range of values: `{key}=a,b` or `{key}=range(5)`")
    if isinstance(values, RangeSweep):
        start, stop, step = (float(part or 0) for part in (values.start, values.stop, values.step))
        if not all(map(isfinite, (start, stop, step))) or step == 0:
            raise _empty(key)
        _refuse_many(max(0.0, (stop - start) / step), f"the axis {key}")


def _refuse_many(count: float, what: str) -> None:
    if count > MOST_JOBS:
        raise UserError(f"{what} asks for {count:,.0f} jobs, and a sweep plans up to {MOST_JOBS:,}: give fewer values")


def _empty(key: str) -> UserError:
    return UserError(f"{key} has an empty axis: give it a value (`{key}=...`) or leave it out")
