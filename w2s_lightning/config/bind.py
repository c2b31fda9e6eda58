"""The one builder from a composed OmegaConf configuration to frozen records.

YAML is plain: a frozen record cannot be Hydra's schema. Binding happens here, once, by the signature of whatever a
block is for, and every refusal names the key, the file it came from and the nearest key there is. Code is named by
`_target_` alone, and only code of this package or of packages that `plugins` lists is ever imported.
"""

import ast
import importlib
import importlib.util
import inspect
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from w2s_lightning.config import schema
from w2s_lightning.config.by_size import completed
from w2s_lightning.config.mistakes import INTERNAL, Origin, misfit, refuse_values_of_blocks, unknown_key
from w2s_lightning.config.typed import Place
from w2s_lightning.errors import UserError

_OWN = __name__.partition(".")[0]
_PARADIGM_KEYS = ("recipe", "module", "student_of_record", "objectives")
# Keys that not every kind of task has.
_NO_BENCHMARK = {"benchmark": None, "benchmark_overlap": False, "test_samples": None}


@dataclass(frozen=True)
class JobSettings:
    """One job's configuration: what is learned, and nothing of how this machine runs it.

    `set_by_task` names the keys that the chosen task takes other than the defaults (`conf/for_task`), with values.
    """

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
    set_by_task: tuple[str, ...]


@dataclass(frozen=True)
class Runtime:
    """How this machine runs a job: never part of any identity."""

    trainer: schema.Trainer
    tracking: schema.Tracking
    paths: schema.Paths
    run: schema.Run


def build(
    cfg: DictConfig,
    choices: Mapping[str, str | None],
    overrides: Sequence[str] = (),
    called: dict[str, list[str]] | None = None,
) -> tuple[JobSettings, Runtime]:
    """Bind a composed configuration; `choices` maps each group to the file chosen for it.

    Models of one name and different places get a suffix; `called` holds the places of each name in a sweep so far.

    Raises:
        UserError: for anything that does not fit, naming key, file and nearest key; and for an override that does
            nothing for the task at hand.
    """
    values = _plain(cfg)
    known = {*JobSettings.__dataclass_fields__, *Runtime.__dataclass_fields__, "sweeps", "plugins"}
    for key in values.keys() - (known - {"judge", "benchmark", "paradigm_name"}):
        raise UserError(unknown_key("", key, known - INTERNAL, Origin(key, None), values[key]))
    refuse_values_of_blocks(values)
    job = _told_apart(_job(values, choices), {} if called is None else called)
    _refuse_idle(job, overrides)
    of = {key: bind(cls, values[key], Origin.of(key, choices)) for key, cls in get_type_hints(Runtime).items()}
    return job, Runtime(**of)


def _job(values: Mapping[str, Any], choices: Mapping[str, str | None]) -> JobSettings:
    task = _block(values["task"], "task")
    judge = task.pop("judge", None)
    benchmark = {name: task.pop(name) for name in _NO_BENCHMARK if name in task}

    def own(key: str) -> Any:
        return bind(tuple[str, ...], values.get(key) or (), Origin(key, None))

    plugins = own("plugins")
    try:
        set_by_task = tuple(f"{key}={reduce(getitem, key.split('.'), values)}" for key in own("set_by_task"))
    except (KeyError, TypeError):
        raise UserError("set_by_task names a key that there is not") from None

    def at(key: str) -> Origin:
        return Origin.of(key, choices, plugins)

    return JobSettings(
        judge=bind(schema.Judge, judge, at("task"), "task.judge"),
        benchmark=bind(schema.Benchmark, {**_NO_BENCHMARK, **benchmark}, at("task")),
        task=_task(task, at("task")),
        weak=_model(values["weak"], at("weak")),
        strong=_model(values["strong"], at("strong")),
        middle=tuple(_model(block, at(f"middle.{slot}")) for slot, block in values.get("middle", {}).items()),
        paradigm_name=str(choices["paradigm"]),
        paradigm=_paradigm(values["paradigm"], at("paradigm")),
        fit=bind(schema.FitSettings, values["fit"], at("fit")),
        generation=bind(schema.GenerationSettings, values["generation"], at("generation")),
        objective=_objective(values["objective"], at("objective")) if "objective" in values else None,
        gold={kind: _objective(block, at(f"gold.{kind}")) for kind, block in values["gold"].items()},
        supervisor=bind(schema.SupervisorFiles, values["supervisor"], at("supervisor")),
        seed=bind(schema.Seed, values["seed"], at("seed")),
        set_by_task=set_by_task,
    )


def _block(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{key}={value!r}: expected a block of keys")
    return dict(value)


def _told_apart(job: JobSettings, called: dict[str, list[str]]) -> JobSettings:
    """The job with `-2` behind the name of a folder or repository that another one has already."""

    def own(model: schema.Model) -> schema.Model:
        if isinstance(model, schema.LadderModel):
            return model
        place = model.path if isinstance(model, schema.HubModel) else os.path.realpath(model.path)
        places = called.setdefault(model.name, [])
        if place not in places:
            places.append(place)
        number = places.index(place) + 1
        return model if number == 1 else replace(model, name=f"{model.name[:74]}-{number}")

    return replace(job, weak=own(job.weak), strong=own(job.strong), middle=tuple(map(own, job.middle)))


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


def _refuse_idle(job: JobSettings, overrides: Sequence[str]) -> None:
    """Raise UserError for what was typed and does nothing for tasks of this kind."""
    kind, options = job.task.kind, get_type_hints(type(job.paradigm.options), include_extras=True)
    for key in (override.partition("=")[0].lstrip("+") for override in overrides):
        group, _, name = key.partition(".")
        marks = get_args(options.get(name)) if group == "paradigm" else ()
        kinds = next((mark.kinds for mark in marks if isinstance(mark, schema.Only)), (kind,))
        if group == "generation" and name:
            kinds = ("reasoning",)
        if kind not in kinds:
            raise UserError(
                f"{key} does nothing here: it is for tasks of kind {' and '.join(kinds)}, and {job.task.name} is of "
                f"kind {kind}: leave it out"
            )


# ---------------------------------------------------------------- records


# Each takes 3 ms to make, which a grid of a thousand jobs would pay 14,000 times.
validator_of = cache(TypeAdapter[Any])


def bind(cls: Any, block: Any, origin: Origin, key: str | None = None) -> Any:
    """A block of values as the record `cls`; raise UserError where it does not fit."""
    try:
        return validator_of(cls).validate_python(block)
    except ValidationError as error:
        raise misfit(error, cls, key or origin.key, origin, block) from None


def bind_target(block: Mapping[str, Any], origin: Origin, key: str | None = None) -> Any:
    """A block of values as the record that its `_target_` names by dotted path; blocks inside it come first."""
    key = key or origin.key
    cls = named(block, origin, key)
    if not (isinstance(cls, type) and is_dataclass(cls)):  # a function would be called with what the block holds
        raise UserError(f"{origin.file}: {key}._target_={block['_target_']} is no record: expected a frozen dataclass")
    fields = {
        name: bind_target(value, origin, f"{key}.{name}") if isinstance(value, dict) and "_target_" in value else value
        for name, value in block.items()
        if name != "_target_"
    }
    return bind(cls, fields, origin, key)


def _model(block: Any, origin: Origin) -> Any:
    if isinstance(block, dict) and isinstance(block.get("path"), str):
        block = completed(block, bind(Place, block["path"], origin, f"{origin.key}.path"))
    found = bind_target(block, origin)
    if not isinstance(found, schema.Model):
        raise UserError(f"{origin.file}: {origin.key}._target_={block['_target_']} is no model of config/schema.py")
    return found


def _task(block: Any, origin: Origin) -> Any:
    found = bind_target(block, origin)
    if not all(hasattr(found, name) for name in ("name", "kind", "sizes", "splits")):
        raise UserError(f"{origin.file}: {origin.key}._target_={block['_target_']} is no task")
    return found


def named(block: Any, origin: Origin, key: str) -> Any:
    """The class or function at a block's `_target_`, defined in a package that may be imported."""
    path = target_of(block, origin, key)
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError) as error:
        raise UserError(f"{origin.file}: {key}._target_: cannot import {module!r} ({error})") from None
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise UserError(f"{origin.file}: {key}._target_: {module} has no class or function {name}")
    _check_trusted(f"{found.__module__}.{name}", origin, key)  # a module may hold what it has from elsewhere
    return found


def target_of(block: Any, origin: Origin, key: str) -> str:
    """A block's `_target_`, once it is sure that its package may be imported."""
    path = block.get("_target_") if isinstance(block, Mapping) else None
    if not isinstance(path, str) or "." not in path:
        raise UserError(f"{origin.file}: {key}._target_ is missing (the dotted path of a class or function)")
    _check_trusted(path, origin, key)
    return path


def _check_trusted(path: str, origin: Origin, key: str) -> None:
    package = path.partition(".")[0]
    if package != _OWN and package not in origin.plugins:
        raise UserError(
            f"{origin.file}: {key}._target_={path} lies in the package {package!r}, which this run does not trust: "
            f"list it with `plugins=[{package}]`"
        )


# ---------------------------------------------------------------- objectives and paradigms


def _objective(block: Mapping[str, Any], origin: Origin) -> schema.Objective:
    """A loss: keyword-only parameters but for `fraction` are its options, positional ones what it reads of a fit."""
    path = target_of(block, origin, origin.key)
    signature = _signature(path, origin)
    # A range is what `schema.py` has under an annotation's name; other annotations say nothing here.
    known = {
        arg.arg: getattr(schema, getattr(arg.annotation, "id", ""), Any)
        for arg in signature.kwonlyargs
        if arg.arg != "fraction"
    }
    own = {name: block[name] for name in ("self_target", "version") if name in block}
    options = {name: value for name, value in block.items() if name != "_target_" and name not in own}
    for option, value in options.items():
        if option not in known:
            raise UserError(unknown_key(origin.key, option, known, origin))
        bind(known[option], value, origin, f"{origin.key}.{option}")  # the value itself stays as it was given
    if missing := sorted(known.keys() - options.keys()):
        raise UserError(f"{origin.file}: {path} needs the options {', '.join(missing)}")
    reads = tuple(arg.arg for arg in signature.args)
    objective: schema.Objective = bind(
        schema.Objective, {"target": path, "options": options, "reads": reads, **own}, origin
    )
    return objective


def _signature(path: str, origin: Origin) -> ast.arguments:
    """The parameters of the function at a dotted path, read from its source text.

    Objectives live above the torch line; reading their signature this way checks them before anything heavy loads.
    """
    module, _, name = path.rpartition(".")
    found = _defined(module, origin).get(name)
    if not isinstance(found, ast.FunctionDef):
        raise UserError(f"{origin.file}: {module} has no function {name}")
    return found.args


def _defined(module: str, origin: Origin) -> Mapping[str, ast.stmt]:
    """What a module's source text defines by name; only the packages that it lies in are imported."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(f"{origin.file}: cannot import {module!r}")
    return _definitions(spec.origin)


@cache
def _definitions(file: str) -> Mapping[str, ast.stmt]:
    """Read once, since a grid of a thousand jobs asks for the same few."""
    body = ast.parse(Path(file).read_bytes()).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _paradigm(block: Mapping[str, Any], origin: Origin) -> schema.Paradigm:
    """The recipe, whose second parameter is the record that all other keys are bound to."""
    recipe = named(block.get("recipe", {}), origin, "paradigm.recipe")
    rest = {name: value for name, value in block.items() if name not in _PARADIGM_KEYS}
    parameters = tuple(inspect.signature(recipe).parameters.values()) if inspect.isfunction(recipe) else ()
    if len(parameters) != 2 or not is_dataclass(parameters[1].annotation):
        raise UserError(
            f"{origin.file}: paradigm.recipe._target_={block['recipe']['_target_']} is no recipe: expected a function "
            "of a Setting and of a record of options (docs/design.md, Paradigms)"
        )
    options = parameters[1]
    module = target_of(block.get("module", {}), origin, "paradigm.module")
    if not isinstance(_defined(module.rpartition(".")[0], origin).get(module.rpartition(".")[2]), ast.ClassDef):
        raise UserError(f"{origin.file}: paradigm.module._target_={module}: there is no such class")
    objectives = _block(block.get("objectives", {}), f"{origin.key}.objectives").items()
    return schema.Paradigm(
        recipe=recipe,
        module=module,
        student_of_record=block.get("student_of_record"),
        objectives={kind: _objective(value, origin.inside(f"objectives.{kind}")) for kind, value in objectives},
        options=bind(options.annotation, rest, origin),
    )
