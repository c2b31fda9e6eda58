"""The one writer of a sweep's files: wakes when something has changed, and now and then to look at the disk itself,
since launchers of clusters return only at the end."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

LOOK_SECONDS = 10.0
REST = 10.0  # times as long as the last write took, so that writing never costs more than a tenth of the time
LEAST_REST = 0.5

logger = logging.getLogger(__name__)


class Watcher:
    """Calls `write` in a thread of its own while the block lasts, and once more at its end."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._changed = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def changed(self) -> None:
        """Something is new."""
        self._changed.set()

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._changed.set()
        self._thread.join()
        self._write()

    def _watch(self) -> None:
        while not self._ending.is_set():
            self._changed.wait(LOOK_SECONDS)
            self._changed.clear()
            started = time.monotonic()
            try:
                self._write()
            except Exception as error:  # the sweep matters more than its ledger, which is written again at the end
                logger.warning("the sweep's ledger could not be written: %s: %s", type(error).__name__, error)
            self._ending.wait(max(LEAST_REST, REST * (time.monotonic() - started)))
