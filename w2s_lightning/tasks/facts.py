"""The task of the world `facts`: is a claim true? The default task, with no network and no shipped data.

An item is one true distractor fact and then a claim. Facts are split, never items: what is asked of one split is not
asked of another. Test facts and test items depend on the task's own seed alone; a job's seed splits the rest.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from math import log
from typing import ClassVar

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Count, record
from w2s_lightning.tasks.draws import permutation, uniforms
from w2s_lightning.tasks.example import Example, Kind, Layout, Split, Splits, choice
from w2s_lightning.tasks.suggest import did_you_mean
from w2s_lightning.tasks.templates import Template, TemplateText
from w2s_lightning.tasks.worlds.facts import FactsWorld

_ROUNDS = 20  # of drawing again what came out twice


@record
class PerSplit:
    """A number for each split."""

    supervise: Count
    transfer: Count
    validation: Count
    test: Count

    def by_split(self) -> dict[Split, int]:
        """The numbers by split."""
        return {
            "supervise": self.supervise,
            "transfer": self.transfer,
            "validation": self.validation,
            "test": self.test,
        }


@record
class Facts:
    """Claims about a world of facts, half of them true, drawn by how often the world's text mentions the person.

    `facts` and `items` count (person, relation) facts and examples per split. `template` may use {distractor} and
    {claim}; all its other words must be in the world's vocabulary. `words`: the verdict on a false, on a true claim.
    Difficulty is -ln(share of the world's documents that are about the person).
    """

    kind: ClassVar[Kind] = "choice"
    num_classes: ClassVar[int] = 2
    layout: ClassVar[Layout] = "text"

    name: str
    world: FactsWorld
    seed: int
    template: TemplateText
    words: tuple[str, str]
    facts: PerSplit
    items: PerSplit

    def __post_init__(self) -> None:
        template = self._parsed
        template.check(("claim", "distractor"))
        if "claim" not in template.columns:
            raise UserError(f"task.template={self.template!r} must contain {{claim}}")
        known = set(self.world.vocabulary())
        for word in [*template.fill({"claim": "", "distractor": ""}).split(), *self.words]:
            if word not in known:
                raise UserError(f"task {self.name}: the world has no word {word!r}: {did_you_mean(word, known)}")
        wanted, there = sum(self.facts.by_split().values()), self.world.people * self.world.relations
        if wanted > there:
            raise UserError(f"task.facts asks for {wanted} facts, the world has {there} (people x relations)")

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.words

    @property
    def typical_tokens(self) -> int:
        return len(self._parsed.fill({"claim": "a b c", "distractor": "a b c"}).split())

    def sizes(self) -> Mapping[Split, int]:
        """Examples per split: exact."""
        return self.items.by_split()

    def splits(self, seed: int) -> Splits:
        """The examples of job seed `seed`; raise UserError when a split has too few facts for its items."""
        facts = self._split_facts(seed)
        return Splits(
            supervise=self._items("supervise", facts["supervise"], seed),
            transfer=self._items("transfer", facts["transfer"], seed),
            validation=self._items("validation", facts["validation"], seed),
            test=self._items("test", facts["test"]),
            notices=(),
        )

    def _split_facts(self, seed: int) -> dict[Split, list[int]]:
        """Facts (person x relations + relation) of each split."""
        own, total = self.facts, self.world.people * self.world.relations
        order = permutation(total, "test facts", self.seed).tolist()
        test, rest = order[: own.test], order[own.test :]
        rest = [rest[i] for i in permutation(len(rest), "facts", self.seed, seed)]
        ends = list(accumulate([own.supervise, own.transfer, own.validation]))
        return {
            "supervise": rest[: ends[0]],
            "transfer": rest[ends[0] : ends[1]],
            "validation": rest[ends[1] : ends[2]],
            "test": test,
        }

    def _items(self, split: Split, facts: Sequence[int], *key: int) -> tuple[Example, ...]:
        """Distinct items, labels alternating 0 and 1, facts drawn by how often their person is mentioned."""
        if len(facts) < 2:
            raise UserError(f"task.facts.{split} must be 2 or more: a claim and its distractor are different facts")
        wanted, found = self.sizes()[split], dict[str, Example]()
        frequency = self.world.truth.frequency.tolist()
        weights = list(accumulate(frequency[fact // self.world.relations] for fact in facts))
        for u in self._draws(wanted, split, *key):
            if len(found) == wanted:
                break
            place = min(bisect_right(weights, u[0] * weights[-1]), len(facts) - 1)
            distractor = facts[(place + 1 + int(u[1] * (len(facts) - 1))) % len(facts)]
            self._add(found, facts[place], distractor, u[2])
        if len(found) < wanted:
            raise UserError(
                f"task {self.name}: its {len(facts)} {split} facts give {len(found)} different items, half of them "
                f"true, not task.items.{split}={wanted}: ask for fewer, or put {{distractor}} into task.template"
            )
        return tuple(found.values())

    def _draws(self, wanted: int, *key: str | int) -> Iterator[list[float]]:
        for number in range(_ROUNDS):
            yield from uniforms(3 * wanted, "items", self.seed, *key, number).reshape(-1, 3).tolist()

    def _add(self, found: dict[str, Example], fact: int, distractor: int, uniform: float) -> None:
        """Add one more item by its text, unless it is there; `uniform` picks the value of a false claim."""
        label, truth = len(found) % 2, self.world.truth
        person, relation = divmod(fact, self.world.relations)
        right = int(truth.fact[person, relation])
        value = right if label else (right + 1 + int(uniform * (self.world.values - 1))) % self.world.values
        claim = self.world.claim(person, relation, value)
        text = self._parsed.fill({"claim": claim, "distractor": self._true_claim(distractor)})
        if text not in found:
            difficulty = -log(float(truth.frequency[person]))
            found[text] = choice([text], label=label, group=claim.rsplit(" ", 1)[0], difficulty=difficulty)

    def _true_claim(self, fact: int) -> str:
        person, relation = divmod(fact, self.world.relations)
        return self.world.claim(person, relation, int(self.world.truth.fact[person, relation]))

    @cached_property
    def _parsed(self) -> Template:
        return Template.parse(self.template)
