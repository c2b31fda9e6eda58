"""From a sweep file and a command line to the overrides of each job."""

from typing import Any, NamedTuple

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from w2s_lightning.errors import UserError
from w2s_lightning.sweep.axes import expand, refuse_a_grid


class Expanded(NamedTuple):
    jobs: tuple[tuple[str, ...], ...]
    notices: list[str]


def expanded(
    *arguments: str, params: dict[str, Any] | None = None, cases: list[dict[str, Any]] | None = None
) -> Expanded:
    return Expanded(*expand(params or {}, cases or [], arguments))


def test_the_product_of_all_axes_is_taken() -> None:
    found = expanded("seed=0,1", params={"model@weak": "nano,micro", "fit.lr_scale": "range(1,3)"})
    assert len(found.jobs) == 8
    assert ("model@weak=nano", "fit.lr_scale=1", "seed=0") in found.jobs


def test_an_axis_may_be_a_yaml_list() -> None:
    found = expanded(params={"seed": [3, 4], "paradigm.hard": [True, None]})
    assert [job[0] for job in found.jobs] == ["seed=3", "seed=3", "seed=4", "seed=4"]
    assert {job[1] for job in found.jobs} == {"paradigm.hard=True", "paradigm.hard=null"}


def test_cases_move_keys_together_and_combine_with_axes() -> None:
    found = expanded(params={"seed": "0,1"}, cases=[{}, {"model@weak": "micro", "model@strong": "base"}])
    pair = ("model@weak=micro", "model@strong=base")
    assert found.jobs == (("seed=0",), ("seed=1",), (*pair, "seed=0"), (*pair, "seed=1"))


def test_the_command_line_wins_over_params_and_cases_and_there_the_last_value() -> None:
    assert expanded("seed=7", params={"seed": "range(5)"}).jobs == (("seed=7",),)
    assert expanded("seed=7", cases=[{"seed": 1}, {"seed": 2}]).jobs == (("seed=7",),)
    found = expanded("fit.student.lr_scale=1", params={"+fit.student.lr_scale": "0,1"})
    assert found.jobs == (("fit.student.lr_scale=1",),)
    assert expanded("seed=1", "seed=2").jobs == (("seed=2",),)


def test_the_same_value_twice_runs_once_and_is_said() -> None:
    found = expanded("model@weak=nano,nano,micro")
    assert found.jobs == (("model@weak=nano",), ("model@weak=micro",))
    assert found.notices == ["model@weak=nano is given 2 times: run once"]


@pytest.mark.parametrize("value", ["", "range(0)", [], None])
def test_an_empty_axis_is_refused_wherever_it_stands(value: Any) -> None:
    with pytest.raises(UserError, match="seed has an empty axis"):
        expanded(params={"seed": value})
    with pytest.raises(UserError, match="seed has an empty axis"):
        expanded(f"seed={value or ''}")


@pytest.mark.parametrize(
    ("arguments", "cases", "message"),
    [
        (("sweeps=a,b",), [], "one sweep file at a time: run `sweeps=a` and then `sweeps=b`"),
        (("fit.lr_scale=interval(0,1)",), [], "an axis of a grid lists its values"),
        ((), [{"seed": 1}], "seed stands in both params and cases"),
    ],
)
def test_axes_that_make_no_grid_are_refused(arguments: tuple[str, ...], cases: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        expanded(*arguments, params={"seed": "0,1"}, cases=cases)


def test_deletions_and_dictionaries_pass_as_they_are() -> None:
    assert expanded("~supervisor", "+fit.student={epochs: 1}").jobs == (("~supervisor", "+fit.student={epochs: 1}"),)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["seed=1"], "+fit.student.lr_scale, a, b"),
        (["seed=1", "fit.student.lr_scale=1", "a=1", "b=3"], None),
        (["seed=1", "fit.student.lr_scale=1", "a=1"], None),
        (["seed=0,1", "a=2", "b=3"], "seed, +fit.student.lr_scale"),
    ],
)
def test_one_cell_of_a_grid_has_every_axis_fixed_on_the_command_line(words: list[str], left: str | None) -> None:
    sweeper = {"params": {"seed": "0,1", "+fit.student.lr_scale": "0,1"}, "cases": [{"a": 1}, {"a": 2, "b": 3}]}
    hydra = OmegaConf.create(
        {
            "mode": RunMode.RUN,
            "runtime": {"choices": {"sweeps": "own"}},
            "sweeper": sweeper,
            "overrides": {"task": words},
        }
    )
    if left is None:
        refuse_a_grid(hydra)
    else:
        with pytest.raises(UserError) as refusal:
            refuse_a_grid(hydra)
        assert f"or fix {left} to run one cell of it" in str(refusal.value)
