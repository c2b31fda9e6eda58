"""maj@n and pass@n on `test`: how far a vote of a model's samples comes, and an oracle that picks among them.

Every row draws the same number of samples (`task.test_samples`), so floor, student and ceiling are compared as voters
too. Figures are expected over all subsets of n of a question's samples (`metrics.vote`).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from w2s_lightning.metrics.pgr import PGR
from w2s_lightning.metrics.rates import JobScores, rates
from w2s_lightning.metrics.vote import majority_of, pass_of, powers_of_two
from w2s_lightning.recipes.setting import Row
from w2s_lightning.results.stored import read_answers
from w2s_lightning.stages import Evaluate
from w2s_lightning.store import Store

Drawn = Mapping[tuple[str, str], tuple[Sequence[str | None], Sequence[bool]]]
"""Answers and whether they are right, of all samples, by question and group."""


def votes_of(rows: Sequence[Row], store: Store, pgr: Callable[[JobScores, str], PGR]) -> dict[str, Any] | None:
    """What `result.json` says of the rows' samples on `test`, None without any; `pgr` is a row's PGR from scores."""
    drawn = {row.name: _read(store, row.votes) for row in rows if row.votes is not None}
    if not drawn:
        return None
    measured = [row.name for row in rows if row.name in drawn and row.role not in ("untuned", "floor", "ceiling")]
    most = min(len(right) for questions in drawn.values() for _, right in questions.values())

    def figures(credit: Callable[[Sequence[str | None], Sequence[bool]], float]) -> dict[str, Any]:
        values = {name: [credit(*one) for one in questions.values()] for name, questions in drawn.items()}
        groups = [group for _, group in next(iter(drawn.values()))]
        scores = rates({name: np.array(column) for name, column in values.items()}, groups)
        return {
            "accuracy": {name: vars(scores.interval(name)) for name in drawn},
            "pgr": {name: vars(pgr(scores, name)) for name in measured},
        }

    curve = [
        {
            "n": n,
            "majority": figures(partial(majority_of, n=n)),
            "pass": figures(partial(_passed, n=n)),
        }
        for n in powers_of_two(most)
    ]
    return {"num_samples": most, "curve": curve}


def _passed(_: Sequence[str | None], right: Sequence[bool], n: int) -> float:
    return pass_of(right, n)


def _read(store: Store, stage: Evaluate) -> Drawn:
    """Questions in the order of their ids: the same for every row."""
    samples = read_answers(store, stage)
    found = defaultdict[tuple[str, str], tuple[list[str | None], list[bool]]](lambda: ([], []))
    questions = zip(samples.ids, samples.groups, strict=True)
    for question, answer, right in zip(questions, samples.prediction, samples.correct > 0, strict=True):
        found[question][0].append(answer)
        found[question][1].append(right)
    return dict(found)
