"""A preference job's models as verifiers: how often the best-scored of n samples is right, beside their vote.

Every row of the job picks from the same samples (`task.best_of`), with the same resamples of questions. Figures are
expected over all subsets of n of a question's samples (`metrics.best_of`), for the vote as for the pick.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.metrics.best_of import best_of, majority_of, pass_of, powers_of_two
from w2s_lightning.metrics.bootstrap import JobScores, resample_job
from w2s_lightning.metrics.pgr import PGR
from w2s_lightning.recipes.setting import Row
from w2s_lightning.result.benchmarked import NO_FLOOR, refuse_shared
from w2s_lightning.schema import Benchmark
from w2s_lightning.stages import Evaluate
from w2s_lightning.store import Store
from w2s_lightning.tasks.examples import Splits
from w2s_lightning.tasks.preferences import trained_on

MAJORITY, PASS = "maj@n", "pass@n"  # beside the rows, whose names have no such sign in them


def check_best_of(evaluate: Evaluate | None, splits: Splits, settings: Benchmark) -> tuple[str, ...]:
    """What has to be said of the samples; raise UserError where they answer questions that the job trains on."""
    if evaluate is None:
        return ()
    attempts = evaluate.task.attempts()
    shared = shared_questions(splits, attempts.questions.items())
    whose = f"task.best_of={settings.best_of}: {shared} of its {len(attempts.questions)} questions stand"
    refuse_shared(shared, settings, whose, "samples of others")
    return tuple(attempts.notices)


def shared_questions(splits: Splits, questions: Iterable[tuple[str, str]]) -> int:
    """How many questions (with their groups) stand in the training splits, or belong to a group that does."""
    known = trained_on(splits)
    return sum(not known.isdisjoint(names) for names in questions)


@dataclass(frozen=True, eq=False)
class Sampled:
    """One question's K samples: `answers` and `right` [K], and each verifier's `scores` [K]."""

    question: str
    group: str
    answers: Sequence[str | None]
    right: Sequence[bool]
    scores: Mapping[str, Sequence[float]]

    def credit(self, n: int) -> dict[str, float]:
        """What each verifier's pick among n samples is worth, and their vote, and an oracle's pick."""
        picked = {name: best_of(scores, self.right, n) for name, scores in self.scores.items()}
        return {**picked, MAJORITY: majority_of(self.answers, self.right, n), PASS: pass_of(self.right, n)}


def by_question(
    names: Sequence[tuple[str, str]],
    answers: Sequence[str | None],
    right: Sequence[bool],
    scores: Mapping[str, Sequence[float]],
) -> list[Sampled]:
    """Samples in any order by the question and group in `names` [n], with `scores` [n] by verifier."""
    places = defaultdict[tuple[str, str], list[int]](list)
    for place, name in enumerate(names):
        places[name].append(place)
    return [
        Sampled(
            question,
            group,
            [answers[place] for place in own],
            [right[place] for place in own],
            {name: [values[place] for place in own] for name, values in scores.items()},
        )
        for (question, group), own in places.items()
    ]


def curve(
    questions: Sequence[Sampled], about: Callable[[JobScores], Mapping[str, Any]] = lambda _: {}
) -> list[dict[str, Any]]:
    """For n = 1, 2, 4, ... up to what every question has: `accuracy` of every verifier, `majority` and `pass`, with
    intervals over questions; `about` adds to each what it makes of the scores."""
    most = min(len(one.right) for one in questions)
    found = []
    for n in powers_of_two(most):
        credits = [one.credit(n) for one in questions]
        columns = {name: np.array([credit[name] for credit in credits]) for name in credits[0]}
        scores = resample_job(columns, [one.group for one in questions])
        intervals = {name: vars(scores.interval(name)) for name in columns}
        majority, passed = intervals.pop(MAJORITY), intervals.pop(PASS)
        found.append({"n": n, "accuracy": intervals, "majority": majority, "pass": passed, **about(scores)})
    return found


def best_of_n(
    rows: Sequence[Row], splits: Splits, store: Store, pgr: Callable[[JobScores, str], PGR]
) -> dict[str, Any] | None:
    """What `result.json` says of the samples, None without any; `pgr` is a row's PGR from the scores at one n."""
    judged = {row.name: row.best_of for row in rows if row.best_of is not None}
    if not judged:
        return None
    tables = {name: _table(store, stage) for name, stage in judged.items()}
    questions = _questions(tables)
    measured = [row.name for row in rows if row.name in judged and row.role not in ("untuned", "floor", "ceiling")]
    has_floor = any(row.role == "floor" and row.name in judged for row in rows)

    def about(scores: JobScores) -> dict[str, Any]:
        return {
            "over_majority": {name: vars(scores.difference(name, MAJORITY)) for name in judged},
            "pgr": {name: vars(pgr(scores, name) if has_floor else PGR.undefined(NO_FLOOR)) for name in measured},
        }

    return {
        "place": next(iter(judged.values())).task.place,
        "num_questions": len(questions),
        "num_samples": min(len(one.right) for one in questions),
        "num_rows": sum(len(one.right) for one in questions),
        "shared_prompts": shared_questions(splits, [(one.question, one.group) for one in questions]),
        "curve": curve(questions, about),
    }


def _questions(tables: Mapping[str, pa.Table]) -> list[Sampled]:
    """The samples with every row's scores; all tables hold them in the order of the file."""
    first = next(iter(tables.values()))
    questions, groups, answers, right = (
        first.column(name).to_pylist() for name in ("question_id", "group_id", "prediction", "correct")
    )
    scores = {name: table.column("reward").to_pylist() for name, table in tables.items()}
    return by_question(list(zip(questions, groups, strict=True)), answers, right, scores)


def _table(store: Store, stage: Evaluate) -> pa.Table:
    return pq.read_table(store.open(stage) / "predictions.parquet")
