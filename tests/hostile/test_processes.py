"""The real command: what one process shows that `train.main()` inside a test cannot (bytes, streams, start-up)."""

import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from tests.composing import ROOT
from tests.hostile.asking import Answer, Ask, Row, check, named
from tests.small_jobs import SMALL_WORLD
from w2s_lightning.errors import INTERRUPTED

ASKED: list[Row] = [
    ("task=fact_pair", "did you mean `fact_pairs`?"),
    ("fit.epohcs=3 run=plan", "did you mean `epochs`?"),
    ("-m model@weak=nano,mirco run=plan", "did you mean `micro`?"),
]
MORE: list[Row] = [
    ("weak.name=../../X", "expected up to 80 letters"),
    (["weak.name='a\udcffb'", "run=plan"], "expected up to 80 letters"),
    (["weak.name='\x1b[31mred'", "run=plan"], "expected up to 80 letters"),
    ("paths.store=/proc/nowhere", "/proc/nowhere"),
    (['paths.store="~no-such-user/x"', "run=plan"], "expected the path of a folder"),
    ("trainer.threads=100000", "less than or equal to 1024"),
    ("trainer.devices=0 run=plan", "expected how many"),
    ("-m seed=range(1000000)", "1,000,000 jobs"),
    ("-m seed=0,1 weak.width=1e9", "less than or equal to 65536"),
    ("paradigm.module._target_=os.system", "plugins=[os]"),
    ("seed=x", "seed"),
    ("task=local_choice task.train_file=x.csv task.test_file=x.csv", "x.csv"),
    ("model@strong=local strong.path=nowhere", "nowhere"),
    ("--config x", "config"),
    ("-m sweeps=nothing", "nothing"),
    ("hydra.sweeper._target_=os.system -m seed=0,1", ()),
    ("+hydra.searchpath=[file:///nowhere] task=x", "x"),
]


ROWS = [*ASKED, *(pytest.param(row, marks=pytest.mark.slow) for row in MORE)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: named(row))
def test_a_process_answers_like_train_main(ask: Ask, row: Row) -> None:
    ask.process(*row)


ODD = {
    "OMP_NUM_THREADS": "abc",
    "COLUMNS": "0",
    "TMPDIR": "/nowhere",
    "HOME": "/proc",
    "WANDB_MODE": "nonsense",
    "PYTHONPATH": "/nowhere:",
    "HYDRA_FULL_ERROR": "1",
    "CUDA_VISIBLE_DEVICES": "abc",
}


def test_a_job_ends_well_in_any_environment(ask: Ask) -> None:
    says = ("wandb: this run is not tracked", "'nonsense'", "PGR", "result: ")
    ask.process([*SMALL_WORLD, "trainer.threads=1"], says, 0, **ODD)


def test_python_without_assertions_is_refused(ask: Ask) -> None:
    ask.process("run=plan", "python -O (PYTHONOPTIMIZE)", PYTHONOPTIMIZE="1")


@pytest.mark.parametrize("delay", [0.2, *(pytest.param(each / 10, marks=pytest.mark.slow) for each in range(4, 20, 2))])
def test_ctrl_c_while_all_is_imported_ends_it_without_a_trace(ask: Ask, delay: float) -> None:
    def obey() -> None:  # a shell's `pytest &` leaves it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, str(ROOT / "train.py"), "run=plan"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ask.place, preexec_fn=obey, text=True, **streams)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode in (-signal.SIGINT, INTERRUPTED, 0), err  # 0: it was done, or a library swallowed it
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1, err


def test_ctrl_c_while_a_tool_is_imported_ends_it_without_a_trace(ask: Ask) -> None:
    for handler, code in ((signal.SIG_DFL, -signal.SIGINT), (signal.SIG_IGN, 0)):  # ignored: behind a shell's `&`
        looked = "import os, signal, sys; sys.argv[0] = '-m'; import w2s_lightning; os.kill(os.getpid(), signal.SIGINT)"
        command = [sys.executable, "-c", looked]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, preexec_fn=partial(signal.signal, signal.SIGINT, handler)
        )
        assert (done.returncode, done.stderr) == (code, "")


def test_a_limit_on_files_is_said_and_nothing_is_lost(ask: Ask) -> None:
    """`ulimit -f`, reached while weights are written; the same command without it goes on."""
    words = [*SMALL_WORLD, "trainer.threads=1", "tracking=disabled"]
    command = [sys.executable, str(ROOT / "train.py"), *words]
    limited = ["bash", "-c", 'ulimit -f 30; exec "$@"', "bash", *command]
    done = subprocess.run(limited, capture_output=True, cwd=ask.place, text=True, timeout=120)
    says = ("a file grew too large while computing pretrain", "`ulimit -f` shows it")
    check(Answer(done.returncode, done.stdout, done.stderr, 0.0, ask.place), says, 1)
    assert not list(ask.place.glob("store/*/*/manifest.json")), "nothing half is published"
    ask.process(words, "result: ", 0)


def test_a_sweep_without_room_for_its_page_says_so_once_and_keeps_its_results(ask: Ask) -> None:
    words = ["-m", "seed=0", *SMALL_WORLD, "trainer.threads=1", "tracking=disabled"]
    ask.process(words, "report: ", 0)
    page = next(ask.place.glob("outputs/sweeps/*/report.html"))
    page.unlink()
    (page / "in the way").mkdir(parents=True)
    answer = ask.process(words, "note: the report could not be written: ", 0)
    assert answer.text.count("could not be written") == 1
    assert "Error:" not in answer.text
    assert "report: " not in answer.text
    assert list(ask.place.glob("outputs/*/result.json"))
