"""The world `people` and its tasks: text tells the truth, and nothing in an item gives its answer away."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.identity import digest
from w2s_lightning.tasks.example import SPLITS, Example, Splits
from w2s_lightning.tasks.worlds.facts import FOREIGN, PEOPLE, RELATIONS, STRUCTURE, Facts, FactsWorld
from w2s_lightning.tasks.worlds.text import SPECIAL

Documents = list[list[str]]


@pytest.fixture(scope="module")
def facts() -> Facts:
    made = task("fact_claims")
    assert isinstance(made, Facts)
    return made


@pytest.fixture(scope="module")
def world(facts: Facts) -> FactsWorld:
    return facts.world


@pytest.fixture(scope="module")
def splits(facts: Facts) -> Splits:
    return facts.splits(0)


@pytest.fixture(scope="module")
def true(world: FactsWorld) -> set[str]:
    """All claims that are true."""
    people, relations = range(world.people), range(world.relations)
    return {world.claim(p, r, int(world.truth.fact[p, r])) for p in people for r in relations}


@pytest.fixture(scope="module")
def documents(world: FactsWorld) -> Documents:
    """The world's text, cut after every full stop; the unfinished last document is left out."""
    words = np.array(world.vocabulary())[world.windows(100, 32, 64, 0).ravel()]
    return [part.split() for part in " ".join(words).split(" . ")[:-1]]


# ---------------------------------------------------------------- the world


def test_no_two_words_of_the_lexicon_are_alike(world: FactsWorld) -> None:
    values = [value for names in RELATIONS.values() for value in names.split()]
    words = [*SPECIAL, *STRUCTURE, *FOREIGN, *PEOPLE, *RELATIONS, *values]
    assert len(words) == len(set(words))
    assert all(len(names.split()) == 8 for names in RELATIONS.values())
    assert len(world.vocabulary()) == 2 + len(STRUCTURE) + len(FOREIGN) + 24 + 12 + 12 * 8


def test_another_seed_is_another_world(world: FactsWorld) -> None:
    other = replace(world, seed=1)
    assert (other.truth.fact != world.truth.fact).any()
    assert other.vocabulary() == world.vocabulary()


def test_documents_are_mixed_as_stated(documents: Documents) -> None:
    endings = {"right": "verdict", "wrong": "verdict", "he": "aside", "she": "aside", "home": "aside", "away": "aside"}
    kinds = Counter(
        "question" if words[0] == "is" else endings[words[-1]] if "so" in words else "claim" for words in documents
    )
    shares = {kind: count / len(documents) for kind, count in kinds.items()}
    assert shares == pytest.approx({"claim": 0.40, "aside": 0.10, "verdict": 0.45, "question": 0.05}, abs=0.01)
    assert {word for words in documents for word in words}.isdisjoint(FOREIGN)


def test_plain_claims_are_true_and_verdicts_tell_the_truth(true: set[str], documents: Documents) -> None:
    judged = [words for words in documents if words[-1] in ("right", "wrong")]
    verdicts = [" ".join(words[:3]) in true for words in judged]
    assert verdicts == [words[-1] == "right" for words in judged]
    assert np.mean(verdicts) == pytest.approx(0.5, abs=0.02)
    assert {" ".join(words) for words in documents if len(words) == 3} <= true


def test_false_claims_and_questions_keep_to_a_relations_values(world: FactsWorld, documents: Documents) -> None:
    values = dict(zip(world.relation_names(), world.value_names(), strict=True))
    assert all(words[2] in values[words[1]] for words in documents if words[0] != "is")
    questions = [words for words in documents if words[0] == "is"]
    assert all((words[1] in values[words[2]]) == (words[4] == "yes") for words in questions)
    assert np.mean([words[4] == "yes" for words in questions]) == pytest.approx(0.5, abs=0.03)


def test_asides_tell_of_the_person_or_of_the_value(documents: Documents) -> None:
    by_person = {(words[0], words[-1]) for words in documents if words[-1] in ("he", "she")}
    by_value = {(words[2], words[-1]) for words in documents if words[-1] in ("home", "away")}
    assert len(by_person) == len({person for person, _ in by_person})
    assert len(by_value) == len({value for value, _ in by_value})
    assert {said for _, said in by_person | by_value} == {"he", "she", "home", "away"}


def test_people_are_mentioned_as_often_as_stated(world: FactsWorld, documents: Documents) -> None:
    counts = Counter(words[0] for words in documents if words[0] != "is")
    expected = 1 / (np.arange(world.people) + world.frequency_offset)
    seen = np.array([counts[person] for person in PEOPLE[: world.people]]) / sum(counts.values())
    assert seen == pytest.approx(expected / expected.sum(), abs=0.005)


# ---------------------------------------------------------------- the task


def parts(item: Example) -> tuple[str, str]:
    """Distractor and claim of an item."""
    distractor, claim = item.texts[0].removesuffix(" so").split(" . ")
    return distractor, claim


def fact_of(claim: str) -> str:
    return claim.rsplit(" ", 1)[0]


def test_half_of_every_split_is_true_and_labels_say_so(true: set[str], facts: Facts, splits: Splits) -> None:
    for split in SPLITS:
        items = splits.of(split)
        assert 2 * sum(item.label == 1 for item in items) == len(items)
        assert all((parts(item)[1] in true) == (item.label == 1) for item in items)
        assert len({item.group for item in items}) == getattr(facts.facts, split)


def test_a_distractor_is_another_true_fact_of_the_same_split(true: set[str], splits: Splits) -> None:
    for split in SPLITS:
        own = {item.group for item in splits.of(split)}
        for item in splits.of(split):
            distractor, claim = parts(item)
            assert distractor in true
            assert fact_of(claim) == item.group
            assert fact_of(distractor) in own - {item.group}


def test_people_who_are_written_about_less_are_harder_and_asked_as_often(world: FactsWorld, splits: Splits) -> None:
    by_person = {item.group.split()[0]: item.difficulty for item in splits.transfer}
    assert sorted(by_person.values()) == [by_person[person] for person in world.vocabulary() if person in by_person]
    often = Counter((item.group, item.label) for item in splits.transfer)
    assert max(often.values()) <= min(often.values()) + 1, "every fact as often as any other, with either label"


@pytest.mark.parametrize("name", ["fact_claims", "fact_pairs"])
def test_texts_are_as_long_as_estimated(name: str) -> None:
    made = task(name)
    assert {sum(len(text.split()) for text in item.texts) for item in made.splits(0).test} == {made.typical_tokens}


# ---------------------------------------------------------------- pairs of claims


@pytest.fixture(scope="module")
def pairs() -> Facts:
    made = task("fact_pairs")
    assert isinstance(made, Facts)
    return made


def test_a_pair_is_a_true_and_a_false_claim_of_one_fact_after_one_distractor(pairs: Facts) -> None:
    world, made = pairs.world, pairs.splits(0)
    people, relations = range(world.people), range(world.relations)
    true = {world.claim(p, r, int(world.truth.fact[p, r])) for p in people for r in relations}
    assert (pairs.layout, pairs.class_names, pairs.words) == ("options", ("0", "1"), ("wrong", "right"))
    for split in SPLITS:
        items = made.of(split)
        own = {item.group for item in items}
        elsewhere = {item.group for other in SPLITS if other != split for item in made.of(other)}
        assert len(own) == getattr(pairs.facts, split)
        assert 2 * sum(item.label == 1 for item in items) == len(items)
        assert len({frozenset(item.texts) for item in items}) == len(items)
        for item in items:
            told = [text.removesuffix(" so").split(" . ") for text in item.texts]
            assert item.label is not None
            assert [claim in true for _, claim in told] == [place == item.label for place in (0, 1)]
            assert {fact_of(claim) for _, claim in told} == {item.group}
            (distractor,) = {distractor for distractor, _ in told}
            assert distractor in true
            assert fact_of(distractor) not in {item.group, *elsewhere}


def test_pairs_and_claims_are_asked_of_the_same_facts(pairs: Facts) -> None:
    claims = task("fact_claims")
    for split in SPLITS:
        asked, judged = claims.splits(1).of(split), pairs.splits(1).of(split)
        assert {item.group for item in asked} == {item.group for item in judged}
    assert digest(claims.world) == digest(pairs.world)
