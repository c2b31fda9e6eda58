"""Verdicts on claims: what is decided of a quantity, all claims of a file together, files that are not well formed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from tests.results.test_groups import GROUPS, N, answers
from w2s_lightning.errors import UserError
from w2s_lightning.results import claims as room
from w2s_lightning.results.claim_file import Claim, read_claims
from w2s_lightning.results.claims import Results, decide, key_of
from w2s_lightning.results.stored import Answers

SEEDS = (0, 1, 2, 3, 4)
ONE = """- {id: one, claim: It is., jobs: [], seeds: [0, 1, 2, 3, 4], quantity: {of: pgr, row: student},
   says: above, threshold: 0}"""


class Table(Results):
    """Results whose answers are right at given rates, by row; `wrong_alike` of the student's errors are its floor's."""

    def __init__(self, rates: Mapping[str, Mapping[str, float]]) -> None:
        jobs = {
            (key_of([word] if word else []), seed): {
                "metric": "accuracy",
                "supervisor": "floor",
                "rows": [{"name": row, "evaluate": f"{word}/{row}/{seed}/{rate}"} for row, rate in rows.items()],
            }
            for word, rows in rates.items()
            for seed in SEEDS
        }
        super().__init__(jobs, Path("nowhere"))
        self._read = made


def made(digest: str) -> Answers:
    _, row, seed, rate = digest.split("/")
    draw = np.random.default_rng([int(seed), *map(ord, row)]).random(N)
    correct = (draw < float(rate)).astype(float)
    gold = np.arange(N) % 2
    return answers(correct, np.where(correct == 1, gold, 1 - gold).astype(float))


ROWS = {"floor": 0.6, "student": 0.8, "ceiling": 0.97}


def claim(of: Mapping[str, Any], says: str, threshold: float = 0.0, **more: Any) -> Claim:
    words = {"id": "id", "claim": "It is.", "jobs": (), "seeds": SEEDS, "quantity": of, "says": says, **more}
    return TypeAdapter(Claim).validate_python({**words, "threshold": threshold})


PGR = {"of": "pgr", "row": "student"}
GAIN = {"of": "difference", "row": "student", "minus": "floor"}
LIKE = {"of": "against", "row": "student", "against": ("x=1",)}


@pytest.mark.parametrize(
    ("asked", "verdict", "as_claimed"),
    [
        (claim(PGR, "above"), "above", "yes"),
        (claim(PGR, "below", 0.95), "below", "yes"),
        (claim(PGR, "above", 0.95), "below", "no"),
        (claim(PGR, "above", 0.54), "undecided", "-"),
        (claim(GAIN, "below"), "above", "no"),
        (claim(LIKE, "equivalent", margin=0.1), "equivalent", "yes"),
        (claim(LIKE, "equivalent", margin=0.001), "undecided", "-"),
        (claim(LIKE, "above", -0.005), "undecided", "-"),  # not shown to be above: neither held nor refuted
        (claim(GAIN, "equivalent", margin=0.05), "above", "no"),
        (claim({"of": "departure", "row": "student", "chance": 0.5}, "above", 0.2), "above", "yes"),
        (claim({"of": "departure", "row": "even", "chance": 0.5}, "equivalent", margin=0.1), "equivalent", "yes"),
    ],
)
def test_a_verdict_says_what_the_interval_says(asked: Claim, verdict: str, as_claimed: str) -> None:
    table = Table({"": {**ROWS, "even": 0.5}, "x=1": {**ROWS, "student": 0.805}})
    (found,) = decide([asked], table)
    assert (found.verdict, found.as_claimed) == (verdict, as_claimed)
    assert found.low is not None
    assert found.value is not None
    assert found.low <= found.value
    assert len(found.per_seed) == 5


def test_claims_of_one_file_are_tested_together() -> None:
    """What one claim alone decides is undecided beside many: Holm multiplies its p-value by those not yet decided."""
    table = Table({"": ROWS})
    near = next(
        one
        for threshold in np.linspace(0.1, 0.25, 600)
        for one in [claim(GAIN, "above", float(threshold))]
        if 0.01 < (decide([one], table)[0].p or 0) < 0.04
    )
    undecided = [claim(GAIN, "above", decide([near], table)[0].value or 0.0) for _ in range(6)]
    assert decide([near], table)[0].verdict == "above"
    together = decide([near, *undecided], table)
    assert {one.verdict for one in together} == {"undecided"}
    assert together[0].p == pytest.approx(7 * (decide([near], table)[0].p or 0))


def test_one_that_waits_counts_among_the_tests_and_more_results_take_no_verdict_back() -> None:
    waits = claim(GAIN, "above", jobs=("x=2",))
    sure, waiting = decide([claim(PGR, "above"), waits], Table({"": ROWS}))
    assert (sure.verdict, waiting.verdict, waiting.p) == ("above", "waiting", None)
    alone = decide([claim(PGR, "above")], Table({"": ROWS}))[0]
    assert sure.p == pytest.approx(min(2 * (alone.p or 0), 1))


def test_imitation_is_agreement_where_the_supervisor_is_wrong() -> None:
    """A student that is right at random repeats a wrong supervisor (two options) as often as it is wrong itself."""
    table = Table({"": ROWS, "x=1": {**ROWS, "student": 0.5}})
    asked = claim({"of": "imitation", "row": "student", "against": ("x=1",)}, "below")
    (found,) = decide([asked], table)
    wrong = [(made(f"/floor/{seed}/0.6"), made(f"/student/{seed}/0.8"), made(f"/student/{seed}/0.5")) for seed in SEEDS]
    by_hand = [
        float(one.agrees(floor)[floor.correct == 0].mean() - other.agrees(floor)[floor.correct == 0].mean())
        for floor, one, other in wrong
    ]
    assert found.per_seed == pytest.approx(by_hand)
    assert found.verdict == "below"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ONE.replace("says: above", "rule: not_above"), "`rule: above | not_above` has become `says:"),
        (ONE.replace("says: above", "says: equivalent"), "needs a `margin`"),
        (ONE.replace("threshold: 0", "threshold: 0, margin: 0.1"), "needs a `margin`, and only that"),
        (ONE.replace("[0, 1, 2, 3, 4]", "[0, 1, 2, 3]"), "needs 5 different seeds"),
        (ONE.replace("[0, 1, 2, 3, 4]", "[0, 1, 2, 3, 3]"), "needs 5 different seeds"),
        (ONE.replace("threshold: 0", "threshold: 0, metric: f1"), "'accuracy' or 'auroc'"),
        (ONE.replace("says: above", "says: held"), "'above', 'below' or 'equivalent'"),
        (ONE.replace("threshold: 0", "threshold: .nan"), "finite"),
    ],
)
def test_a_claims_file_that_is_not_well_formed_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as refused:
        read_claims(file)
    assert words in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_projects_own_claims_are_well_formed() -> None:
    assert len(GROUPS) == N
    found = read_claims(Path(room.__file__).parents[2] / "docs" / "claims.yaml")
    assert len({one.id for one in found}) == len(found) > 5
