"""What a recipe gives back: the rows of the result, each with the stages that lead to it."""

from dataclasses import dataclass
from typing import Literal

from w2s_lightning.stages import Evaluate

RowRole = Literal["untuned", "floor", "student", "ceiling", "teacher", "middle", "control", "reference"]


@dataclass(frozen=True)
class ResultRow:
    """One line of the result: a model's answers on `test` (and on a benchmark), and what it is there for.

    `votes` are several samples of its own to each test problem."""

    name: str
    role: RowRole
    model: str
    evaluate: Evaluate
    benchmark: Evaluate | None = None
    votes: Evaluate | None = None

    @property
    def evaluates(self) -> tuple[Evaluate, ...]:
        """Its evaluate stages."""
        return tuple(stage for stage in (self.evaluate, self.benchmark, self.votes) if stage is not None)


@dataclass(frozen=True)
class Recipe:
    """What a paradigm adds to the common rows; `supervisor` names the row that made the student's targets."""

    rows: tuple[ResultRow, ...]
    supervisor: str | None
