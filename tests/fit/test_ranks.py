"""Real processes that share a fit: what they learn, and what happens when one is killed, fails, or is stopped."""

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fit.fitting import bag, module_of, rows, run
from w2s_lightning import objectives
from w2s_lightning.data import ranks
from w2s_lightning.data.rows import StepData
from w2s_lightning.errors import UserError
from w2s_lightning.fit.launch import together
from w2s_lightning.fit.loop import Validation, newest
from w2s_lightning.fit.paradigms import WeakToStrong

LOGCONF = partial(objectives.logconf, c_max=0.5, warmup_share=0.2, warmup="linear", threshold="batch_mean")
PRODUCT = partial(objectives.product, alpha=1.0, beta=1.0)


def data() -> StepData:
    """10 steps of 8 weighted rows, of 3 to 20 tokens in no order; 30 tokens a micro-batch."""
    order = np.concatenate([np.random.default_rng(seed).permutation(40) for seed in range(2)])
    return StepData(rows(), plan=order.reshape(10, 8), tokens_per_batch=30)


def share(folder: Path, objective, over_step: bool, dropout: float, report) -> None:
    """A fit that leaves its history and weights in `folder`."""
    folder.mkdir(exist_ok=True)
    network, validation = bag(dropout=dropout), Validation(rows(20, seed=9), steps=(5, 10), tokens_per_batch=100)
    module = module_of(WeakToStrong, network, 10, objective=objective, over_step=over_step)
    result = run(module, data(), folder / "ckpt", validation=validation, checkpoint_steps=3)
    weights = [p.detach().clone() for p in network.parameters()]
    torch.save({"history": list(result.history), "tokens": result.num_tokens, "weights": weights}, folder / "end.pt")


def learned(folder: Path, objective, over_step: bool, *, dropout: float = 0.0, processes: int = 2):
    work = partial(share, folder, objective, over_step, dropout)
    if processes == 1:
        work(report=None)
    else:
        together([work] * processes, lambda done, of: None)
    return torch.load(folder / "end.pt")


def assert_equal(one, other) -> None:
    assert one["history"] == other["history"]
    assert all(torch.equal(a, b) for a, b in zip(one["weights"], other["weights"], strict=True))


def losses(end) -> list[float]:
    return [row["loss"] for row in end["history"] if "loss" in row]


@pytest.mark.parametrize(
    ("objective", "over_step", "processes"),
    [(objectives.xent, False, 2), (LOGCONF, True, 2), (PRODUCT, True, 2), (LOGCONF, True, 4)],
    ids=["xent", "logconf", "product", "logconf-4"],
)
def test_several_processes_learn_what_one_does(tmp_path, objective, over_step, processes):
    one = learned(tmp_path / "one", objective, over_step, processes=1)
    several = learned(tmp_path / "several", objective, over_step, processes=processes)
    assert several["tokens"] == one["tokens"]
    for a, b in zip(several["history"], one["history"], strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    assert sum("validation_loss" in row for row in one["history"]) == 2
    torch.testing.assert_close(several["weights"], one["weights"], rtol=1e-3, atol=1e-5)


def test_a_quantile_over_a_processs_own_rows_would_be_something_else(tmp_path):
    one = learned(tmp_path / "one", LOGCONF, True, processes=1)
    own = learned(tmp_path / "own", LOGCONF, False)
    assert max(abs(a - b) for a, b in zip(losses(one), losses(own), strict=True)) > 1e-3


def test_processes_may_need_different_numbers_of_micro_batches(monkeypatch):
    """The steps above: all rows are taken once, and some steps are split unevenly."""
    counts, positions = [], []
    monkeypatch.setattr(ranks, "size", lambda: 2)
    for number in range(2):
        monkeypatch.setattr(ranks, "rank", lambda number=number: number)
        steps = [data().loader.step(index) for index in range(10)]
        counts.append([len(step.micros) for step in steps])
        positions.append([torch.cat([micro.positions for micro in step.micros]) for step in steps])
    assert any(a != b for a, b in zip(*counts, strict=True))
    for parts in zip(*positions, strict=True):
        assert torch.cat(parts).sort().values.tolist() == list(range(8))


# ---------------------------------------------------------------- trouble


@dataclass(frozen=True)
class Disturbed:
    """Cross-entropy during which something happens once, in process `rank`; `marker` says that it has."""

    how: str
    rank: int
    marker: Path

    def __call__(self, logits, probs, *, fraction):
        if fraction == 0.7 and ranks.rank() == self.rank and not self.marker.exists():
            self.marker.touch()
            self._happen()
        return objectives.xent(logits, probs, fraction=fraction)

    def _happen(self):
        match self.how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                raise ZeroDivisionError("in the middle of a step")
            case "mistake":
                raise UserError("a mistake that only one process notices")
            case "exit":
                os._exit(7)
            case _:
                os.kill(parent_process().pid, signal.Signals[self.how])
                time.sleep(0.5)  # the others are in the middle of this step when they hear of it


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Two processes that were left alone, with dropout."""
    return learned(tmp_path_factory.mktemp("whole"), objectives.xent, False, dropout=0.5)


@pytest.mark.parametrize(
    ("how", "rank", "error", "message"),
    [
        ("kill", 0, UserError, r"process 1 of 2 .*SIGKILL.*the same command goes on"),
        ("kill", 1, UserError, r"process 2 of 2 .*SIGKILL.*the same command goes on"),
        ("exit", 1, UserError, r"process 2 of 2 .*exit code 7"),
        ("mistake", 1, UserError, r"^a mistake that only one process notices$"),
        ("crash", 1, RuntimeError, r"(?s)^ZeroDivisionError: in the middle of a step\n.*test_ranks.py"),
    ],
)
def test_the_trouble_of_one_is_told_and_the_next_run_ends_bit_identical(
    tmp_path, undisturbed, how, rank, error, message
):
    objective = Disturbed(how, rank, tmp_path / "marker")
    with pytest.raises(error, match=message):
        learned(tmp_path / "fit", objective, False, dropout=0.5)
    assert newest(tmp_path / "fit" / "ckpt").name == "step-00000006.ckpt"
    assert_equal(learned(tmp_path / "fit", objective, False, dropout=0.5), undisturbed)


@pytest.mark.parametrize(("how", "error"), [("SIGINT", KeyboardInterrupt), ("SIGTERM", SystemExit)])
def test_a_stopped_job_saves_after_the_step_and_goes_on_to_the_same_end(tmp_path, undisturbed, how, error):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    objective = Disturbed(how, 1, tmp_path / "marker")
    with pytest.raises(error):
        learned(tmp_path / "fit", objective, False, dropout=0.5)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    saved = int(newest(tmp_path / "fit" / "ckpt").stem.removeprefix("step-"))
    assert saved in (7, 8), "none of those that come by themselves"
    assert_equal(learned(tmp_path / "fit", objective, False, dropout=0.5), undisturbed)


def test_dropout_differs_between_processes_but_not_in_what_they_hold(tmp_path, undisturbed):
    """The same fit with dropout is another one on one process, where masks are drawn for other micro-batches."""
    one = learned(tmp_path / "one", objectives.xent, False, dropout=0.5, processes=1)
    assert losses(one) != pytest.approx(losses(undisturbed), rel=1e-4)


def sum_all_sizes(folder: Path, report) -> None:
    sizes = (3, ranks.SMALL, 5, ranks.SMALL + 1)
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in sizes]
    for parameter in parameters[1:]:
        parameter.grad = torch.full_like(parameter, ranks.rank() + 1.0)
    ranks.sum_gradients(parameters)
    torch.save([p.grad for p in parameters], folder / f"{ranks.rank()}.pt")


def test_gradients_of_any_size_are_summed_and_missing_ones_stay_missing(tmp_path):
    together([partial(sum_all_sizes, tmp_path)] * 3, lambda done, of: None)
    for number in range(3):
        missing, *gradients = torch.load(tmp_path / f"{number}.pt")
        assert missing is None
        assert [set(gradient.tolist()) for gradient in gradients] == [{6.0}] * 3


def report_and_print(report) -> None:
    report(ranks.rank() + 1, ranks.size())
    print("said by", ranks.rank())


def test_only_the_first_process_reports(tmp_path):
    heard = []
    together([partial(report_and_print)] * 3, lambda done, of: heard.append((done, of)))
    assert heard == [(1, 3)]
