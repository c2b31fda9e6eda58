"""The one builder from a composed OmegaConf configuration to frozen records.

YAML is plain: a frozen record cannot be Hydra's schema. Binding happens here, once, and every refusal names the key,
the file it came from and the nearest key there is.
"""

import ast
import importlib
import importlib.util
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from w2s_lightning import schema
from w2s_lightning.errors import UserError
from w2s_lightning.mistakes import Origin, misfit, nearest, unknown_key

_PARADIGM_KEYS = ("recipe", "module", "student_of_record", "objectives")
# Keys that not every kind of task has.
_NO_BENCHMARK = {"benchmark": None, "benchmark_overlap": False, "test_samples": None}
_SEEDS = 2**32
_OTHER_KINDS = ("reasoning",)  # task kinds for which a paradigm's file may hold a block of its own


@dataclass(frozen=True)
class Job:
    """One job's configuration: what is learned, and nothing of how this machine runs it."""

    task: Any
    judge: schema.Judge
    benchmark: schema.Benchmark
    weak: schema.Model
    strong: schema.Model
    middle: tuple[schema.Model, ...]
    paradigm_name: str
    paradigm: schema.Paradigm
    fit: schema.FitSettings
    generation: schema.GenerationSettings
    objective: schema.Objective | None
    gold: Mapping[str, schema.Objective]
    supervisor: schema.SupervisorFiles
    seed: int


@dataclass(frozen=True)
class Runtime:
    """How this machine runs a job: never part of any identity."""

    trainer: schema.Trainer
    tracking: schema.Tracking
    paths: schema.Paths
    run: schema.Run


def build(cfg: DictConfig, choices: Mapping[str, str | None]) -> tuple[Job, Runtime]:
    """Bind a composed configuration; `choices` maps each group to the file chosen for it.

    Raises:
        UserError: for anything that does not fit, naming key, file and nearest key.
    """
    values = _plain(cfg)
    _refuse_unknown(values)
    return _job(values, choices), _runtime(values, choices)


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    """Raise UserError for a block or value that nothing would read (`+sede=3`)."""
    known = {*Job.__dataclass_fields__, *Runtime.__dataclass_fields__, "sweeps"} - {
        "judge",
        "benchmark",
        "paradigm_name",
    }
    for key in values:
        if key not in known:
            raise UserError(f"unknown key {key} (conf/config.yaml){nearest(key, known)}")


def _job(values: Mapping[str, Any], choices: Mapping[str, str | None]) -> Job:
    task = dict(values["task"])
    judge = task.pop("judge", None)
    benchmark = {name: task.pop(name) for name in _NO_BENCHMARK if name in task}

    def at(key: str) -> Origin:
        return Origin.of(key, choices)

    bound = bind_target(task, at("task"))
    return Job(
        judge=bind(schema.Judge, judge, at("task"), "task.judge"),
        benchmark=bind(schema.Benchmark, {**_NO_BENCHMARK, **benchmark}, at("task")),
        task=bound,
        weak=bind_target(values["weak"], at("weak")),
        strong=bind_target(values["strong"], at("strong")),
        middle=tuple(bind_target(block, at(f"middle.{slot}")) for slot, block in values.get("middle", {}).items()),
        paradigm_name=str(choices["paradigm"]),
        paradigm=_paradigm(values["paradigm"], bound.kind, at("paradigm")),
        fit=bind(schema.FitSettings, values["fit"], at("fit")),
        generation=bind(schema.GenerationSettings, values["generation"], at("generation")),
        objective=_objective(values["objective"], at("objective")) if "objective" in values else None,
        gold={kind: _objective(block, at(f"gold.{kind}")) for kind, block in values["gold"].items()},
        supervisor=bind(schema.SupervisorFiles, values["supervisor"], at("supervisor")),
        seed=_seed(values["seed"]),
    )


def _runtime(values: Mapping[str, Any], choices: Mapping[str, str | None]) -> Runtime:
    def of(cls: Any, key: str) -> Any:
        return bind(cls, values[key], Origin.of(key, choices))

    return Runtime(
        trainer=of(schema.Trainer, "trainer"),
        tracking=of(schema.Tracking, "tracking"),
        paths=of(schema.Paths, "paths"),
        run=of(schema.Run, "run"),
    )


def _plain(cfg: DictConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = getattr(error, "full_key", None) or str(error).split(":")[-1].strip()
        raise UserError(f"{key} has no value: give it on the command line, `{key}=...`") from None
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from None
    assert isinstance(values, dict)
    for key, value in _numbers(values, ()):
        if not math.isfinite(value):
            raise UserError(f"{key}={value}: expected a finite number")
    return {str(key): value for key, value in values.items()}


def _numbers(block: Any, path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Every floating-point number with its key; none but finite ones can enter an identity."""
    if isinstance(block, dict | list):
        for key, value in block.items() if isinstance(block, dict) else enumerate(block):
            yield from _numbers(value, (*path, str(key)))
    elif isinstance(block, float):
        yield ".".join(path), block


def bind(cls: Any, block: Any, origin: Origin, key: str | None = None) -> Any:
    """A block of values as the record `cls`; raise UserError where it does not fit."""
    try:
        return _adapter(cls).validate_python(block)
    except ValidationError as error:
        raise misfit(error, cls, key or origin.key, origin) from None


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """pydantic's validator of a record: 3 ms to make, which a grid of a thousand jobs would pay 14,000 times."""
    return TypeAdapter(cls)


def bind_target(block: Mapping[str, Any], origin: Origin) -> Any:
    """A block of values as the record that its `_target_` names by dotted path; so are blocks within that have one."""
    fields = {
        key: bind_target(value, Origin(f"{origin.key}.{key}", origin.choice)) if _has_target(value) else value
        for key, value in block.items()
    }
    path = fields.pop("_target_", None)
    if not isinstance(path, str):
        raise UserError(f"{origin.file}: `_target_` is missing (the dotted path of a record class)")
    module, _, name = path.rpartition(".")
    cls = getattr(_module(module, origin), name, None)
    if cls is None:
        raise UserError(f"{origin.file}: {module} has no {name}")
    return bind(cls, fields, origin)


def _has_target(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _module(path: str, origin: Origin) -> Any:
    try:
        return importlib.import_module(path)
    except (ModuleNotFoundError, ValueError) as error:
        raise UserError(f"{origin.file}: cannot import {path!r} ({error})") from None


def _objective(block: Mapping[str, Any], origin: Origin) -> schema.Objective:
    objective: schema.Objective = bind(schema.Objective, block, origin)
    known = keyword_options(objective.target, origin)
    for option, value in objective.options.items():
        if option not in known:
            raise UserError(unknown_key(f"{origin.key}.options", option, known, origin))
        bind(known[option], value, origin, f"{origin.key}.options.{option}")  # the value itself stays as it was given
    missing = sorted(set(known) - set(objective.options))
    if missing:
        raise UserError(f"{origin.file}: {objective.target} needs the options {', '.join(missing)}")
    return objective


def keyword_options(path: str, origin: Origin) -> dict[str, Any]:
    """Keyword-only parameters, but for `fraction`, of the function at a dotted path, with the range of each.

    A range is what `schema.py` has under the parameter's annotation; other annotations say nothing here.
    """
    found = (arg for arg in _signature(path, origin).kwonlyargs if arg.arg != "fraction")
    return {arg.arg: getattr(schema, getattr(arg.annotation, "id", ""), Any) for arg in found}


def positional_parameters(path: str, origin: Origin) -> tuple[str, ...]:
    """What the objective at a dotted path reads of a fit's rows."""
    return tuple(arg.arg for arg in _signature(path, origin).args)


def _signature(path: str, origin: Origin) -> ast.arguments:
    """The parameters of the function at a dotted path, read from its source text.

    Objectives live above the torch line; reading their signature this way checks them before anything heavy loads.
    """
    module, _, name = path.rpartition(".")
    try:
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(f"{origin.file}: cannot import {module or path!r}")
    found = _functions(spec.origin).get(name)
    if found is None:
        raise UserError(f"{origin.file}: {module} has no function {name}")
    return found


@cache
def _functions(file: str) -> Mapping[str, ast.arguments]:
    """Parameters of a source file's functions; read once, since a grid of a thousand jobs asks for the same few."""
    body = ast.parse(Path(file).read_text()).body
    return {node.name: node.args for node in body if isinstance(node, ast.FunctionDef)}


def _paradigm(blocks: Mapping[str, Any], kind: str, origin: Origin) -> schema.Paradigm:
    """The paradigm as it is for tasks of this kind: its block `reasoning`, or what stands outside that."""
    plain = {name: value for name, value in blocks.items() if name not in _OTHER_KINDS}
    found = {other: _bound_paradigm(blocks[other], origin) for other in _OTHER_KINDS if other in blocks}
    return found[kind] if kind in found else _bound_paradigm(plain, origin)


def _bound_paradigm(block: Mapping[str, Any], origin: Origin) -> schema.Paradigm:
    own = {name: block[name] for name in _PARADIGM_KEYS if name in block}
    rest = {name: value for name, value in block.items() if name not in _PARADIGM_KEYS}
    if not isinstance(own.get("recipe"), str):
        raise UserError(f"{origin.file}: `recipe` is missing (the dotted path of a recipe module)")
    options = bind(_module(own["recipe"], origin).Options, rest, origin)
    own["objectives"] = {kind: _objective(value, origin) for kind, value in own.get("objectives", {}).items()}
    paradigm: schema.Paradigm = bind(schema.Paradigm, {**own, "options": options}, origin)
    return paradigm


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"seed must be a whole number from 0 on, got {value!r}: `seed=0`")
    if value >= _SEEDS:
        raise UserError(f"seed={value} is too large: take one below {_SEEDS}")
    return value
