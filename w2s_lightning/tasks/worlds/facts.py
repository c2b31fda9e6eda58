"""The world `people` and its tasks: which of two claims is true (the default task), or is one claim true?

The world is people, relations and values ("ann likes tea"), some people written about far more than others: how often
one appears falls as 1 / (rank + offset), so a small model knows the frequent people and not the tail. Text is only ever
this world's own truth, said in four ways (`DocumentMix`). A text of a task is one true distractor fact and then a
claim. Facts are split, never items: what is asked of one split is not asked of another. Test facts and test items
depend on the task's own seed alone; a job's seed splits the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from math import log
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from w2s_lightning.config.schema import Positive, Share, record
from w2s_lightning.config.typed import Name
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import Floats, Integers, below, category, permutation, uniforms
from w2s_lightning.tasks.example import TRAINING, Example, Kind, Layout, Split, Splits, choice
from w2s_lightning.tasks.format import Template, TemplateText
from w2s_lightning.tasks.worlds.text import EMPTY, SPECIAL, PerSplit, check_words, packed

# ---------------------------------------------------------------- words

STRUCTURE = (".", "?", "so", "is", "right", "wrong", "yes", "no", "he", "she", "home", "away")
"""Written in pretraining text besides names, relations and values."""

FOREIGN = ("says", "it", "that", "true", "think", "they")
"""In the vocabulary but never written in pretraining: for prompts that no model has seen."""

PEOPLE_TEXT = """
ann bob carl dora emil fay gus hana ivan jane kurt lena milo nora
otto pia quin rosa sven tess udo vera walt xena yuri zoe alma boris
cleo dirk edna finn greta hugo iris jonas kira lars mona nils olga paul
rita saul tara uwe viola wim yara zeno
"""
PEOPLE = tuple(PEOPLE_TEXT.split())

RELATIONS = {
    "likes": "tea coffee milk cocoa juice water soup cake",
    "plays": "chess golf poker tennis rugby hockey darts cricket",
    "owns": "dog cat horse parrot goat rabbit pony snake",
    "studies": "law physics music history botany latin logic art",
    "fears": "spiders thunder heights ghosts wolves fire crowds darkness",
    "visits": "paris rome oslo cairo lima tokyo delhi quito",
    "wears": "hat scarf gloves boots coat vest sandals belt",
    "drives": "truck van bus tram taxi tractor scooter jeep",
    "grows": "roses beans corn tulips grapes onions wheat figs",
    "builds": "boats kites chairs clocks walls toys bridges drums",
    "paints": "faces trees ships fruit clouds houses birds rivers",
    "collects": "stamps coins shells maps stones books masks keys",
    "sells": "bread cheese honey wine paper soap candles salt",
    "teaches": "dance french algebra drama yoga cooking poetry sewing",
}
"""Relation -> its eight values."""

# ---------------------------------------------------------------- the world

_BLOCK = 1 << 16  # documents drawn at a time
_ROUNDS = 20  # of drawing items again that came out twice


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

    name: Name = field(compare=False)
    people: Annotated[int, Interval(ge=2, le=len(PEOPLE))]
    relations: Annotated[int, Interval(ge=2, le=len(RELATIONS))]
    values: Annotated[int, Interval(ge=2, le=8)]
    seed: int
    frequency_offset: Positive
    mix: DocumentMix

    @cached_property
    def truth(self) -> "Truth":
        """What is the case in this world."""
        people, relations, values = self.people, self.relations, self.values
        weight = 1.0 / (np.arange(people) + self.frequency_offset)
        return Truth(
            fact=below(values, uniforms(people * relations, "fact", self.seed)).reshape(people, relations),
            frequency=weight / weight.sum(),
            pronoun=below(2, uniforms(people, "pronoun", self.seed)),
            place=below(2, uniforms(relations * values, "place", self.seed)).reshape(relations, values),
        )

    @property
    def in_pretraining(self) -> str:
        """What of a test set its text says already."""
        return "every claim of the test set stands in the pretraining text, with its verdict"

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
        return packed(lambda block: _documents(self, "windows", seed, block), steps, rows_per_step, window)


@dataclass(frozen=True)
class Truth:
    """`fact` [people, relations] holds the index of the true value; `frequency` [people] sums to 1.

    `pronoun` [people] and `place` [relations, values] are 0 or 1: what the asides say.
    """

    fact: Integers
    frequency: Floats
    pronoun: Integers
    place: Integers


def _documents(world: FactsWorld, *key: str | int) -> NDArray[np.int16]:
    """A block of documents as rows of token ids, with EMPTY after the shorter ones."""
    u = uniforms(7 * _BLOCK, *key).reshape(7, _BLOCK)
    truth, mix = world.truth, world.mix
    kind = category([mix.claim, mix.aside, mix.verdict, mix.question], u[0])
    person, relation = category(truth.frequency, u[1]), below(world.relations, u[2])
    true = (kind == 0) | (u[3] < 0.5)
    right = truth.fact[person, relation]
    value = np.where(true, right, (right + 1 + below(world.values - 1, u[4])) % world.values)
    asked = np.where(true, relation, (relation + 1 + below(world.relations - 1, u[5])) % world.relations)

    ids = {word: index for index, word in enumerate(world.vocabulary())}
    first = ids[world.relation_names()[0]]
    word = first + world.relations + relation * world.values + value
    pronoun = np.where(truth.pronoun[person] == 0, ids["he"], ids["she"])
    place = np.where(truth.place[relation, value] == 0, ids["home"], ids["away"])
    aside = np.where(u[6] < 0.5, pronoun, place)
    claim = [ids[PEOPLE[0]] + person, first + relation, word]
    shapes: tuple[list[Integers | int], ...] = (
        [*claim, ids["."], EMPTY, EMPTY],
        [*claim, ids["so"], aside, ids["."]],
        [*claim, ids["so"], np.where(true, ids["right"], ids["wrong"]), ids["."]],
        [ids["is"], word, first + asked, ids["?"], np.where(true, ids["yes"], ids["no"]), ids["."]],
    )
    table = np.empty((_BLOCK, 6), np.int16)
    for number, columns in enumerate(shapes):
        rows = kind == number
        for position, column in enumerate(columns):
            table[rows, position] = column[rows] if isinstance(column, np.ndarray) else column
    return table


# ---------------------------------------------------------------- the task


@record
class Facts:
    """Claims about a world of facts, each fact as often as any other: the rare ones are what a small model lacks.

    `form=claims`: one claim, true or false (half and half). `form=pairs`: a true and a false claim of one fact after
    the same distractor, one score each: which is the true one? No threshold between true and false is part of that.

    `facts` and `items` count (person, relation) facts and examples per split. `template` may use {distractor} and
    {claim}; all its other words must be in the world's vocabulary. `words`: the verdict on a false, on a true claim.
    Difficulty is -ln(share of the world's documents that are about the person).
    """

    kind: ClassVar[Kind] = "choice"
    words_are_labels: ClassVar[bool] = False

    name: Name = field(compare=False)
    world: FactsWorld
    seed: int
    template: TemplateText
    words: tuple[str, str]
    facts: PerSplit
    items: PerSplit
    form: Literal["claims", "pairs"] = "claims"

    def __post_init__(self) -> None:
        self._parsed.check(("claim", "distractor"), "claim", "task.template")
        written = " ".join([self._parsed.fill({"claim": "", "distractor": ""}), *self.words])
        check_words(self.name, written, set(self.world.vocabulary()))
        wanted, there = sum(self.facts.by_split().values()), self.world.people * self.world.relations
        if wanted > there:
            raise UserError(f"task.facts asks for {wanted} facts, the world has {there} (people x relations)")

    @property
    def layout(self) -> Layout:
        return "text" if self.form == "claims" else "options"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The verdict words, or the places of the two claims."""
        return self.words if self.form == "claims" else ("0", "1")

    @property
    def typical_tokens(self) -> int:
        text = self._parsed.fill({"claim": "a b c", "distractor": "a b c"})
        return len(text.split()) * (1 if self.form == "claims" else 2)

    def sizes(self) -> Mapping[Split, int]:
        """Examples per split: exact."""
        return self.items.by_split()

    def splits(self, seed: int) -> Splits:
        """The examples of job seed `seed`; raise UserError when a split has too few facts for its items."""
        own, world = self.facts, self.world
        order = permutation(world.people * world.relations, "test facts", self.seed).tolist()
        test, rest = order[: own.test], order[own.test :]
        rest = [rest[place] for place in permutation(len(rest), "facts", self.seed, seed)]
        ends = [0, *accumulate([own.supervise, own.transfer, own.validation])]
        training = {split: rest[start:end] for split, (start, end) in zip(TRAINING, pairwise(ends), strict=True)}
        made = {split: self._items(split, facts, seed) for split, facts in training.items()}
        return Splits(**made, test=self._items("test", test), notices=())

    def _items(self, split: Split, facts: Sequence[int], *key: int) -> tuple[Example, ...]:
        """Distinct items of some facts (person x relations + relation), as many of each fact and each label."""
        if len(facts) < 2:
            raise UserError(f"task.facts.{split} must be 2 or more: a claim and its distractor are different facts")
        wanted, found = self.sizes()[split], dict[str, Example]()
        keys = [("items", self.seed, split, *key, again) for again in range(_ROUNDS)]
        for u in (u for one in keys for u in uniforms(2 * wanted, *one).reshape(-1, 2).tolist()):
            if len(found) == wanted:
                break
            place = len(found) // 2 % len(facts)  # a fact once with each label
            distractor = facts[(place + 1 + int(u[0] * (len(facts) - 1))) % len(facts)]
            self._add(found, facts[place], distractor, u[1])
        if len(found) < wanted:
            raise UserError(
                f"task {self.name}: its {len(facts)} {split} facts give {len(found)} different items, half of them "
                f"true, not task.items.{split}={wanted}: ask for fewer, or put {{distractor}} into task.template"
            )
        return tuple(found.values())

    def _add(self, found: dict[str, Example], fact: int, distractor: int, uniform: float) -> None:
        """Add one more item by its text, unless it is there; `uniform` picks the value of a false claim."""
        label, truth = len(found) % 2, self.world.truth
        person, relation = divmod(fact, self.world.relations)
        right = int(truth.fact[person, relation])
        wrong = (right + 1 + int(uniform * (self.world.values - 1))) % self.world.values
        true, false = (self._text(fact, value, distractor) for value in (right, wrong))
        if self.form == "claims":
            key, texts = (true if label else false), [true if label else false]
        else:
            key, texts = false, [false, true] if label else [true, false]
        if key not in found:
            group = f"{PEOPLE[person]} {self.world.relation_names()[relation]}"
            found[key] = choice(texts, label=label, group=group, difficulty=-log(float(truth.frequency[person])))

    def _text(self, fact: int, value: int, distractor: int) -> str:
        """A claim about a fact after a true claim about another, as the template puts it."""
        person, relation = divmod(fact, self.world.relations)
        other_person, other_relation = divmod(distractor, self.world.relations)
        true = int(self.world.truth.fact[other_person, other_relation])
        other = self.world.claim(other_person, other_relation, true)
        return self._parsed.fill({"claim": self.world.claim(person, relation, value), "distractor": other})

    @cached_property
    def _parsed(self) -> Template:
        return Template.parse(self.template)
