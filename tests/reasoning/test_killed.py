"""A label stage killed by SIGKILL while it samples goes on where it stopped: the same samples, none drawn twice."""

import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.composing import ROOT
from tests.composing import plan as planned
from tests.models.tiny_stages import obtain
from tests.reasoning.conftest import JOBS
from tests.small_jobs import SMALL_ARITHMETIC, table
from w2s_lightning.generate.samples import Journal
from w2s_lightning.stages import BareModel, Label
from w2s_lightning.store import Store

# A process of its own, which notes every sample that it draws and kills itself without warning after some of them.
DRIVER = """
import os, pickle, signal, sys
from pathlib import Path
from tests.models.tiny_stages import obtain
from tests.reasoning.test_killed import noting
from w2s_lightning.generate.samples import Journal
from w2s_lightning.store import Store

def kill(number):
    if number == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

Journal.append = noting(Path(sys.argv[2]), kill)
obtain(Store.at(sys.argv[1]), *pickle.loads(sys.stdin.buffer.read()), tokens_per_batch=2000)
"""


def noting(notes: Path, then: Callable[[int], None] = lambda number: None) -> Callable[[Journal, Any], None]:
    """`Journal.append` that also writes down, elsewhere, which sample was drawn."""
    append = Journal.append

    def noted(journal: Journal, record: Any) -> None:
        append(journal, record)
        with notes.open("a") as stream:
            print(record["id"], record["number"], file=stream)
        then(len(notes.read_text().splitlines()))

    return noted


def test_killed_while_sampling_it_ends_with_the_samples_of_an_undisturbed_run(
    place: Path, results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(*SMALL_ARITHMETIC, *JOBS["vote"])
    drawn = next(s for s in plan.stages if isinstance(s, Label) and s.generation.num_samples > 1)
    assert isinstance(drawn.source, BareModel)
    stages = [*drawn.parents(), drawn]
    store, notes = tmp_path / "store", tmp_path / "drawn.txt"
    Store.at(store)
    shutil.copytree(place / "store" / "pretrain", store / "pretrain")
    command = [sys.executable, "-c", DRIVER, str(store), str(notes), "70"]
    done = subprocess.run(command, input=pickle.dumps(stages), cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(notes.read_text().splitlines()) == 70
    assert not Store.at(store).has(drawn)
    monkeypatch.setattr(Journal, "append", noting(notes))
    obtain(Store.at(store), *stages, tokens_per_batch=3000)
    mine, undisturbed = (table(Store.at(where), drawn, "solutions") for where in (store, place / "store"))
    assert mine == undisturbed
    noted = notes.read_text().splitlines()
    assert len(noted) == len(set(noted)) == 48 * 4
