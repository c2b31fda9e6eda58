"""The one exception that means "the user can mend this", and how every command shows it: without a stack trace."""

import argparse
import difflib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 128 + signal.SIGINT
"""The exit code that shells give to what Ctrl-C ends."""


class UserError(ValueError):
    """A mistake in input, configuration or environment.

    The text says what was wrong, what was expected and what to type instead, in one or two lines.
    """


def run_command(
    work: Callable[[], int | None],
    kept: str = "what was written is whole: the same command starts again",
    *,
    mistakes: tuple[type[Exception], ...] = (UserError, OSError),
    told: Callable[[Exception], str] = str,
) -> int:
    """A command's exit code: that of `work`, or 1 after one or two lines that begin with `error:`.

    A user's mistake (or the disk's) is put into words by `told`, Ctrl-C says what is `kept` and has INTERRUPTED.
    """
    take_any_text()
    if not os.environ.get("COLUMNS", "1").strip("0"):  # rich prints nothing where there are 0 columns
        del os.environ["COLUMNS"]
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # so that Ctrl-C while all was imported ended it at once
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if logging.lastResort is not None:  # which prints warnings, of folders and files of others too
        logging.lastResort.setFormatter(Printable())
    code = 1
    try:
        return work() or 0
    except mistakes as error:
        text = told(error)
    except KeyboardInterrupt:
        text, code = f"stopped; {kept}", INTERRUPTED
    print(printable(f"error: {text}", keep="\n"), file=sys.stderr)
    return code


class CommandParser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command's words, which may hold what a terminal would obey."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{printable(f'error: {message}')} (`{self.prog} --help` lists what there is)\n")


def take_any_text() -> None:
    """Let the standard streams take any text: what their encoding lacks becomes a question mark; a closed one is no
    error."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def handling(
    number: signal.Signals, handler: Callable[[int, FrameType | None], Any] | signal.Handlers
) -> Iterator[None]:
    """While inside, `handler` takes this signal; the handler of before is put back afterwards.

    Only a process's main thread may set handlers: elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def printable(text: str, keep: str = "") -> str:
    """Text of others without control characters, which a terminal would obey, but for those in `keep`."""
    return "".join(sign if sign.isprintable() or sign in keep else "\N{REPLACEMENT CHARACTER}" for sign in text)


class Printable(logging.Formatter):
    """Warnings as `printable` text."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean x?`, or a list of what there is when nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else f"there are {', '.join(names) or 'none'}"
