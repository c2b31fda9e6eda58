"""The world `facts`: people, relations and values ("ann likes tea"), some people written about far more than others.

How often a person appears falls as 1 / (rank + offset), so a small model knows the frequent people and not the tail.
Text is only ever this world's own truth, said in four ways (`DocumentMix`).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Positive, Share, record
from w2s_lightning.tasks.draws import uniforms
from w2s_lightning.tasks.worlds.lexicon import FOREIGN, PEOPLE, RELATIONS, SPECIAL, STRUCTURE

_BLOCK = 1 << 16  # documents drawn at a time
_EMPTY = -1

Integers = NDArray[np.int64]


@record
class DocumentMix:
    """Shares of the four kinds of documents; they add up to 1.

    `claim`: a true claim ("ann likes tea ."). `aside`: a true or false claim with `so he|she` (a fact about the person)
    or `so home|away` (a fact about the value), so that truth is not the only thing worth predicting after "so".
    `verdict`: a true or false claim with `so right|wrong`. `question`: "is tea likes ? yes", whether a value belongs
    to a relation at all.
    """

    claim: Share
    aside: Share
    verdict: Share
    question: Share

    def __post_init__(self) -> None:
        if abs(self.claim + self.aside + self.verdict + self.question - 1) > 1e-9:
            raise UserError("task.world.mix: claim, aside, verdict and question must add up to 1")


@record
class FactsWorld:
    """A world of `people` x `relations` facts, each with one of `values` values, drawn from the world's own `seed`."""

    name: str
    people: Annotated[int, Interval(ge=2, le=len(PEOPLE))]
    relations: Annotated[int, Interval(ge=2, le=len(RELATIONS))]
    values: Annotated[int, Interval(ge=2, le=8)]
    seed: int
    frequency_offset: Positive
    mix: DocumentMix

    @property
    def truth(self) -> "Truth":
        """What is the case in this world."""
        return _truth(self)

    def vocabulary(self) -> list[str]:
        """All words by token id; `<pad>` is 0 and `<unk>` 1."""
        values = [value for names in self.value_names() for value in names]
        return [*SPECIAL, *STRUCTURE, *FOREIGN, *PEOPLE[: self.people], *self.relation_names(), *values]

    def relation_names(self) -> list[str]:
        """The relations of this world."""
        return list(RELATIONS)[: self.relations]

    def value_names(self) -> list[list[str]]:
        """The values of each relation."""
        return [RELATIONS[relation].split()[: self.values] for relation in self.relation_names()]

    def claim(self, person: int, relation: int, value: int) -> str:
        """A claim in words: "ann likes tea"."""
        name = self.relation_names()[relation]
        return f"{PEOPLE[person]} {name} {RELATIONS[name].split()[value]}"

    def windows(self, steps: int, rows_per_step: int, window: int, seed: int) -> NDArray[np.int16]:
        """Token ids [steps, rows_per_step, window] of documents packed end to end, a pure function of all arguments."""
        needed, found = steps * rows_per_step * window, 0
        blocks = [np.empty(0, np.int16)]
        while found < needed:
            blocks.append(_write(self, _draw(self, "windows", seed, len(blocks))))
            found += len(blocks[-1])
        return np.concatenate(blocks)[:needed].reshape(steps, rows_per_step, window)


@dataclass(frozen=True)
class Truth:
    """`fact` [people, relations] holds the index of the true value; `frequency` [people] sums to 1.

    `pronoun` [people] and `place` [relations, values] are 0 or 1: what the asides say.
    """

    fact: Integers
    frequency: NDArray[np.float64]
    pronoun: Integers
    place: Integers


@lru_cache(maxsize=8)
def _truth(world: FactsWorld) -> Truth:
    people, relations, values = world.people, world.relations, world.values
    weight = 1.0 / (np.arange(people) + world.frequency_offset)
    return Truth(
        fact=_below(values, uniforms(people * relations, "fact", world.seed)).reshape(people, relations),
        frequency=weight / weight.sum(),
        pronoun=_below(2, uniforms(people, "pronoun", world.seed)),
        place=_below(2, uniforms(relations * values, "place", world.seed)).reshape(relations, values),
    )


@dataclass(frozen=True)
class _Documents:
    """Columns [documents]: `kind` in the order of `DocumentMix`; `asked` is the relation that a question asks about."""

    kind: Integers
    person: Integers
    relation: Integers
    value: Integers
    true: NDArray[np.bool_]
    personal: NDArray[np.bool_]
    asked: Integers


def _draw(world: FactsWorld, *key: str | int) -> _Documents:
    """A block of documents as columns."""
    u = uniforms(7 * _BLOCK, *key).reshape(7, _BLOCK)
    truth, mix = world.truth, world.mix
    kind = _category([mix.claim, mix.aside, mix.verdict, mix.question], u[0])
    person, relation = _category(truth.frequency, u[1]), _below(world.relations, u[2])
    true = (kind == 0) | (u[3] < 0.5)
    right = truth.fact[person, relation]
    other_value = (right + 1 + _below(world.values - 1, u[4])) % world.values
    other_relation = (relation + 1 + _below(world.relations - 1, u[5])) % world.relations
    value, asked = np.where(true, right, other_value), np.where(true, relation, other_relation)
    return _Documents(kind, person, relation, value, true, u[6] < 0.5, asked)


def _write(world: FactsWorld, drawn: _Documents) -> NDArray[np.int16]:
    """The documents as token ids, end to end."""
    ids = {word: index for index, word in enumerate(world.vocabulary())}
    relations = ids[world.relation_names()[0]]
    value = relations + world.relations + drawn.relation * world.values + drawn.value
    subject = [ids[PEOPLE[0]] + drawn.person, relations + drawn.relation, value]
    verdict = np.where(drawn.true, ids["right"], ids["wrong"])
    answer = np.where(drawn.true, ids["yes"], ids["no"])
    shapes: tuple[list[Integers | int], ...] = (
        [*subject, ids["."], _EMPTY, _EMPTY],
        [*subject, ids["so"], _aside(world, drawn, ids), ids["."]],
        [*subject, ids["so"], verdict, ids["."]],
        [ids["is"], value, relations + drawn.asked, ids["?"], answer, ids["."]],
    )
    table = np.empty((len(drawn.kind), 6), np.int16)
    for kind, columns in enumerate(shapes):
        rows = drawn.kind == kind
        for place, column in enumerate(columns):
            table[rows, place] = column[rows] if isinstance(column, np.ndarray) else column
    tokens: NDArray[np.int16] = table[table != _EMPTY]
    return tokens


def _aside(world: FactsWorld, drawn: _Documents, ids: dict[str, int]) -> Integers:
    truth = world.truth
    pronoun = np.where(truth.pronoun[drawn.person] == 0, ids["he"], ids["she"])
    place = np.where(truth.place[drawn.relation, drawn.value] == 0, ids["home"], ids["away"])
    return np.where(drawn.personal, pronoun, place)


def _below(bound: int, uniform: NDArray[np.float64]) -> Integers:
    """Whole numbers in [0, bound)."""
    return (uniform * bound).astype(np.int64)


def _category(shares: NDArray[np.float64] | list[float], uniform: NDArray[np.float64]) -> Integers:
    """Indices drawn with the given shares, which add up to 1."""
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right").astype(np.int64)
