"""How many jobs run at a time, and who may start when."""

from dataclasses import replace
from typing import Any

import pytest

from tests.composing import job
from tests.sweep.planning import grid_of
from w2s_lightning.errors import UserError
from w2s_lightning.schema import Trainer
from w2s_lightning.sweep import machine
from w2s_lightning.sweep.attempt import Record, attempt, failure
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.lines import last_words
from w2s_lightning.sweep.machine import machine_for, seats_of
from w2s_lightning.sweep.units import Unit, Units, make_units


def trainer(**changed: Any) -> Trainer:
    return replace(job()[1].trainer, **changed)


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "num_cores", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("settings", "wanted", "slots", "threads"),
    [
        ({"slots": "auto", "threads": "auto"}, 0, 8, 1),
        ({"slots": "auto", "threads": 2}, 0, 4, 2),
        ({"slots": "auto", "threads": "auto"}, 3, 2, 3),
        ({"slots": 2, "threads": "auto"}, 0, 2, 1),
    ],
)
def test_slots_times_threads_fill_the_cores_and_no_more(
    eight_cores: None, settings: dict[str, Any], wanted: int, slots: int, threads: int
) -> None:
    found = machine_for(settings, trainer(accelerator="cpu", threads=wanted))
    assert len(found.seats) <= slots  # fewer where memory is short
    assert found.threads == threads
    assert found.environment([0]) == {"OMP_NUM_THREADS": str(threads)}


def test_more_slots_and_threads_than_cores_are_refused(eight_cores: None) -> None:
    with pytest.raises(UserError, match="4 slots x 3 threads are more than the 8 cores here"):
        machine_for({"slots": 4, "threads": 3}, trainer(accelerator="cpu"))
    with pytest.raises(UserError, match="expected auto or a number from 1 on"):
        machine_for({"slots": 0}, trainer(accelerator="cpu"))


def test_each_slot_owns_a_gpu(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    found = machine_for({"slots": "auto", "threads": "auto"}, trainer(accelerator="auto"))
    assert found.seats == ("2", "5")
    assert found.threads == 4
    assert found.environment([1]) == {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "5"}
    assert found.environment([0, 1])["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert machine_for({}, trainer(accelerator="cpu")).seats[0] is None


def test_a_job_of_several_devices_takes_as_many_slots(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    four = machine_for({}, trainer(accelerator="gpu"))
    assert [seats_of(trainer(devices=devices), four) for devices in (1, 2, "auto", "-1", "0,2")] == [1, 2, 4, 4, 2]
    with pytest.raises(UserError, match="needs 5 slots, the pool has 4"):
        seats_of(trainer(devices=5), four)


# ---------------------------------------------------------------- the board

DONE = Record(status="done", type="", message="", traceback="", seconds=1.0, peak_memory_bytes=1)


@pytest.fixture
def units() -> Units:
    return make_units(grid_of("sweeps=smoke", "model@strong=micro", "seed=0").jobs, lambda _: False)


def play(units: Units, breaks: str | None) -> tuple[Board, list[str]]:
    """Launch everything in the board's order; units whose name starts with `breaks` fail."""
    there: set[str] = set()
    board = Board(units, lambda unit: unit.key in there, lambda: None)
    order: list[str] = []
    while ready := board.ready():
        for unit in ready:
            if board.start(unit):
                order.append(unit.name)
                broken = breaks is not None and unit.name.startswith(breaks)
                there |= set() if broken else {unit.key}
                board.end(unit, failure("it broke", "Broken") if broken else DONE, f"log of {unit.name}")
    return board, order


def test_every_unit_runs_once_after_what_it_needs(units: Units) -> None:
    board, order = play(units, None)
    assert sorted(order) == sorted(unit.name for unit in units.all)
    assert board.failed() == []
    assert last_words(board, (), "the command") is None


def test_a_failure_blocks_what_depends_on_it_and_nothing_else(units: Units) -> None:
    board, order = play(units, "fit micro-facts-nano")
    scores = {unit.name: board.state(unit.key) for unit in units.all if unit.scores}
    assert [state for name, state in scores.items() if "-nano-micro-" in name] == ["blocked"]
    assert [state for name, state in scores.items() if "-micro-micro-" in name] == ["done"]
    assert "fit micro-facts-gold_transfer-xent-s0" in order
    assert board.jobs_lost() == 1
    words = last_words(board, (), "the command")
    assert words is not None
    assert words.splitlines()[0] == "1 job failed; all others are done"
    assert "fit micro-facts-nano_transfer-xent-s0: it broke" in words
    assert "log: log of fit micro-facts-nano" in words
    assert words.endswith("this finishes the rest: the command")


def test_a_unit_that_says_it_is_done_without_outputs_has_failed(units: Units) -> None:
    board = Board(units, lambda _: False, lambda: None)
    unit = board.ready()[0]
    assert board.start(unit)
    board.end(unit, DONE, None)
    assert board.failed()[0].message == "it ended without its outputs"


def test_a_unit_whose_outputs_are_there_is_done_whatever_the_launcher_says(units: Units) -> None:
    there: set[str] = set()
    board = Board(units, lambda unit: unit.key in there, lambda: None)
    unit = board.ready()[0]
    assert board.start(unit)
    there.add(unit.key)
    board.end(unit, failure("the launcher broke", "Broken"), None)
    assert board.state(unit.key) == "done"


def test_a_unit_that_somebody_else_has_finished_is_not_launched(units: Units) -> None:
    board = Board(units, lambda unit: not unit.scores, lambda: None)
    first = board.ready()[0]
    assert not board.start(first)
    assert board.state(first.key) == "done"


def test_a_unit_is_not_started_before_what_it_needs(units: Units) -> None:
    board = Board(units, lambda _: False, lambda: None)
    late: Unit = units.all[-1]
    assert not board.start(late)
    assert board.state(late.key) == "waiting"


# ---------------------------------------------------------------- records


def test_an_attempt_tells_a_users_mistake_from_an_exception() -> None:
    def mistake() -> None:
        raise UserError("two\nlines")

    record = attempt(mistake)
    assert (record["status"], record["message"], record["traceback"]) == ("failed", "two\nlines", "")
    record = attempt(lambda: 1 // 0)
    assert record["message"].startswith("ZeroDivisionError: ")
    assert "Traceback" in record["traceback"]
    assert attempt(lambda: None)["status"] == "done"


def test_ctrl_c_passes_through_an_attempt() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(stop)


def test_a_job_is_running_while_a_stage_runs_that_was_launched_for_it(units: Units) -> None:
    board = Board(units, lambda _: False, lambda: None)
    jobs = {unit.job.plan.digest: unit.job for unit in units.all}
    first = board.ready()[0]
    assert not any(board.works_for(job) for job in jobs.values())
    assert board.start(first)
    assert [digest for digest, job in jobs.items() if board.works_for(job)] == [first.job.plan.digest]
