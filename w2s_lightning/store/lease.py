"""Who is computing a stage: a lease file that its holder refreshes and others may take once it is stale.

A lease saves work and decides nothing: whoever finishes first publishes by rename. A holder on this host that
was killed is noticed at once, one elsewhere after `LEASE_SECONDS` without a heartbeat.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import LeaseCompromise, LeaseSettingsMismatch, SoftFileLease, Timeout

LEASE_SECONDS = 30.0  # all contenders must agree on it
POLL_SECONDS = 0.2

logger = logging.getLogger(__name__)


@contextmanager
def lease(path: Path, what: str, arrived: Callable[[], bool], seconds: float, known: set[str]) -> Iterator[None]:
    """Hold the lease at `path`, or go on without it once `arrived()` says that somebody else finished `what`.

    `known` are the holders of whom it was said already that they are waited for; one more is added.
    """
    claim = SoftFileLease(path, lease_duration=seconds, thread_local=False, on_compromise=_lost)
    held = _wait(claim, what, arrived, known)
    try:
        yield
    finally:
        if held:
            claim.release()


def _wait(claim: SoftFileLease, what: str, arrived: Callable[[], bool], known: set[str]) -> bool:
    """Whether the lease is held now; not where somebody else has finished the work, or contends by other rules."""

    def over() -> bool:
        _take_away_if_nameless(claim)
        return arrived()

    _take_away_if_nameless(claim)
    try:
        try:
            claim.acquire(blocking=False)
        except Timeout:
            owner = claim.owner
            holder = "another process" if owner is None else f"process {owner.pid} on {owner.hostname}"
            if holder not in known:
                logger.warning("%s is being computed by %s: waiting for it, and for what comes next", what, holder)
            known.add(holder)
            claim.acquire(timeout=-1, poll_interval=POLL_SECONDS, cancel_check=over)
    except Timeout:
        return False
    except LeaseSettingsMismatch as error:
        logger.warning("going on without a lease, at the worst the work is done twice: %s", error)
        return False
    return True


def _take_away_if_nameless(claim: SoftFileLease) -> None:
    """Remove what is left of a holder that was killed before it wrote its name: filelock would wait for it for ever."""
    path = Path(claim.lock_file)
    with suppress(FileNotFoundError):
        state = path.stat()
        if state.st_size == 0 and time.time() - state.st_mtime > claim.lease_duration:
            path.unlink()


def _lost(loss: LeaseCompromise) -> None:
    logger.warning("lease %s lost (%s): at the worst the work is done twice", loss.lock_file, loss.reason)
