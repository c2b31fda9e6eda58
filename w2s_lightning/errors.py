"""The one exception that means "the user can mend this", and how every command shows it: without a stack trace."""

import sys
from collections.abc import Callable


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

    A user's mistake (or the disk's) is put into words by `told`, Ctrl-C says what is `kept`.
    """
    try:
        return work() or 0
    except mistakes as error:
        text = told(error)
    except KeyboardInterrupt:
        text = f"stopped; {kept}"
    print(f"error: {text}", file=sys.stderr)
    return 1


def printable(text: str, keep: str = "") -> str:
    """Text of others without control characters, which a terminal would obey, but for those in `keep`."""
    return "".join(sign if sign.isprintable() or sign in keep else "\N{REPLACEMENT CHARACTER}" for sign in text)
