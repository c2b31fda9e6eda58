"""Wrong solutions of the world `arithmetic`: one mistake each, as long as the right solution and as plausible.

Whatever follows a mistake is worked on from it, so the answer is wrong too, and no number leaves the right solution's
bound. Mistakes are graded by what it takes to see them:

| flaw | what is wrong | seen by |
|---|---|---|
| answer | the last line gives another number than the last step | comparing two neighbours |
| operation | one step adds where the question takes away, or the other way round | knowing the verb |
| operand | one step uses a number that the question does not say | comparing with the question |
| slip | one sum is wrong by 2 to 9 | knowing the sum |
| off_by_one | one sum is wrong by 1 | knowing it exactly |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, NamedTuple

from annotated_types import Ge

from w2s_lightning.config.schema import record
from w2s_lightning.errors import UserError

Weight = Annotated[int, Ge(0)]

_SIGNS = {"+": 1, "-": -1}
FAR = 9
"""By how much a wrong number departs from the right one at most."""


class Step(NamedTuple):
    """`before sign operand = after`."""

    before: int
    sign: str
    operand: int
    after: int

    def redone(self, before: int) -> "Step":
        """The same operation from another number, worked out rightly."""
        return Step(before, self.sign, self.operand, before + _SIGNS[self.sign] * self.operand)


def steps_of(solution: str) -> tuple[Step, ...]:
    """The steps of a solution as the world writes it."""
    *lines, _ = solution.removesuffix(" .").split(" . ")
    parsed = [line.split() for line in lines]
    return tuple(Step(int(before), sign, int(operand), int(after)) for before, sign, operand, _, after in parsed)


def written(steps: Sequence[Step], answer: int) -> str:
    """A solution as the world writes it."""
    lines = [f"{step.before} {step.sign} {step.operand} = {step.after}" for step in steps]
    return " . ".join([*lines, f"answer {answer}"]) + " ."


def flawed(solution: str, flaw: str, below: int) -> list[str]:
    """All wrong solutions with this one flaw whose numbers stay below `below`, in a fixed order; there may be none."""
    steps = steps_of(solution)
    if flaw == "answer":
        right = steps[-1].after
        return [written(steps, wrong) for wrong in _near(right, 1, FAR) if 0 <= wrong < below]
    found = []
    for place, step in enumerate(steps):
        for changed in _STEPS[flaw](step):
            worked = [*steps[:place], changed]
            for later in steps[place + 1 :]:
                worked.append(later.redone(worked[-1].after))
            if all(0 <= step.after < below and step.operand < below for step in worked):
                found.append(written(worked, worked[-1].after))
    return found


def _operation(step: Step) -> Iterator[Step]:
    yield step._replace(sign="-" if step.sign == "+" else "+").redone(step.before)


def _operand(step: Step) -> Iterator[Step]:
    for operand in _near(step.operand, 1, FAR):
        if operand > 0:
            yield step._replace(operand=operand).redone(step.before)


def _slip(step: Step) -> Iterator[Step]:
    yield from (step._replace(after=after) for after in _near(step.after, 2, FAR))


def _off_by_one(step: Step) -> Iterator[Step]:
    yield from (step._replace(after=after) for after in _near(step.after, 1, 1))


def _near(number: int, least: int, most: int) -> list[int]:
    return [number + sign * gap for gap in range(least, most + 1) for sign in (1, -1)]


_STEPS: Mapping[str, Callable[[Step], Iterator[Step]]] = {
    "operation": _operation,
    "operand": _operand,
    "slip": _slip,
    "off_by_one": _off_by_one,
}
FLAWS = ("answer", *_STEPS)
"""The flaws from the plainest to the most subtle."""


@record
class FlawWeights:
    """How often each flaw is made, as weights; one that a problem has no room for makes way for another."""

    answer: Weight
    operation: Weight
    operand: Weight
    slip: Weight
    off_by_one: Weight

    def __post_init__(self) -> None:
        if not any(self.each()):
            raise UserError("task.flaws (or task.world.flaws) are all 0: give one of them a weight")

    def each(self) -> list[int]:
        """The weights in the order of FLAWS."""
        return [getattr(self, flaw) for flaw in FLAWS]

    def ends(self) -> list[float]:
        """Where each flaw's part of the unit interval ends, in the order of FLAWS."""
        return [end / sum(self.each()) for end in accumulate(self.each())]
