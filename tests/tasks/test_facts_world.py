"""The world `facts`: its words, its truth and the text that models are pretrained on."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.worlds.facts import FOREIGN, PEOPLE, RELATIONS, STRUCTURE, DocumentMix, FactsWorld
from w2s_lightning.tasks.worlds.text import SPECIAL

PINNED = "aecc5d70988a990c3bf268963ad367ff8e1a48f0e1beeaaa29845c5ba3689649"


@pytest.fixture(scope="module")
def world() -> FactsWorld:
    made = task("facts").world
    assert isinstance(made, FactsWorld)
    return made


@pytest.fixture(scope="module")
def documents(world: FactsWorld) -> list[list[str]]:
    """The world's text, cut after every full stop; the unfinished last document is left out."""
    words = np.array(world.vocabulary())[world.windows(100, 32, 64, 0).ravel()]
    return [part.split() for part in " ".join(words).split(" . ")[:-1]]


def test_no_two_words_of_the_lexicon_are_alike() -> None:
    values = [value for names in RELATIONS.values() for value in names.split()]
    words = [*SPECIAL, *STRUCTURE, *FOREIGN, *PEOPLE, *RELATIONS, *values]
    assert len(words) == len(set(words))
    assert all(len(names.split()) == 8 for names in RELATIONS.values())


def test_vocabulary_starts_with_padding(world: FactsWorld) -> None:
    assert world.vocabulary()[:2] == ["<pad>", "<unk>"]
    assert len(world.vocabulary()) == 2 + len(STRUCTURE) + len(FOREIGN) + 40 + 12 + 12 * 8


def test_windows_have_the_shape_asked_for(world: FactsWorld) -> None:
    windows = world.windows(7, 3, 11, 0)
    assert windows.shape == (7, 3, 11)
    assert windows.dtype == np.int16
    assert world.windows(0, 32, 64, 0).shape == (0, 32, 64)


def test_windows_are_pinned(world: FactsWorld) -> None:
    assert hashlib.sha256(world.windows(50, 32, 64, 0).tobytes()).hexdigest() == PINNED
    assert (world.windows(2, 2, 64, 0) != world.windows(2, 2, 64, 1)).any()


def test_another_seed_is_another_world(world: FactsWorld) -> None:
    other = replace(world, seed=1)
    assert (other.truth.fact != world.truth.fact).any()
    assert other.vocabulary() == world.vocabulary()


def test_documents_are_mixed_as_stated(documents: list[list[str]]) -> None:
    endings = {"right": "verdict", "wrong": "verdict", "he": "aside", "she": "aside", "home": "aside", "away": "aside"}
    kinds = Counter(
        "question" if words[0] == "is" else endings[words[-1]] if "so" in words else "claim" for words in documents
    )
    shares = {kind: count / len(documents) for kind, count in kinds.items()}
    assert shares == pytest.approx({"claim": 0.35, "aside": 0.2, "verdict": 0.35, "question": 0.1}, abs=0.01)


def test_plain_claims_are_true_and_verdicts_tell_the_truth(world: FactsWorld, documents: list[list[str]]) -> None:
    true = {world.claim(p, r, int(world.truth.fact[p, r])) for p in range(world.people) for r in range(world.relations)}
    verdicts = [" ".join(words[:3]) in true for words in documents if words[-1] in ("right", "wrong")]
    told = [words[-1] == "right" for words in documents if words[-1] in ("right", "wrong")]
    assert verdicts == told
    assert np.mean(verdicts) == pytest.approx(0.5, abs=0.02)
    assert {" ".join(words) for words in documents if len(words) == 3} <= true


def test_a_false_claim_carries_another_value_of_its_relation(world: FactsWorld, documents: list[list[str]]) -> None:
    values = dict(zip(world.relation_names(), world.value_names(), strict=True))
    claims = [words for words in documents if words[0] != "is"]
    assert all(words[2] in values[words[1]] for words in claims)


def test_asides_tell_of_the_person_or_of_the_value(documents: list[list[str]]) -> None:
    by_person = {(words[0], words[-1]) for words in documents if words[-1] in ("he", "she")}
    by_value = {(words[2], words[-1]) for words in documents if words[-1] in ("home", "away")}
    assert len(by_person) == len({person for person, _ in by_person})
    assert len(by_value) == len({value for value, _ in by_value})
    assert {said for _, said in by_person | by_value} == {"he", "she", "home", "away"}


def test_questions_ask_whether_a_value_belongs_to_a_relation(world: FactsWorld, documents: list[list[str]]) -> None:
    values = dict(zip(world.relation_names(), world.value_names(), strict=True))
    questions = [words for words in documents if words[0] == "is"]
    assert all((words[1] in values[words[2]]) == (words[4] == "yes") for words in questions)
    assert np.mean([words[4] == "yes" for words in questions]) == pytest.approx(0.5, abs=0.03)


def test_people_are_mentioned_as_often_as_stated(world: FactsWorld, documents: list[list[str]]) -> None:
    counts = Counter(words[0] for words in documents if words[0] != "is")
    expected = 1 / (np.arange(world.people) + world.frequency_offset)
    seen = np.array([counts[person] for person in PEOPLE[: world.people]]) / sum(counts.values())
    assert seen == pytest.approx(expected / expected.sum(), abs=0.005)


def test_foreign_words_are_never_written(documents: list[list[str]]) -> None:
    assert {word for words in documents for word in words}.isdisjoint(FOREIGN)


def test_a_mix_must_add_up() -> None:
    with pytest.raises(UserError, match="must add up to 1"):
        DocumentMix(claim=0.5, aside=0.2, verdict=0.2, question=0.2)


def test_sizes_outside_the_lexicon_are_refused() -> None:
    with pytest.raises(UserError, match="people"):
        task("facts", "world.people=1000")
