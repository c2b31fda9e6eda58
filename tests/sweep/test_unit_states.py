"""Who may start when, what a failure takes with it, and what a job says of itself."""

import signal
from pathlib import Path

import pytest

from tests.sweep.planning import grid_of
from w2s_lightning.errors import UserError
from w2s_lightning.job import Record, attempt
from w2s_lightning.sweep.units import Units, UnitStates, failure, last_words, make_units

DONE = Record(status="done", type="", message="", traceback="", seconds=1.0, peak_memory_bytes=1)


@pytest.fixture(scope="module")
def units() -> Units:
    return make_units(grid_of("sweeps=smoke", "model@strong=micro", "seed=0").jobs, lambda _: False)


def play(units: Units, folder: Path, breaks: str | None = None) -> tuple[UnitStates, list[str]]:
    """Launch everything in their order; units whose name starts with `breaks` fail, and leave a log."""
    there: set[str] = set()
    states = UnitStates(units, folder, lambda unit: unit.key in there)
    order: list[str] = []
    while ready := states.ready():
        for unit in filter(states.start, ready):
            order.append(unit.name)
            if breaks is not None and unit.name.startswith(breaks):
                states.log(unit).parent.mkdir(parents=True)
                states.log(unit).touch()
                states.end(unit, failure("it broke", "Broken"))
            else:
                there.add(unit.key)
                states.end(unit, DONE)
    return states, order


def test_every_unit_runs_once_after_what_it_needs(units: Units, tmp_path: Path) -> None:
    states, order = play(units, tmp_path)
    assert sorted(order) == sorted(unit.name for unit in units.all)
    assert states.failed() == []
    assert last_words(states, (), "the command") is None


def test_a_failure_blocks_what_depends_on_it_and_nothing_else(units: Units, tmp_path: Path) -> None:
    states, order = play(units, tmp_path, breaks="fit micro-fact_pairs-nano")
    scores = {unit.name: states.states[unit.key] for unit in units.all if unit.scores}
    assert [state for name, state in scores.items() if "-nano-micro-" in name] == ["blocked"]
    assert [state for name, state in scores.items() if "-micro-micro-" in name] == ["done"]
    assert "fit micro-fact_pairs-gold_transfer-xent-s0" in order
    assert states.lost() == states.failed()
    words = last_words(states, (), "the command")
    assert words is not None
    assert words.splitlines()[0] == "1 job failed; all others are done"
    assert "fit micro-fact_pairs-nano_transfer-xent-s0: it broke (needed by 1 job)" in words
    assert f"log: {tmp_path}/stages/fit" in words.replace("stages/micro", "stages/fit")
    assert words.endswith("this finishes the rest: the command")


@pytest.mark.parametrize("record", [DONE, failure("the launcher broke", "Broken")])
def test_outputs_decide_whether_a_unit_is_done_whatever_the_launcher_says(units: Units, record: Record) -> None:
    there: set[str] = set()
    states = UnitStates(units, Path("nowhere"), lambda unit: unit.key in there)
    first, second, *_ = states.ready()
    assert states.start(first)
    assert states.start(second)
    there.add(second.key)
    for unit in (first, second):
        states.end(unit, record)
    assert [one.unit for one in states.failed()] == [first]
    assert states.failed()[0].message == (record["message"] or "it ended without its outputs")
    assert states.failed()[0].log is None
    assert states.states[second.key] == "done"


def test_what_somebody_else_has_finished_or_what_lacks_its_needs_is_not_launched(units: Units) -> None:
    states = UnitStates(units, Path(), lambda unit: not unit.scores)
    first, last = states.ready()[0], units.all[-1]
    assert not states.start(first)
    assert not states.start(last)
    assert (states.states[first.key], states.states[last.key]) == ("done", "waiting")


def test_a_job_is_running_while_a_stage_runs_that_was_launched_for_it(units: Units) -> None:
    states = UnitStates(units, Path(), lambda _: False)
    jobs = [unit.job for unit in units.all if unit.scores]
    first = states.ready()[0]
    assert {states.of(job) for job in jobs} == {("waiting", None, None)}
    assert states.start(first)
    running = [job for job in jobs if states.of(job)[0] == "running"]
    assert running == [job for job in jobs if job.plan.digest == first.job.plan.digest]
    assert len(running) == 1


# ---------------------------------------------------------------- records


def test_an_attempt_tells_a_users_mistake_from_an_exception_and_lets_ctrl_c_pass(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def mistake() -> None:
        raise UserError("two\nlines")

    record = attempt(mistake)
    assert (record["status"], record["message"], record["traceback"]) == ("failed", "two\nlines", "")
    assert capsys.readouterr().err == "error: two\nlines\n"
    record = attempt(lambda: 1 // 0)
    assert record["message"].startswith("ZeroDivisionError: ")
    assert "Traceback" in record["traceback"]
    assert "Traceback" in capsys.readouterr().err
    assert attempt(lambda: None)["status"] == "done"
    with pytest.raises(KeyboardInterrupt):
        attempt(lambda: signal.raise_signal(signal.SIGINT))
    assert capsys.readouterr().err == ""
