"""From a sweep file's axes and the command line to the overrides of each job. Knows Hydra's grammar, not our groups.

A sweep file declares `params` (axes whose product is taken) and `cases` (keys that move together). What the command
line sets wins over both: a fixed value there takes the axis away.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from w2s_lightning.errors import UserError


@dataclass(frozen=True)
class Declared:
    """Axes as a sweep file writes them."""

    params: Mapping[str, Any]
    cases: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Expansion:
    """The overrides of each job, in the order of the axes, and what was dropped on the way."""

    jobs: tuple[tuple[str, ...], ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Axis:
    """Choices of which each job takes one; a choice may set several keys."""

    name: str
    choices: tuple[tuple[str, ...], ...]


def expand(declared: Declared, arguments: Sequence[str], parser: OverridesParser) -> Expansion:
    """Every combination of cases and axes under what the command line sets; raise UserError for an empty axis."""
    given = {plain(o): o for o in parser.parse_overrides(list(arguments))}
    axes = [_axis(override) for override in given.values()]
    _check_sweep_file(axes)
    own = {key: value for key, value in declared.params.items() if bare(key) not in given}
    axes = [*_cases(declared, set(given)), *(_declared(key, value, parser) for key, value in own.items()), *axes]
    once = [_once(axis) for axis in axes]
    jobs = tuple(
        tuple(text for choice in combined for text in choice) for combined in product(*(a.choices for a in once))
    )
    return Expansion(jobs, tuple(_repeats(axes)))


def plain(override: Override) -> str:
    """The key of an override without `+` and `~`."""
    return bare(override.get_key_element())


def bare(key: str) -> str:
    """A key without the signs for adding and deleting."""
    return key.lstrip("+~")


def open_axes(declared: Declared, arguments: Sequence[str], parser: OverridesParser) -> list[str]:
    """The keys of declared axes that the arguments do not fix to one value; one case fixed whole is enough."""
    fixed = {plain(o) for o in parser.parse_overrides(list(arguments)) if not o.is_sweep_override()}
    several = declared.cases if len(declared.cases) > 1 else ()
    if any(all(bare(key) in fixed for key in case) for case in several):
        several = ()
    keys = [*declared.params, *dict.fromkeys(key for case in several for key in case)]
    return [key for key in keys if bare(key) not in fixed]


def text_of(value: Any) -> str:
    """A value of a YAML file as the command line writes it; lists become choices."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(text_of(item) for item in value)
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cases(declared: Declared, given: set[str]) -> list[_Axis]:
    if not declared.cases:
        return []
    both = {bare(k) for k in declared.params} & {bare(k) for case in declared.cases for k in case}
    if both:
        raise UserError(f"{sorted(both)[0]} stands in both params and cases of the sweep: keep one")
    left = [{k: v for k, v in case.items() if bare(k) not in given} for case in declared.cases]
    choices = [tuple(f"{key}={text_of(value)}" for key, value in case.items()) for case in left]
    return [_Axis("cases", tuple(dict.fromkeys(choices)))]


def _declared(key: str, value: Any, parser: OverridesParser) -> _Axis:
    if value is None or text_of(value) == "":
        raise _empty(key)
    return _axis(parser.parse_override(f"{key}={text_of(value)}"))


def _axis(override: Override) -> _Axis:
    key = override.get_key_element()
    if not override.is_sweep_override():
        if override.input_line is not None and override.input_line.endswith("=") and not override.is_delete():
            raise _empty(key)
        assert override.input_line is not None
        return _Axis(key, ((override.input_line,),))
    if not override.is_discrete_sweep():
        raise UserError(f"{key}: an axis of a grid lists its values: `{key}=a,b` or `{key}=range(5)`")
    choices = tuple((f"{key}={value}",) for value in override.sweep_string_iterator())
    if not choices or any(choice[0].endswith("=") for choice in choices):
        raise _empty(key)
    return _Axis(key, choices)


def _empty(key: str) -> UserError:
    return UserError(f"{key} has an empty axis: give it a value (`{key}=...`) or leave it out")


def _check_sweep_file(axes: Iterable[_Axis]) -> None:
    for axis in axes:
        if axis.name == "sweeps" and len(axis.choices) > 1:
            names = [choice[0] for choice in axis.choices]
            raise UserError(f"one sweep file at a time: run `{names[0]}` and then `{names[1]}`")


def _once(axis: _Axis) -> _Axis:
    return _Axis(axis.name, tuple(dict.fromkeys(axis.choices)))


def _repeats(axes: Iterable[_Axis]) -> list[str]:
    counts = [(choice, count) for axis in axes for choice, count in Counter(axis.choices).items() if count > 1]
    return [f"{' '.join(choice)} is given {count} times: run once" for choice, count in counts]
