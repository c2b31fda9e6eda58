"""How good a reasoning job's samples were: those on `test` as votes, and those that it selected, voted on and paired.

Judged with hidden gold, afterwards: diagnostics for people who read results. No stage reads them, so nothing is
trained, chosen or stopped by them.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

from w2s_lightning.metrics.rates import rates
from w2s_lightning.plan import Plan
from w2s_lightning.results.information import source_of
from w2s_lightning.results.scored import measured_rows, row_pgr
from w2s_lightning.results.stored import PAIRS, Answers, read_answers, read_pairs, read_solutions
from w2s_lightning.selection import majority
from w2s_lightning.stages import Fit, Label, Select, Supervisor
from w2s_lightning.store import Store
from w2s_lightning.tasks.supervisor_file import read_solutions as read_file


def votes_of(plan: Plan, store: Store) -> dict[str, Any] | None:
    """maj@n and pass@n on `test`: how far a vote of a model's samples comes, and an oracle that picks among them.

    Every row draws the same number of samples (`task.test_samples`), so floor, student and ceiling are compared as
    voters too. n is 1 (the accuracy of the samples themselves), 2, 4, ... and all of them. Figures are expected over
    all subsets of n of a question's samples, in closed form: the order of the samples decides nothing. None without
    samples.
    """
    drawn = {row.name: _by_question(read_answers(store, row.votes)) for row in plan.rows if row.votes is not None}
    if not drawn:
        return None
    measured = [name for name in measured_rows(plan.rows) if name in drawn]
    questions = next(iter(drawn.values()))
    groups = [group for _, group in questions]
    most = min(len(right) for own in drawn.values() for _, right in own.values())
    curve = []
    for n in (*(2**k for k in range(most.bit_length()) if 2**k < most), most):
        part: dict[str, Any] = {"n": n}
        for kind, credit in (("majority", majority_of), ("pass", pass_of)):
            scores = rates({name: [credit(*one, n) for one in own.values()] for name, own in drawn.items()}, groups)
            accuracy = {name: vars(scores.interval(name)) for name in drawn}
            part[kind] = {"accuracy": accuracy, "pgr": {name: vars(row_pgr(plan, scores, name)) for name in measured}}
        curve.append(part)
    return {"num_samples": most, "curve": curve}


def _by_question(samples: Answers) -> dict[tuple[str, str], tuple[list[str | None], list[bool]]]:
    """Answers and whether they are right by question and group, in the order of question ids: alike for every row."""
    found = defaultdict[tuple[str, str], tuple[list[str | None], list[bool]]](lambda: ([], []))
    questions = zip(samples.ids, samples.groups, strict=True)
    for question, answer, right in zip(questions, samples.prediction, samples.correct > 0, strict=True):
        found[question][0].append(answer)
        found[question][1].append(right)
    return dict(found)


def pass_of(answers: Sequence[str | None], right: Sequence[bool], n: int) -> float:
    """Probability that any of n of a question's K samples is right, whatever they answer (arXiv 2107.03374, eq. 1).

    No way to pick one of them can surpass it.
    """
    left, wrong = len(right), len(right) - sum(map(bool, right))
    assert 1 <= n <= left, f"pass@{n} needs {n} samples, got {left}"
    return (comb(left, n) - comb(wrong, n)) / comb(left, n)


def majority_of(answers: Sequence[str | None], right: Sequence[bool], n: int) -> float:
    """Probability that the vote of n of a question's K samples is right (self-consistency, arXiv 2203.11171).

    Answers that tie share the credit, which is what giving it to the first of them comes to over all orders. No answer
    (None) is counted like any other, and is never right; an answer is right when a sample that ends in it is.
    """
    votes = Counter(answers)
    assert 1 <= n <= len(answers), f"a vote of {n} needs {n} samples, got {len(answers)}"
    winners = {answer for answer, good in zip(answers, right, strict=True) if good and answer is not None}
    return sum(_elected([votes[one], *(votes - Counter({one: votes[one]})).values()], n) for one in sorted(winners))


def _elected(counts: Sequence[int], n: int) -> float:
    """Probability that the first of the answers with these counts wins a vote of n, ties being shared."""
    total = comb(sum(counts), n)
    return sum(
        comb(counts[0], own) * weight / (1 + ties) / total
        for own in range(1, min(counts[0], n) + 1)
        for ties, weight in _rivals(counts[1:], own, n - own)
    )


def _rivals(counts: Sequence[int], most: int, drawn: int) -> list[tuple[int, int]]:
    """In how many ways `drawn` votes fall on the others, none of them over `most`, by how many have just that many."""
    ways: Counter[tuple[int, int]] = Counter({(0, 0): 1})  # by votes so far and ties so far
    for count in counts:
        grown: Counter[tuple[int, int]] = Counter()
        for (votes, ties), number in ways.items():
            for own in range(min(count, most, drawn - votes) + 1):
                grown[votes + own, ties + (own == most)] += number * comb(count, own)
        ways = grown
    return [(ties, number) for (votes, ties), number in ways.items() if votes == drawn]


# ---------------------------------------------------------------- on the splits that are trained on


def selections(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """A record for each selection and each draw of several samples among the job's stages, in order.

    `row` is the first row whose model learned from the selection, or drew the samples (None: no row shows it).
    """
    chosen = [one for one in plan.stages if isinstance(one, Select) and one.task.kind == "reasoning"]
    solved = [one for one in plan.stages if isinstance(one, Label) and one.split != "test"]  # `test` is for votes
    drawn = [one for one in solved if one.generation and one.generation.num_samples > 1]
    if not chosen and not drawn:
        return []
    task = (chosen or drawn)[0].task
    splits = task.splits(plan.name["seed"])

    def golds(stage: Select | Label) -> dict[str, str]:
        return {one.id: str(one.gold) for one in splits.of(stage.split)}

    learners = _learners(plan)
    found = [{"row": learners.get(stage.digest), **_of_select(stage, store, golds(stage), task)} for stage in chosen]
    return found + [{"row": _writer(plan, one), **_of_samples(one, store, golds(one), task)} for one in drawn]


def _writer(plan: Plan, drawn: Label) -> str | None:
    """The row that is judged by the same model's solutions after the same demonstrations: the paradigm's own one, where
    it is also `untuned`."""
    written = ((row.name, row.evaluate.answers) for row in reversed(plan.rows))
    same = (drawn.source, drawn.shown)
    return next((name for name, own in written if isinstance(own, Label) and (own.source, own.shown) == same), None)


def _learners(plan: Plan) -> dict[str, str]:
    """Names of rows by the digest of the selection that their model was trained on last."""
    found: dict[str, str] = {}
    for row in plan.rows:
        fit = source_of(row)
        targets = fit.learned if isinstance(fit, Fit) else None
        if isinstance(targets, Select):
            found.setdefault(targets.digest, row.name)
    return found


def _of_select(stage: Select, store: Store, golds: Mapping[str, str], task: Any) -> dict[str, Any]:
    """`precision`: the share of what was kept that is right; `recall`: of the questions that some solution of the
    rule's sources answers right, those that were kept so.

    Of pairs, `precision` is the share whose better side is right (the other then ends otherwise), `inverted` whose
    worse side is right; of the rest both sides are wrong.
    """
    counts = store.read_json(stage, "metrics.json")
    record = {"stage": stage.digest, "rule": stage.rule, "options": dict(stage.options), **counts}
    if (store.path(stage) / PAIRS).is_file():
        pairs = read_pairs(store, stage)
        better = [task.key.equal(golds[pair.id], pair.chosen_answer) for pair in pairs]
        worse = [task.key.equal(golds[pair.id], pair.rejected_answer) for pair in pairs]
        shares = {"precision": better, "inverted": worse, "weak_is_chosen": [pair.weak_is_chosen for pair in pairs]}
        return record | {name: sum(those) / len(pairs) for name, those in shares.items()}
    rows = read_solutions(store, stage)
    right = [row.id for row in rows if task.key.equal(golds[row.id], row.answer)]
    possible = {
        id
        for source in stage.sources
        if isinstance(source, Label | Supervisor)
        for id, answers in _answers(source, store, golds, task).items()
        if any(task.key.equal(golds[id], one) for one in answers)
    }
    recall = len(set(right)) / len(possible) if possible else None
    return record | {"precision": len(right) / len(rows), "recall": recall}


def _of_samples(stage: Label, store: Store, golds: Mapping[str, str], task: Any) -> dict[str, Any]:
    """Accuracy of the samples, of their vote (maj@n), and of an oracle that picks among them (pass@n)."""
    grouped = _answers(stage, store, golds, task)
    right = {id: [task.key.equal(golds[id], answer) for answer in answers] for id, answers in grouped.items()}
    voted = [task.key.equal(golds[id], majority(answers)[0]) for id, answers in grouped.items()]
    assert stage.generation is not None
    n, count = stage.generation.num_samples, len(grouped)
    return {
        "stage": stage.digest,
        "rule": "samples",
        "split": stage.split,
        "num_questions": count,
        "num_samples": n,
        "mean_accuracy": sum(sum(own) / len(own) for own in right.values()) / count,
        f"maj@{n}": sum(voted) / count,
        f"pass@{n}": sum(map(any, right.values())) / count,
        "truncated_share": store.read_json(stage, "metrics.json")["truncated_share"],
    }


def _answers(
    stage: Label | Supervisor, store: Store, golds: Mapping[str, str], task: Any
) -> dict[str, list[str | None]]:
    if isinstance(stage, Supervisor):
        given = read_file(stage.file, list(golds), known=None, parse=task.key.parse)
        return {one.id: [one.answer] for one in given}
    grouped: defaultdict[str, list[str | None]] = defaultdict(list)
    for row in read_solutions(store, stage):
        grouped[row.id].append(row.answer)
    return dict(grouped)
