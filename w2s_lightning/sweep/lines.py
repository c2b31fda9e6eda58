"""What a person sees while a sweep runs: a line for each finished unit, and at the end what failed and how to go on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from w2s_lightning.show.words import counted, shown, size
from w2s_lightning.sweep.attempt import Record
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.grid import SHOWN_FROM, Refused
from w2s_lightning.sweep.units import Unit

MOST = 8  # failures that are listed in full


class Lines:
    """Progress of a sweep's launches."""

    def __init__(self, console: Console, num_units: int) -> None:
        self._console = console
        self._total = num_units
        self._ended = 0
        self._running: dict[str, str] = {}
        self._status = console.status("")

    def __enter__(self) -> "Lines":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def started(self, unit: Unit) -> None:
        """A unit has been launched."""
        self._running[unit.key] = unit.name
        self._show()

    def ended(self, unit: Unit, record: Record) -> None:
        """A unit has ended."""
        self._ended += 1
        self._running.pop(unit.key, None)
        memory = f" · {size(record['peak_memory_bytes'])}" if record["peak_memory_bytes"] else ""
        how = f"{record['seconds']:.1f} s{memory}" if record["status"] == "done" else f"FAILED: {record['message']}"
        self._console.print(
            shown(f"[{self._ended}/{self._total}] {unit.name} · {how}"), highlight=False, soft_wrap=True
        )
        self._show()

    def _show(self) -> None:
        names = list(self._running.values())
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        self._status.update(shown(f"running: {', '.join(names[:3])}{more}"))


@contextmanager
def planning(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress callback for planning, silent for small grids."""
    with console.status("") as status:

        def show(number: int, total: int) -> None:
            if total >= SHOWN_FROM and number % 10 == 0:
                status.update(f"planning {number}/{total} jobs")

        yield show


def last_words(board: Board, refused: Sequence[Refused], command: str) -> str | None:
    """What failed, where its log is, and the command that finishes the rest; None when all went well."""
    failures = board.failed()
    if not failures and not refused:
        return None
    lines = [f"{counted(board.jobs_lost() + len(refused), 'job')} failed; all others are done"]
    for failure in failures[:MOST]:
        waiting = board.jobs_lost(failure)
        needed = f" (needed by {counted(waiting, 'job')})" if waiting and not failure.unit.scores else ""
        log = f"\n  log: {failure.log}" if failure.log else ""
        lines.append(f"  {failure.unit.name}: {failure.message}{needed}{log}")
    if len(failures) > MOST:
        lines.append(f"  and {len(failures) - MOST} more: see sweep.json")
    lines += [f"  not planned: {' '.join(cell.overrides)}: {cell.reason}" for cell in refused[:MOST]]
    return "\n".join([*lines, f"once that is mended, this finishes the rest: {command}"])
