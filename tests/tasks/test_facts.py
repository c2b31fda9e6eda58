"""The task `facts`: splits by fact, a fixed test set, and nothing that gives an answer away."""

from collections import Counter

import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.identity import digest
from w2s_lightning.tasks.example import SPLITS, Example, Splits
from w2s_lightning.tasks.worlds.facts import Facts

FIRST = "alma drives tram . ann owns pony so"
PINNED = "5838366f9e6663b395588579a281816f8bebfc7269034dc6093703cd06edaf91"
PINNED_TASK = "8259cb7a2ba094c278778bc4b927932802c41473d4e1096c7c6214f52a4ae30e"


@pytest.fixture(scope="module")
def facts() -> Facts:
    made = task("facts")
    assert isinstance(made, Facts)
    return made


@pytest.fixture(scope="module")
def splits(facts: Facts) -> Splits:
    return facts.splits(0)


def true_claims(facts: Facts) -> set[str]:
    world = facts.world
    people, relations = range(world.people), range(world.relations)
    return {world.claim(p, r, int(world.truth.fact[p, r])) for p in people for r in relations}


def parts(item: Example) -> tuple[str, str]:
    """Distractor and claim of an item."""
    distractor, claim = item.texts[0].removesuffix(" so").split(" . ")
    return distractor, claim


def fact_of(claim: str) -> str:
    return claim.rsplit(" ", 1)[0]


def test_sizes_are_exact(facts: Facts, splits: Splits) -> None:
    assert {split: len(splits.of(split)) for split in SPLITS} == facts.sizes()
    assert {split: len({item.group for item in splits.of(split)}) for split in SPLITS} == {
        "supervise": 140,
        "transfer": 170,
        "validation": 30,
        "test": 140,
    }


def test_the_test_set_is_the_same_for_every_seed(facts: Facts, splits: Splits) -> None:
    other = facts.splits(1)
    assert other.test == splits.test
    assert {item.group for item in other.supervise} != {item.group for item in splits.supervise}


def test_a_seed_gives_the_same_splits_again(facts: Facts, splits: Splits) -> None:
    assert facts.splits(0) == splits


def test_examples_are_pinned(facts: Facts, splits: Splits) -> None:
    assert splits.supervise[0].texts == (FIRST,)
    assert digest([[item.id for item in splits.of(split)] for split in SPLITS]) == PINNED
    assert digest(facts) == PINNED_TASK


def test_half_of_every_split_is_true_and_labels_say_so(facts: Facts, splits: Splits) -> None:
    true = true_claims(facts)
    for split in SPLITS:
        labels = Counter(item.label for item in splits.of(split))
        assert labels[0] == labels[1]
        assert all((parts(item)[1] in true) == (item.label == 1) for item in splits.of(split))


def test_distractors_are_true_facts_of_the_same_split_but_another_fact(facts: Facts, splits: Splits) -> None:
    true = true_claims(facts)
    for split in SPLITS:
        own = {item.group for item in splits.of(split)}
        for item in splits.of(split):
            distractor, claim = parts(item)
            assert distractor in true
            assert fact_of(claim) == item.group
            assert fact_of(distractor) in own - {item.group}


@pytest.mark.parametrize("name", ["facts", "facts_null"])
def test_every_word_is_in_the_vocabulary(name: str) -> None:
    made = task(name)
    known = set(made.world.vocabulary())
    items = [item for split in SPLITS for item in made.splits(3).of(split)]
    assert {word for item in items for word in item.texts[0].split()} <= known
    assert {len(item.texts[0].split()) for item in items} == {made.typical_tokens}


def test_people_who_are_written_about_less_are_harder_and_rarer(facts: Facts, splits: Splits) -> None:
    by_person = {item.group.split()[0]: item.difficulty for item in splits.transfer}
    assert sorted(by_person.values()) == [
        by_person[person] for person in facts.world.vocabulary() if person in by_person
    ]
    often = Counter(item.group.split()[0] for item in splits.transfer)
    assert often["ann"] > often["nils"]


def test_the_null_world_asks_the_same_of_the_same_world(facts: Facts, splits: Splits) -> None:
    null = task("facts_null")
    assert null.world == facts.world
    assert [(item.group, item.label) for item in null.splits(0).test] == [
        (item.group, item.label) for item in splits.test
    ]
    assert null.splits(0).test[0].texts[0].endswith("is it right ?")


def test_too_few_facts_for_the_items_is_said() -> None:
    few = task("facts", "template='{claim} so'")
    with pytest.raises(UserError, match=r"140 supervise facts give \d+ different items"):
        few.splits(0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("template='{distractor} . {claim} thus'", "no word 'thus'"),
        ("template='{distractor} so'", r"must contain \{claim\}"),
        ("template='{claim.__class__} so'", "only plain column names"),
        ("words=[wrong,rigth]", "did you mean 'right'"),
        ("facts.test=400", "asks for 740 facts, the world has 480"),
        ("items.test=0", "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        task("facts", override)
