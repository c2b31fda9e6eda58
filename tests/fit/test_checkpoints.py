"""Checkpoints: what is resumed, what is passed over, what Ctrl-C leaves."""

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.fit.fitting import bag, module_of, rows, run, step_data
from w2s_lightning import objectives
from w2s_lightning.fit.loop import Validation, newest
from w2s_lightning.fit.paradigms import WeakToStrong


def start(folder: Path, objective=objectives.xent, frozen: bool = False, **trainer):
    """A fit of 10 steps with dropout and two evaluations: its outcome, and all numbers it leaves."""
    network = bag(dropout=0.5)
    network.embed.requires_grad_(not frozen)
    folder.mkdir(exist_ok=True)
    validation = Validation(rows(20, seed=9), steps=(5, 10), tokens_per_batch=100)
    module = module_of(WeakToStrong, network, 10, objective=objective)
    result = run(module, step_data(rows(), tokens_per_batch=60), folder, validation=validation, **trainer)
    return result, [*validation.probs, *(p.detach().clone() for p in network.parameters())]


def assert_equal(one, other):
    assert one[0] == other[0]
    assert all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))


class Interrupt:
    """An objective that sends a signal to its own process when `fraction` is reached."""

    def __init__(self, fraction: float, number: signal.Signals) -> None:
        self.fraction, self.number = fraction, number

    def __call__(self, logits, probs, *, fraction):
        if fraction == self.fraction and torch.is_grad_enabled() and self.number:
            os.kill(os.getpid(), self.number)
            self.number = None
        return objectives.xent(logits, probs, fraction=fraction)


def interrupted(folder, fraction, **trainer):
    with pytest.raises(KeyboardInterrupt):
        start(folder, Interrupt(fraction, signal.SIGINT), **trainer)


@pytest.mark.parametrize("fraction", [0.0, 0.4, 0.5, 0.9])
def test_ctrl_c_keeps_the_step_under_way_and_the_fit_goes_on_to_the_same_end(tmp_path, fraction):
    before = signal.getsignal(signal.SIGINT)
    interrupted(tmp_path / "a", fraction)
    assert signal.getsignal(signal.SIGINT) is before
    assert newest(tmp_path / "a").name == f"step-{round(fraction * 10) + 1:08d}.ckpt"
    assert_equal(start(tmp_path / "a"), start(tmp_path / "b"))


def test_a_torn_or_altered_checkpoint_is_passed_over_for_the_one_before(tmp_path):
    folder = tmp_path / "a"
    interrupted(folder, 0.7, checkpoint_steps=3)
    names = [path.name for path in sorted(folder.glob("*.ckpt"))]
    assert names == ["step-00000006.ckpt", "step-00000008.ckpt"]
    last = folder / names[-1]
    last.write_bytes(last.read_bytes()[:-100])
    assert newest(folder).name == names[0]
    (folder / "step-00000009.ckpt").write_bytes(b"no checkpoint and no checksum")
    assert newest(folder).name == names[0]
    assert_equal(start(folder), start(tmp_path / "b"))


def test_without_a_whole_checkpoint_the_fit_starts_anew(tmp_path):
    (tmp_path / "step-00000003.ckpt").write_bytes(b"rubbish")
    assert newest(tmp_path) is None
    assert start(tmp_path)[0] == start(tmp_path / "b")[0]


def test_sigterm_saves_too(tmp_path):
    with pytest.raises(SystemExit):
        start(tmp_path, Interrupt(0.4, signal.SIGTERM))
    assert newest(tmp_path).name == "step-00000005.ckpt"


def test_checkpoints_hold_trained_parameters_and_frozen_ones_come_from_the_source(tmp_path):
    interrupted(tmp_path / "a", 0.4, frozen=True)
    saved = torch.load(newest(tmp_path / "a"), weights_only=True)
    assert set(saved["state_dict"]) == {"network.head.weight", "network.head.bias"}
    assert_equal(start(tmp_path / "a", frozen=True), start(tmp_path / "b", frozen=True))


def test_checkpoints_come_by_the_clock(tmp_path):
    start(tmp_path, checkpoint_seconds=1e-9)
    assert newest(tmp_path).name == "step-00000009.ckpt"
