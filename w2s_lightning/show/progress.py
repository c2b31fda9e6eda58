"""A job's stages as they run: one line a finished stage, a live line for the running one."""

from collections.abc import Sequence

from rich.console import Console

from w2s_lightning.identity import Stage
from w2s_lightning.show.numbers import shown


class StageProgress:
    """Progress of a job's stages; a context, in which the live line is shown."""

    def __init__(self, console: Console, stages: Sequence[Stage]) -> None:
        self._console = console
        self._total = len(stages)
        self._done = 0
        self._status = console.status("")

    def __enter__(self) -> "StageProgress":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def start(self, stage: Stage) -> None:
        """A stage begins."""
        self._done += 1
        self._status.update(self._named(stage))

    def step(self, stage: Stage, done: int, of: int) -> None:
        """A stage has taken `done` of its steps."""
        self._status.update(f"{self._named(stage)} · {done}/{of}")

    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None:
        """A stage is in the store."""
        how = "from the store" if cached else f"{seconds:.1f} s"
        self._console.print(f"{self._named(stage)} · {how}", highlight=False, soft_wrap=True)

    def _named(self, stage: Stage) -> str:
        return shown(f"[{self._done}/{self._total}] {stage.kind:8} {stage.label}")


class LaunchProgress:
    """Progress of a sweep: one line a finished launch, a live line with the names of the running ones."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        self._running: list[str] = []
        self.status = console.status("")

    def start(self, name: str) -> None:
        """A launch has begun."""
        self._running.append(name)
        self._show_running()

    def finish(self, name: str, how: str) -> None:
        """It has ended, and how."""
        self._running.remove(name)
        self._done += 1
        self._console.print(shown(f"[{self._done}/{self._total}] {name} · {how}"), highlight=False, soft_wrap=True)
        self._show_running()

    def _show_running(self) -> None:
        more = f" and {len(self._running) - 3} more" if len(self._running) > 3 else ""
        self.status.update(shown(f"running: {', '.join(self._running[:3])}{more}"))
