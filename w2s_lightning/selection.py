"""Targets made from targets, by the rule that a `select` stage names: of labels, of worked solutions, pairs of these.

Every rule is a pure, seeded function without torch. Its positional parameters are what it selects from, its
keyword-only ones are its options, and it takes `seed` exactly when it draws: draws go by example id, so that the order
of questions decides nothing. No rule sees a gold label but those named `oracle_*`: what is made with them is marked as
a cheat.

The rules for solutions are those of weak-to-strong reasoning (Yang et al. 2024, arXiv 2407.13647, and its public code,
file `src/construct_training_data.py`). Answers are compared as canonical text, None being "no answer".
"""

import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.prior_shift import shifted_to
from w2s_lightning.tasks.draws import permutation
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.final_answer import equations

Floats = NDArray[np.float64]
Solutions = Sequence[Solution]
Learn = Literal["hybrid", "weak", "strong"]


@dataclass(frozen=True, eq=False)
class TargetTable:
    """What a student is trained on: `ids` [n], each once, `probs` [n, K] rows add up to 1, `weights` [n] >= 0."""

    ids: tuple[str, ...]
    probs: Floats
    weights: Floats

    def __post_init__(self) -> None:
        assert self.probs.ndim == 2, self.probs.shape
        assert len(self.ids) == len(self.probs) == len(self.weights) == len(set(self.ids))
        assert np.allclose(self.probs.sum(axis=1), 1, atol=1e-4), "target probabilities must add up to 1"
        assert (self.weights >= 0).all()

    @property
    def confidence(self) -> Floats:
        """The largest probability of each row, [n]."""
        largest: Floats = self.probs.max(axis=1, initial=0.0)
        return largest

    def take(self, rows: NDArray[np.int64]) -> "TargetTable":
        """The table of these rows, in their order."""
        return TargetTable(tuple(self.ids[row] for row in rows), self.probs[rows], self.weights[rows])


def confidence_filter(table: TargetTable, *, threshold: float) -> TargetTable:
    """Keep targets whose largest probability is at least `threshold` (K=2, 0.75: drop what lies within 0.25 to 0.75).

    Raises:
        UserError: when nothing passes.
    """
    kept = np.flatnonzero(table.confidence >= threshold)
    if not len(kept):
        most = f"the most confident one has {table.confidence.max():.3f}" if table.ids else "there are none"
        raise UserError(f"threshold={threshold} keeps 0 of {len(table.ids)} targets ({most}): use a lower threshold")
    return table.take(kept)


def confidence_weight(table: TargetTable) -> TargetTable:
    """Weight targets by their largest probability; weights are scaled to keep their mean."""
    weights = table.weights * table.confidence
    return replace(table, weights=weights * (table.weights.sum() / weights.sum()))


def balance(table: TargetTable, *, prior: Sequence[float]) -> TargetTable:
    """Shift each class's log-odds by one number for all rows, so that its mean probability is its `prior`.

    A supervisor ranks `transfer` better than it says where the classes meet, and the prior is known without gold.
    Raises UserError when no shift does it, since answers of 0 and 1 stay what they are.
    """
    return replace(table, probs=shifted_to(table.probs, prior))


def mean(*tables: TargetTable) -> TargetTable:
    """The mean of several supervisors' probabilities (arXiv 2410.04571), joined by id, in the first's order.

    Raises UserError for tables on different examples or classes.
    """
    first, joined = tables[0], [_aligned(table, tables[0]) for table in tables]
    share = 1 / len(tables)
    probs = sum(share * table.probs for table in joined)
    return TargetTable(first.ids, np.asarray(probs), np.asarray(sum(share * table.weights for table in joined)))


def permute(table: TargetTable, *, seed: int) -> TargetTable:
    """Deal the targets out among the examples at random: the control whose targets tell nothing."""
    order = permutation(len(table.ids), "permute", seed)
    return TargetTable(table.ids, table.probs[order], table.weights[order])


def most_confident(table: TargetTable, *, share: float) -> TargetTable:
    """Keep the most confident `share` of the targets, at least one, as hard labels: self-training's pseudo-labels.

    A share needs no calibrated probabilities, where a threshold on a barely trained head may keep nothing.
    """
    count = max(1, round(share * len(table.ids)))
    order = np.argsort(-table.confidence, kind="stable")[:count]
    kept = table.take(np.sort(order))
    return replace(kept, probs=np.eye(kept.probs.shape[1])[kept.probs.argmax(axis=1)])


def oracle_random_errors(answers: TargetTable, truth: TargetTable, *, seed: int) -> TargetTable:
    """A supervisor as often wrong and as sure of itself as `answers`, but wrong at random; `truth` is gold.

    Every answer is dealt to another example together with its distance from the gold class, round the circle of
    classes: what is left of the supervisor is its error rate and its confidence, not which examples it gets wrong.
    """
    truth = _aligned(truth, answers)
    gold, num_classes = truth.probs.argmax(axis=1), truth.probs.shape[1]
    order = permutation(len(answers.ids), "oracle_random_errors", seed)
    distance = (np.arange(num_classes)[None, :] - gold[:, None]) % num_classes
    dealt = answers.probs[order[:, None], (distance + gold[order][:, None]) % num_classes]
    return TargetTable(answers.ids, dealt, answers.weights[order])


def agreement(weak: Solutions, strong: Solutions, *, learn: Learn) -> Solutions:
    """Stage I: the questions whose two final answers are equal and not empty, as `learn` says who wrote them.

    Raises:
        UserError: when the models answered different questions, and when no question survives.
    """
    kept, partner = _agreed(weak, strong)
    return _learned(kept, partner, learn)


def random_questions(weak: Solutions, strong: Solutions, *, learn: Learn, seed: int) -> Solutions:
    """The control of `agreement`: as many questions as it keeps, at random from those that both sources answer."""
    kept, partner = _agreed(weak, strong)
    both = {one.id: one for one in weak if one.answer is not None and partner[one.id].answer is not None}
    ids = sorted(both)
    drawn = {ids[place] for place in permutation(len(ids), "random_subset", seed, ids)[: len(kept)]}
    return _learned([one for one in both.values() if one.id in drawn], partner, learn)


def _learned(weak: Solutions, partner: Mapping[str, Solution], learn: Learn) -> Solutions:
    """As the weak one, the strong one, or (hybrid) both in turn wrote it, question by question."""
    if learn == "weak":
        return tuple(weak)
    if learn == "strong":
        return tuple(partner[one.id] for one in weak)
    return tuple(solution for one in weak for solution in (one, partner[one.id]))


def _agreed(weak: Solutions, strong: Solutions) -> tuple[list[Solution], dict[str, Solution]]:
    """The weak solutions whose answer the strong ones (by question) have too."""
    partner = {solution.id: solution for solution in strong}
    if len(partner) != len(strong) or {solution.id for solution in weak} != set(partner) or len(weak) != len(strong):
        raise UserError("agreement: the two models must have answered the same questions, each once: label one split")
    kept = [one for one in weak if one.answer is not None and one.answer == partner[one.id].answer]
    if not kept:
        read = [sum(solution.answer is not None for solution in side) for side in (weak, strong)]
        raise UserError(
            f"agreement: 0 of {len(weak)} questions have the same answer from both ({read[0]} weak and "
            f"{read[1]} strong solutions hold an answer at all): give more demonstrations, or more room "
            "(generation.max_new_tokens), or a better weak model"
        )
    return kept, partner


def majority(answers: Sequence[str | None]) -> tuple[str | None, float]:
    """The most frequent answer and its share of all (self-consistency, arXiv 2203.11171); ties go to the first given.

    No answer (None) is counted like any other; without answers the result is (None, 0).
    """
    if not answers:
        return None, 0.0
    answer, votes = Counter(answers).most_common(1)[0]
    return answer, votes / len(answers)


def majority_vote(samples: Solutions, *, keep_from: float) -> Solutions:
    """Self-improvement: the samples that end in the majority's answer, where its share is at least `keep_from`; of
    those with equal lists of equations (arXiv 2308.01825; without any, of equal text) the first.

    Self-consistency as a filter (LMSI, arXiv 2210.11610). Raises UserError when no question is left.
    """
    kept, skipped = list[Solution](), Counter[str]()
    for drawn in _by_id(samples).values():
        answer, share = majority([sample.answer for sample in drawn])
        if answer is None or share < keep_from:
            skipped[UNSURE if share < keep_from else EMPTY] += 1
        else:
            kept += [sample for sample in drawn if sample.answer == answer]
    if not kept:
        raise UserError(f"majority_vote: no sample is left ({_spoken(skipped)}): lower keep_from={keep_from:g}")
    return _distinct(kept)


def oracle_gold_filter(samples: Solutions, gold: Solutions) -> Solutions:
    """The samples whose answer is the hidden gold one (STaR, arXiv 2203.14465), one for each list of equations."""
    right = {one.id: one.answer for one in gold}
    kept = [one for one in samples if one.answer is not None and one.answer == right[one.id]]
    if not kept:
        raise UserError(f"oracle_gold_filter: none of {len(samples)} solutions is right")
    return _distinct(kept)


def _distinct(solutions: Solutions) -> Solutions:
    first: dict[tuple[str, ...], Solution] = {}
    for one in solutions:
        first.setdefault((one.id, *(equations(one.text) or ("", " ".join(one.text.split())))), one)
    return tuple(first.values())


@dataclass(frozen=True)
class Pair:
    """A better and a worse solution of one question; one side is the weak model's own."""

    id: str
    chosen: Solution
    rejected: Solution
    confidence: float
    weak_is_chosen: bool


@dataclass(frozen=True)
class SelectedPairs:
    """Contrastive pairs; `skipped` counts questions by reason."""

    pairs: tuple[Pair, ...]
    skipped: Mapping[str, int]


def contrastive_pairs(
    weak: Solutions, samples: Solutions, *, keep_from: float, overrule_from: float, most_pairs: int, seed: int
) -> SelectedPairs:
    """Stage II: the weak solution against samples of the stage-I model that end otherwise.

    `samples` holds n solutions a question; their vote is trusted from a share of `keep_from` on (published: 0.6). Where
    the weak answer is the majority's, the weak solution is better than a random sample of the minority; else, with a
    share from `overrule_from` on (0.8), a random sample of the majority is better than the weak solution. At most
    `most_pairs` pairs a question (1 on GSM8K, 3 on MATH), no two with the same sample text. What was cut off votes as
    "no answer" and is no side of a pair: a fit would end it with a token that its model never wrote.

    Raises:
        UserError: when a question has no samples, and when no pair can be built, with the counts.
    """
    drawn, skipped, pairs = _by_id(samples), Counter[str](), list[Pair]()
    for one in weak:
        if one.id not in drawn:
            raise UserError(f"contrastive_pairs: there are no samples for question {one.id}: sample the same split")
        made = _pairs_of(one, drawn[one.id], keep_from, overrule_from, seed)
        if isinstance(made, str):
            skipped[made] += 1
        else:
            pairs += made[:most_pairs]
    if not pairs:
        raise UserError(
            f"contrastive_pairs: no pair can be built from {len(weak)} questions ({_spoken(skipped)}): lower the "
            f"thresholds (keep_from={keep_from:g}, overrule_from={overrule_from:g}), or draw more samples"
        )
    return SelectedPairs(tuple(pairs), dict(skipped))


UNSURE = "with too small a majority"
EMPTY = "with an empty majority"
UNANIMOUS = "without a minority"
NOT_OVERRULED = "with too small a majority to overrule the weak answer"
CUT_OFF = "with a weak solution that was cut off"


def _pairs_of(
    weak: Solution, samples: Solutions, keep_from: float, overrule_from: float, seed: int
) -> list[Pair] | str:
    """All pairs of one question in a random order, no two with the same sample text, or why it gives none."""
    answer, confidence = majority([sample.answer for sample in samples])
    if confidence < keep_from:
        return UNSURE
    if answer is None:
        return EMPTY
    if not weak.is_whole:
        return CUT_OFF
    is_chosen = weak.answer == answer
    others = [sample for sample in samples if (sample.answer == answer) != is_chosen and sample.is_whole]
    if not others:
        return UNANIMOUS
    if not is_chosen and confidence < overrule_from:
        return NOT_OVERRULED
    distinct: dict[str, Solution] = {}
    for place in permutation(len(others), "pairs", seed, weak.id):
        distinct.setdefault(others[place].text, others[place])
    sides = [(weak, other) if is_chosen else (other, weak) for other in distinct.values()]
    return [Pair(weak.id, better, worse, confidence, is_chosen) for better, worse in sides]


RULES: Mapping[str, Callable[..., TargetTable | Solutions | SelectedPairs]] = {
    rule.__name__: rule
    for rule in (
        *(confidence_filter, confidence_weight, balance, mean, most_confident, permute, oracle_random_errors),
        *(agreement, random_questions, majority_vote, oracle_gold_filter, contrastive_pairs),
    )
}


def apply_rule(
    rule: str, options: Mapping[str, Any], seed: int, sources: Sequence[TargetTable | Solutions]
) -> TargetTable | Solutions | SelectedPairs:
    """Call a rule by name; raise UserError for an unknown rule, and for other options or sources than it takes."""
    if rule not in RULES:
        raise UserError(f"there is no selection rule {rule!r}: {did_you_mean(rule, RULES)}")
    parameters = inspect.signature(RULES[rule]).parameters
    wanted = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY} - {"seed"}
    if options.keys() != wanted:
        takes, given = (", ".join(sorted(names)) or "none" for names in (wanted, options))
        raise UserError(f"selection rule {rule} takes the options {takes}, and was given {given}")
    places = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if not sources or (places and len(places) != len(sources)):
        raise UserError(
            f"selection rule {rule} takes {len(places) or 'some'} sources ({', '.join(places)}), not {len(sources)}"
        )
    drawn = {"seed": seed} if "seed" in parameters else {}
    return RULES[rule](*sources, **options, **drawn)


def _by_id(samples: Solutions) -> dict[str, list[Solution]]:
    grouped: defaultdict[str, list[Solution]] = defaultdict(list)
    for sample in samples:
        grouped[sample.id].append(sample)
    return dict(grouped)


def _spoken(skipped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "no questions"


def _aligned(table: TargetTable, first: TargetTable) -> TargetTable:
    if set(table.ids) != set(first.ids) or table.probs.shape[1] != first.probs.shape[1]:
        different = len(set(table.ids) ^ set(first.ids))
        raise UserError(
            f"mean: the supervisors answered different examples ({different} of them not in common) or classes "
            f"({first.probs.shape[1]} and {table.probs.shape[1]}): label the same split with each"
        )
    place = {id: row for row, id in enumerate(table.ids)}
    return table.take(np.array([place[id] for id in first.ids], dtype=np.int64))
