"""Types something at `train.py` and holds the answer to what every answer must keep, whatever was typed.

    an exit code; at most two lines of error, no traceback, nothing that a terminal would obey;
    an answer within ten seconds of computing; no file outside the roots (store, outputs, the folder it was typed in)

A row of a table is `(what is typed, words that must stand in the answer)`: see `Ask`.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import train
from tests.composing import ROOT
from tests.small_jobs import SMALL_WORLD

SECONDS = 10.0  # of computing: a busy machine must not fail a test
LINES = 2
ENDINGS = (0, 1, 2)  # done; a mistake; a mistake that argparse found
# Beside the roots: caches that Python and libraries keep, and what is no file of anybody's.
ALLOWED = ("/dev/", "/proc/", f"{tempfile.gettempdir()}/torchinductor_")
Row = tuple[str | Sequence[str], str | Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What came of one command."""

    code: int
    out: str
    err: str
    seconds: float
    place: Path

    @property
    def text(self) -> str:
        """All that was said, whichever stream it took, without the breaks of a narrow terminal."""
        return " ".join(f"{self.err}\n{self.out}".split())


# ---------------------------------------------------------------- where files are written


class Watch:
    """Every path that this process creates, writes to, renames to or removes while `on`."""

    def __init__(self) -> None:
        self.on, self.paths = False, set[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            paths = [path] if writes or (isinstance(mode, str) and set(mode) & set("wax+")) else []
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"):
            paths = [arguments[0]]
        elif event in ("os.rename", "os.link", "os.symlink"):
            paths = list(arguments[:2])
        else:
            return
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                self.paths.add(os.path.realpath(os.fsdecode(path)))


WATCH = Watch()
sys.addaudithook(WATCH)


@contextmanager
def watched() -> Iterator[set[str]]:
    """The paths that were written to inside."""
    WATCH.paths = found = set()
    WATCH.on = True
    try:
        yield found
    finally:
        WATCH.on = False


# ---------------------------------------------------------------- asking


@dataclass(frozen=True)
class Ask:
    """`ask("fit.epohcs=3", says="did you mean")`: type it at `train.main()` in `place`, and check the answer.

    Words are split at spaces; a list is taken as it is. `{place}` stands for the folder it is typed in. A command gets
    `run=plan` unless `bare`; with `job`, it is a whole job on the small world instead.
    """

    place: Path
    monkeypatch: pytest.MonkeyPatch

    def __call__(
        self,
        words: str | Sequence[str],
        says: str | Sequence[str] = (),
        code: int | None = 1,
        *,
        job: bool = False,
        bare: bool = False,
    ) -> Answer:
        answer = self.typed(words, job=job, bare=bare)
        check(answer, says, code)
        return answer

    def words(self, words: str | Sequence[str], *, job: bool, bare: bool) -> list[str]:
        typed = words.split() if isinstance(words, str) else list(words)
        own = [] if bare else [*SMALL_WORLD, "tracking=disabled", "trainer.threads=1"] if job else ["run=plan"]
        given = {word.partition("=")[0] for word in typed}
        return [*(self.filled(word) for word in typed), *(one for one in own if one.partition("=")[0] not in given)]

    def filled(self, word: str) -> str:
        return word.replace("{place}", str(self.place))

    def typed(self, words: str | Sequence[str], *, job: bool = False, bare: bool = False) -> Answer:
        """The answer, which nobody has looked at yet, but for files outside the roots."""
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["train.py", *self.words(words, job=job, bare=bare)])
            patch.setattr(train, "FAILED", [])
            patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
            patch.chdir(self.place)
            for name, value in self.environment().items():
                patch.setenv(name, value)
            return self._run(train.main)

    def _run(self, command: Callable[[], int]) -> Answer:
        out, err, started = io.StringIO(), io.StringIO(), time.process_time()
        code: Any = None
        before = tree(self.place.parent, but=self.place)
        with watched() as written, redirect_stdout(out), redirect_stderr(err):
            try:
                code = command()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        seconds = time.process_time() - started
        outside = {path for path in written if not within(path, self.place)}
        outside |= tree(self.place.parent, but=self.place) ^ before
        assert not outside, f"written outside of {self.place}: {sorted(outside)}"
        return Answer(code, out.getvalue(), err.getvalue(), seconds, self.place)

    def environment(self) -> Mapping[str, str]:
        """Caches in the folder it is typed in, no network, a terminal that is wide enough not to break words."""
        return {
            "XDG_CACHE_HOME": f"{self.place}/.cache",
            "HYDRA_FULL_ERROR": "1",  # put back afterwards: the program sets it for its process
            "WANDB_MODE": "offline",
            "COLUMNS": "200",
        }

    def process(
        self, words: str | Sequence[str], says: str | Sequence[str] = (), code: int | None = 1, **more: str
    ) -> Answer:
        """The same as a process of its own, which is typed exactly what is given, with `more` in its environment."""
        typed = self.words(words, job=False, bare=True)
        own = {**os.environ, **self.environment(), "HF_HUB_OFFLINE": "1", "HOME": str(self.place), **more}
        before = tree(self.place.parent, but=self.place)
        command = [sys.executable, str(ROOT / "train.py"), *typed]
        done = subprocess.run(command, capture_output=True, cwd=self.place, env=own, timeout=120)
        outside = tree(self.place.parent, but=self.place) ^ before
        assert not outside, f"written outside of {self.place}: {sorted(outside)}"
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        answer = Answer(done.returncode, out, err, 0.0, self.place)
        check(answer, says, code)
        return answer


def check(answer: Answer, says: str | Sequence[str] = (), code: int | None = 1) -> None:
    """Assert what every answer keeps, that it has these words, and this exit code (None: any)."""
    told = f"exit code {answer.code}\n{answer.err[-2000:]}\n{answer.out[-1000:]}"
    assert answer.code in ENDINGS, told
    assert code is None or answer.code == code, told
    assert "Traceback" not in answer.err + answer.out, told
    assert len(answer.err.strip().splitlines()) <= LINES, told
    assert not answer.code or answer.err.strip(), f"nothing was said of it: {told}"
    signs = {sign for sign in answer.err + answer.out if not sign.isprintable() and sign not in "\n\t"}
    assert not signs, f"a terminal would obey {signs}: {told}"
    assert answer.seconds < SECONDS, f"{answer.seconds:.0f} s: {told}"
    for word in [says] if isinstance(says, str) else says:
        assert " ".join(word.split()) in answer.text, f"nothing says {word!r}: {told}"


def within(path: str, place: Path) -> bool:
    own = os.path.realpath(place)
    return path == own or path.startswith((own + os.sep, *ALLOWED)) or "__pycache__" in path


def tree(root: Path, but: Path) -> set[str]:
    """All that lies below `root`, without what lies below `but`."""
    found = set()
    for folder, folders, files in os.walk(root):
        if Path(folder) == but.parent and but.name in folders:
            folders.remove(but.name)
        found |= {os.path.join(folder, name) for name in (*folders, *files)}
    return found


def some(table: Sequence[Any]) -> list[Any]:
    """Places in a table whose rows take a while: every third is in the normal suite, the others are slow."""
    return [pytest.param(place, marks=() if place % 3 == 0 else pytest.mark.slow) for place in range(len(table))]


def named(row: Row) -> str:
    """A row's name in pytest's list."""
    words = row[0] if isinstance(row[0], str) else " ".join(row[0])
    with suppress(ValueError):
        words = words.encode("ascii", "backslashreplace").decode()
    return words[:60].replace("\x1b", "ESC").replace("\n", " ")
