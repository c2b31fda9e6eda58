"""The planned grid: what is left out, what is refused, what is shared."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.composing import ROOT
from tests.sweep.planning import grid_of
from tests.sweep.programs import command, environment
from w2s_lightning.errors import UserError
from w2s_lightning.sweep.units import Units, make_units

SIZES = ("model@weak=nano,micro,mini", "model@strong=micro,mini,small")


def units_of(*arguments: str) -> Units:
    return make_units(grid_of(*arguments).jobs, lambda _: False)


def test_pairs_whose_weak_model_is_larger_are_left_out_unless_asked_for_and_equal_ones_stay() -> None:
    grid = grid_of(*SIZES)
    pairs = {(job.job.weak.name, job.job.strong.name) for job in grid.jobs}
    assert grid.inverted == 1
    assert ("mini", "micro") not in pairs
    assert {("micro", "micro"), ("mini", "mini")} < pairs
    assert "1 job left out whose weak model is larger" in grid.notices()[0]
    every = grid_of(*SIZES, allow_inverted=True)
    assert (len(every.jobs), every.inverted) == (9, 0)
    with pytest.raises(UserError, match="nothing to run"):
        grid_of("model@weak=small", "model@strong=nano,micro")


def test_cells_that_are_the_same_work_run_once_and_are_said() -> None:
    grid = grid_of("fit.lr_scale=1,1.0,2", "objective=xent")
    assert len(grid.jobs) == 2
    assert grid.repeated == 1
    assert grid.also[grid.jobs[0].plan.digest] == (("fit.lr_scale=1.0", "objective=xent"),)
    assert "1 job left out, the same work as another one" in grid.notices()


def test_axes_hold_only_what_varies() -> None:
    grid = grid_of("model@weak=nano,micro", "objective=xent", "seed=3")
    assert [dict(job.axes) for job in grid.jobs] == [{"model@weak": "nano"}, {"model@weak": "micro"}]


def test_a_mistake_in_the_configuration_refuses_the_whole_sweep() -> None:
    with pytest.raises(UserError, match=r"fit.epochs='-1'|fit.epochs=-1") as refusal:
        grid_of("fit.epochs=1,-1")
    assert "in the job fit.epochs=-1" in str(refusal.value)


def test_a_broken_model_folder_refuses_its_own_cells_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    cases = f"++hydra.sweeper.cases=[{{}},{{model@weak: local, weak.path: {tmp_path}}}]"
    grid = grid_of(cases, "seed=0,1")
    assert len(grid.jobs) == len(grid.refused) == 2
    assert "not JSON" in grid.refused[0].reason
    assert grid.refused[0].job.weak.name == tmp_path.name
    with pytest.raises(UserError, match="folder not found"):
        grid_of("model@weak=local", f"weak.path={tmp_path}/none", "seed=0,1")


def test_incompatible_kinds_are_refused_with_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "train.jsonl"
    lines = [{"text": f"text number {n}", "label": n % 2} for n in range(80)]
    table.write_text("\n".join(map(json.dumps, lines)))
    files = (f"task.train_file={table}", f"task.test_file={table}")
    with pytest.raises(UserError, match="embedded ladder model and knows only embedded worlds"):
        grid_of("task=local_choice", *files, "model@weak=nano,micro")


def test_the_sweeps_digest_is_that_of_its_cells_in_any_order() -> None:
    one, other = grid_of("seed=0,1", "model@weak=nano,micro"), grid_of("model@weak=micro,nano", "seed=1,0")
    assert one.digest == other.digest
    assert one.digest != grid_of("seed=0,1,2", "model@weak=nano,micro").digest


def test_a_job_of_a_sweep_has_the_folder_that_it_has_alone() -> None:
    (job,) = grid_of("sweeps=smoke", "model@weak=nano", "model@strong=micro", "seed=1").jobs
    assert job.folder.name.startswith("fact_pairs-weak_to_strong-nano-micro-s1-")


# ---------------------------------------------------------------- what is launched


def test_every_missing_stage_is_launched_once_after_what_it_needs() -> None:
    grid = grid_of("sweeps=smoke", "paradigm=weak_to_strong,self_improvement", "objective=logconf")
    units = make_units(grid.jobs, lambda _: False)
    launched = [stage.digest for unit in units.all for stage in unit.stages]
    assert len(launched) == len(set(launched))
    assert set(launched) == {stage.digest for job in grid.jobs for stage in job.plan.stages}
    seen: set[str] = set()
    for unit in units.all:
        assert unit.needs <= seen
        seen.add(unit.key)


def test_stored_stages_are_not_launched() -> None:
    grid = grid_of("sweeps=smoke")
    units = make_units(grid.jobs, lambda stage: stage.kind == "pretrain")
    assert not any(stage.kind == "pretrain" for unit in units.all for stage in unit.stages)
    assert all(unit.scores and not unit.needs for unit in make_units(grid.jobs, lambda _: True).all)


def test_a_ceiling_runs_beside_the_students_and_not_before_them() -> None:
    units = units_of("sweeps=smoke", "model@weak=nano", "model@strong=micro", "seed=0")
    level = {unit.name: number for number, wave in enumerate(units.waves()) for unit in wave}
    student = next(name for name in level if name.startswith("fit micro-fact_pairs-nano"))
    ceiling = next(name for name in level if name.startswith("fit micro-fact_pairs-gold"))
    floor = next(name for name in level if name.startswith("fit nano-fact_pairs-gold"))
    assert level[ceiling] == level[student] > level[floor]
    assert level["pretrain micro-people"] == level[student] - 1
    scoring = next(name for name in level if name.startswith("score"))
    assert level[scoring] == max(level.values())


def test_the_head_of_the_longest_chain_is_the_most_urgent() -> None:
    units = units_of("sweeps=smoke", "model@weak=nano", "model@strong=small", "seed=0")
    for unit in units.all:
        for other in units.dependants[unit.key]:
            assert units.urgency[unit.key] > units.urgency[other.key]


# ---------------------------------------------------------------- size


def seconds_for(num_seeds: int) -> float:
    started = time.process_time()
    grid = grid_of("model@weak=nano,micro,mini,small", "model@strong=small", f"seed=range({num_seeds})")
    assert len(grid.jobs) == 4 * num_seeds
    make_units(grid.jobs, lambda _: False)
    return time.process_time() - started


def test_planning_time_grows_linearly() -> None:
    seconds_for(1)  # imports and caches
    few, many = seconds_for(6), seconds_for(24)
    assert many / few < 4 * 1.6


@pytest.mark.slow
def test_a_thousand_jobs_are_planned_in_linear_time_and_little_memory(tmp_path: Path) -> None:
    """The real command; CPU time, since other processes may share the machine."""
    pairs = ("model@weak=nano,micro,mini,small", "model@strong=small")
    cost: dict[int, tuple[float, float]] = {}
    for num_seeds in (63, 125, 250):
        words = command(tmp_path, *pairs, f"seed=range({num_seeds})", "run=plan")
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment(), cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        cost[4 * num_seeds] = (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10)
    print("jobs: (CPU seconds, MB)", cost)
    assert cost[500][0] / cost[252][0] < 2 * 1.4
    assert cost[1000][0] / cost[500][0] < 2 * 1.4
    assert cost[1000][1] < 1024
