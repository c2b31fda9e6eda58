"""Which written solutions a student learns from: agreement, votes, contrastive pairs. Pure, seeded, without torch.

The rules are those of weak-to-strong reasoning (Yang et al. 2024, arXiv 2407.13647, and its public code, file
`src/construct_training_data.py`). Answers are compared as canonical text, None being "no answer"; all draws go by
example id, so that the order of questions decides nothing. No rule but `oracle_gold_filter` sees a gold answer.
"""

import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.tasks.draws import permutation
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.final_answer import equations


@dataclass(frozen=True)
class Agreed:
    """The solutions of both models, side by side, to the questions that they agree on, of `compared` questions."""

    weak: tuple[Solution, ...]
    strong: tuple[Solution, ...]
    compared: int

    @property
    def ids(self) -> tuple[str, ...]:
        """The questions, in the order of the weak model's solutions."""
        return tuple(solution.id for solution in self.weak)

    @property
    def kept_share(self) -> float:
        """Share of the questions that were kept."""
        return len(self.weak) / self.compared


def agree(weak: Sequence[Solution], strong: Sequence[Solution]) -> Agreed:
    """Stage I: keep the questions whose two final answers are equal and not empty.

    Raises:
        UserError: when the models answered different questions, and when no question survives.
    """
    partner = {solution.id: solution for solution in strong}
    if len(partner) != len(strong) or {solution.id for solution in weak} != set(partner) or len(weak) != len(strong):
        raise UserError("agree: the two models must have answered the same questions, each once: label one split")
    kept = [one for one in weak if one.answer is not None and one.answer == partner[one.id].answer]
    if not kept:
        read = [sum(solution.answer is not None for solution in side) for side in (weak, strong)]
        raise UserError(
            f"agree: 0 of {len(weak)} questions have the same answer from both ({read[0]} weak and {read[1]} strong "
            "solutions hold an answer at all): give more demonstrations, or more room (generation.max_new_tokens), or "
            "a better weak model"
        )
    return Agreed(tuple(kept), tuple(partner[one.id] for one in kept), len(weak))


def interleave(weak: Sequence[Solution], icl: Sequence[Solution]) -> tuple[Solution, ...]:
    """Stage I, hybrid set: weak, icl, weak, icl, ..., question by question."""
    assert [one.id for one in weak] == [one.id for one in icl], "the two sides must be aligned, as `Agreed` has them"
    return tuple(solution for pair in zip(weak, icl, strict=True) for solution in pair)


def majority(answers: Sequence[str | None]) -> tuple[str | None, float]:
    """The most frequent answer and its share of all (self-consistency, arXiv 2203.11171); ties go to the first given.

    No answer (None) is counted like any other; without answers the result is (None, 0).
    """
    if not answers:
        return None, 0.0
    answer, votes = Counter(answers).most_common(1)[0]
    return answer, votes / len(answers)


@dataclass(frozen=True)
class Pair:
    """A better and a worse solution of one question; one side is the weak model's own."""

    id: str
    chosen: Solution
    rejected: Solution
    confidence: float
    weak_is_chosen: bool


@dataclass(frozen=True)
class Pairs:
    """Contrastive pairs; `skipped` counts questions by reason."""

    pairs: tuple[Pair, ...]
    skipped: Mapping[str, int]


def contrastive_pairs(
    weak: Sequence[Solution],
    samples: Sequence[Solution],
    *,
    keep_from: float,
    overrule_from: float,
    most_pairs: int,
    seed: int,
) -> Pairs:
    """Stage II: the weak solution against samples of the stage-I model that end otherwise.

    `samples` holds n solutions a question; their vote is trusted from a share of `keep_from` on (published: 0.6). Where
    the weak answer is the majority's, the weak solution is better than a random sample of the minority; else, with a
    share from `overrule_from` on (0.8), a random sample of the majority is better than the weak solution. At most
    `most_pairs` pairs a question (1 on GSM8K, 3 on MATH), no two with the same sample text.

    Raises:
        UserError: when a question has no samples, and when no pair can be built, with the counts.
    """
    _check_share("keep_from", keep_from)
    _check_share("overrule_from", overrule_from)
    if most_pairs < 1:
        raise UserError(f"most_pairs={most_pairs!r} should be a whole number from 1 on")
    drawn, skipped, pairs = _by_id(samples), Counter[str](), list[Pair]()
    for one in weak:
        if one.id not in drawn:
            raise UserError(f"contrastive_pairs: there are no samples for question {one.id}: sample the same split")
        answers = [sample.answer for sample in drawn[one.id]]
        reason = _doubt(one.answer, answers, keep_from, overrule_from)
        if reason is None:
            pairs += _pairs(one, drawn[one.id], most_pairs, seed)
        else:
            skipped[reason] += 1
    if not pairs:
        raise UserError(
            f"contrastive_pairs: no pair can be built from {len(weak)} questions ({_spoken(skipped)}): lower the "
            f"thresholds (keep_from={keep_from:g}, overrule_from={overrule_from:g}), or draw more samples"
        )
    return Pairs(tuple(pairs), dict(skipped))


UNSURE = "with too small a majority"
EMPTY = "with an empty majority"
UNANIMOUS = "without a minority"
NOT_OVERRULED = "with too small a majority to overrule the weak answer"


def _doubt(weak: str | None, answers: Sequence[str | None], keep_from: float, overrule_from: float) -> str | None:
    """Why a question gives no pair; None when it gives one."""
    answer, confidence = majority(answers)
    if confidence < keep_from:
        return UNSURE
    if answer is None:
        return EMPTY
    if weak == answer:
        return UNANIMOUS if set(answers) == {answer} else None
    return NOT_OVERRULED if confidence < overrule_from else None


def _pairs(weak: Solution, samples: Sequence[Solution], most: int, seed: int) -> list[Pair]:
    answer, confidence = majority([sample.answer for sample in samples])
    is_chosen = weak.answer == answer
    others = [sample for sample in samples if (sample.answer == answer) != is_chosen]
    order = permutation(len(others), "pairs", seed, weak.id)
    distinct: dict[str, Solution] = {}
    for place in order:
        distinct.setdefault(others[place].text, others[place])
    sides = [(weak, other) if is_chosen else (other, weak) for other in list(distinct.values())[:most]]
    return [Pair(weak.id, better, worse, confidence, is_chosen) for better, worse in sides]


@dataclass(frozen=True)
class Voted:
    """Samples that a vote kept; `skipped` counts questions by reason, `confidence` is by question."""

    solutions: tuple[Solution, ...]
    confidence: Mapping[str, float]
    skipped: Mapping[str, int]


def majority_filter(samples: Sequence[Solution], *, keep_from: float) -> Voted:
    """Self-improvement: the samples that end in the majority's answer, where its share is at least `keep_from`.

    Self-consistency as a filter (LMSI, arXiv 2210.11610). Raises UserError when no question is left.
    """
    _check_share("keep_from", keep_from)
    kept, confidence, skipped = list[Solution](), dict[str, float](), Counter[str]()
    for id, drawn in _by_id(samples).items():
        answer, share = majority([sample.answer for sample in drawn])
        if answer is None or share < keep_from:
            skipped[UNSURE if share < keep_from else EMPTY] += 1
            continue
        confidence[id] = share
        kept += [sample for sample in drawn if sample.answer == answer]
    if not kept:
        raise UserError(f"majority_filter: no sample is left ({_spoken(skipped)}): lower keep_from={keep_from:g}")
    return Voted(tuple(kept), confidence, dict(skipped))


def distinct_equations(solutions: Sequence[Solution]) -> tuple[Solution, ...]:
    """The first of each question's solutions with equal lists of equations (arXiv 2308.01825); without any, by text."""
    first: dict[tuple[str, ...], Solution] = {}
    for one in solutions:
        first.setdefault((one.id, *(equations(one.text) or ("", " ".join(one.text.split())))), one)
    return tuple(first.values())


def random_subset(solutions: Sequence[Solution], *, n: int, seed: int) -> tuple[Solution, ...]:
    """All solutions of `n` questions drawn without replacement: the control of a filter that keeps `n` questions."""
    ids = list(dict.fromkeys(one.id for one in solutions))
    if not 1 <= n <= len(ids):
        raise UserError(f"random_subset: n={n} should be a number from 1 to {len(ids)}, the questions that there are")
    order = permutation(len(ids), "random_subset", seed, sorted(ids))
    kept = {sorted(ids)[place] for place in order[:n]}
    return tuple(one for one in solutions if one.id in kept)


def oracle_gold_filter(solutions: Sequence[Solution], gold: Mapping[str, str]) -> tuple[Solution, ...]:
    """The solutions whose answer is the hidden gold one (STaR, arXiv 2203.14465): a cheat, to be marked as such."""
    kept = tuple(one for one in solutions if one.answer is not None and one.answer == gold[one.id])
    if not kept:
        raise UserError(f"oracle_gold_filter: none of {len(solutions)} solutions is right")
    return kept


# ---------------------------------------------------------------- the rules of select stages

Learn = Literal["hybrid", "weak", "strong"]
Solutions = tuple[Solution, ...]


def agreement(sources: Sequence[Solutions], *, learn: Learn) -> Solutions:
    """Stage I's set: what both sources answer alike, as the weak one, the strong one, or both in turn wrote it."""
    weak, strong = sources
    return _learned(agree(weak, strong), learn)


def random_questions(sources: Sequence[Solutions], *, learn: Learn, seed: int) -> Solutions:
    """The control of `agreement`: as many questions as it keeps, at random from those that both sources answer."""
    weak, strong = sources
    wanted, partner = len(agree(weak, strong).ids), {one.id: one for one in strong}
    both = tuple(one for one in weak if one.answer is not None and partner[one.id].answer is not None)
    drawn = random_subset(both, n=wanted, seed=seed)
    return _learned(Agreed(drawn, tuple(partner[one.id] for one in drawn), len(weak)), learn)


def majority_vote(sources: Sequence[Solutions], *, keep_from: float) -> Solutions:
    """`majority_filter`, and of what it keeps one solution for each list of equations."""
    (samples,) = sources
    return distinct_equations(majority_filter(samples, keep_from=keep_from).solutions)


def stage_two_pairs(
    sources: Sequence[Solutions], *, keep_from: float, overrule_from: float, most_pairs: int, seed: int
) -> Pairs:
    """`contrastive_pairs` of the weak solutions and the stage-I model's samples."""
    weak, samples = sources
    return contrastive_pairs(
        weak, samples, keep_from=keep_from, overrule_from=overrule_from, most_pairs=most_pairs, seed=seed
    )


def oracle_gold(sources: Sequence[Solutions]) -> Solutions:
    """`oracle_gold_filter` of the first source by the second, the gold solutions; one for each list of equations."""
    samples, gold = sources
    return distinct_equations(oracle_gold_filter(samples, {one.id: one.answer or "" for one in gold}))


RULES: Mapping[str, Callable[..., Solutions | Pairs]] = {
    "agreement": agreement,
    "contrastive_pairs": stage_two_pairs,
    "majority_vote": majority_vote,
    "oracle_gold_filter": oracle_gold,
    "random_questions": random_questions,
}
"""By the name that a `select` stage of a reasoning task carries."""


def apply_rule(rule: str, options: Mapping[str, Any], seed: int, sources: Sequence[Solutions]) -> Solutions | Pairs:
    """Call a rule by name, with `seed` exactly when it draws; raise UserError for an unknown rule."""
    if rule not in RULES:
        raise UserError(f"there is no selection rule {rule!r} for solutions: {did_you_mean(rule, RULES)}")
    drawn = {"seed": seed} if "seed" in inspect.signature(RULES[rule]).parameters else {}
    return RULES[rule](sources, **options, **drawn)


def _learned(agreed: Agreed, learn: Learn) -> Solutions:
    sides = {"weak": agreed.weak, "strong": agreed.strong}
    return sides[learn] if learn in sides else interleave(agreed.weak, agreed.strong)


# ---------------------------------------------------------------- parts


def _by_id(samples: Sequence[Solution]) -> dict[str, list[Solution]]:
    grouped: defaultdict[str, list[Solution]] = defaultdict(list)
    for sample in samples:
        grouped[sample.id].append(sample)
    return dict(grouped)


def _spoken(skipped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "no questions"


def _check_share(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"{name}={value!r} should be a number from 0 to 1")
