"""maj@n and pass@n on `test`, with PGR, where every row draws samples (`task.test_samples`)."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.composing import plan as planned
from tests.reasoning.conftest import gold_of
from tests.small_jobs import SMALL_ARITHMETIC, rows, run_job, table
from w2s_lightning.errors import UserError
from w2s_lightning.store import Store

JOB = ("paradigm=supervised", "task.test_samples=4", "generation.max_new_tokens=12")


@pytest.fixture(scope="module")
def voted(place: Path) -> dict[str, Any]:
    return run_job(place, *JOB, world=SMALL_ARITHMETIC)


@pytest.fixture(scope="module")
def drawn(store: Store, voted: dict[str, Any]) -> dict[str, dict[str, list[str | None]]]:
    """Answers of all samples by row and question, as the label stages stored them."""
    found = dict[str, dict[str, list[str | None]]]()
    for row in planned(*SMALL_ARITHMETIC, *JOB).rows:
        assert row.votes is not None
        for one in table(store, row.votes.answers, "solutions"):
            found.setdefault(row.name, {}).setdefault(one["example_id"], []).append(one["answer"])
    return found


def expected(answers: list[str | None], gold: str, n: int) -> tuple[float, float]:
    """The vote's and the best sample's chance to be right over all subsets of n, one by one; ties are shared."""
    votes, passed = [], []
    for chosen in combinations(answers, n):
        counts = Counter(chosen)
        first = [answer for answer, count in counts.items() if count == max(counts.values())]
        votes.append((gold in first) / len(first))
        passed.append(gold in chosen)
    return mean(votes), mean(passed)


def test_votes_are_those_of_the_stored_samples(voted: dict[str, Any], drawn: dict[str, Any]) -> None:
    gold = gold_of("test")
    assert set(drawn) == set(rows(voted))
    assert [part["n"] for part in voted["votes"]["curve"]] == [1, 2, 4]
    for part in voted["votes"]["curve"]:
        for name, questions in drawn.items():
            assert {len(answers) for answers in questions.values()} == {4}
            pairs = [expected(answers, gold[id], part["n"]) for id, answers in questions.items()]
            assert part["majority"]["accuracy"][name]["value"] == pytest.approx(mean(vote for vote, _ in pairs))
            assert part["pass"]["accuracy"][name]["value"] == pytest.approx(mean(best for _, best in pairs))
    cut_off = [answer for questions in drawn.values() for answers in questions.values() for answer in answers]
    assert None in cut_off, "some samples were cut off, and these have no answer"


def test_pgr_stands_on_votes_and_on_the_best_samples(voted: dict[str, Any]) -> None:
    for part in voted["votes"]["curve"]:
        for kind in (part["majority"], part["pass"]):
            assert set(kind["pgr"]) == {"student"}
            pgr, found = kind["pgr"]["student"], {name: one["value"] for name, one in kind["accuracy"].items()}
            if pgr["defined"]:
                share = (found["student"] - found["floor"]) / (found["ceiling"] - found["floor"])
                assert pgr["value"] == pytest.approx(share)
                assert pgr["low"] <= pgr["value"] <= pgr["high"]
            else:
                assert "ceiling" in pgr["reason"]
    assert "samples to each test problem (task.test_samples=4)" in voted["printed"]
    assert "maj@4" in voted["printed"]


def test_a_cut_off_solution_is_wrong_in_accuracy_too(store: Store, voted: dict[str, Any]) -> None:
    """As in votes: by its last number it may look right (accuracy and maj@1 would differ by definition)."""
    looked_right = 0
    for row in planned(*SMALL_ARITHMETIC, *JOB).rows:
        judged = table(store, row.evaluate, "predictions")
        cut = [one for one in judged if one["finish"] == "length"]
        assert {(one["prediction"], one["correct"], one["strict"]) for one in cut} <= {(None, False, False)}
        assert rows(voted)[row.name]["truncated_share"] == len(cut) / len(judged)
        key = row.evaluate.task.key
        looked_right += sum(key.equal(one["gold"], key.parse(one["solution"])) for one in cut)
        for own in (row.evaluate.answers, row.votes.answers):
            ends = {(one["finish"] == "length", one["answer"] is None) for one in table(store, own, "solutions")}
            assert (True, False) not in ends
    assert looked_right > 0, "the case does occur"


def test_samples_on_test_change_no_other_figure(voted: dict[str, Any], place: Path) -> None:
    plain = run_job(place, JOB[0], JOB[2], world=SMALL_ARITHMETIC)
    assert plain["votes"] is None
    assert all(stage["cached"] for stage in plain["stages"])
    for name, row in rows(plain).items():
        assert row == {key: value for key, value in rows(voted)[name].items() if key != "votes"}
    assert plain["pgr"] == voted["pgr"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([*SMALL_ARITHMETIC, *JOB, "task.test_samples=1"], "task.test_samples=1 at temperature=1 gives no vote: use"),
        ([*SMALL_ARITHMETIC, *JOB, "generation.temperature=0"], "task.test_samples=4 at temperature=0 gives no vote"),
        (["+task.test_samples=4"], "task.test_samples is for reasoning tasks, and fact_pairs is none"),
        ([*SMALL_ARITHMETIC, "task.test_samples=0"], "test_samples=0"),
    ],
)
def test_a_vote_needs_several_samples(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        planned(*overrides)
