"""A job's result: what its stored answers say, with intervals. Reads the store; loads no model.

Every row is scored on the same test examples with the same resamples, so that differences are paired; a preference
job's rows on the same pairs of a benchmark too, a tie a loss. A benchmark's prompts that the job trained on are counted
here; `checks` refuses them before anything is computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from w2s_lightning.checks import shared_prompts
from w2s_lightning.metrics.pgr import PGR
from w2s_lightning.metrics.rates import JobScores, rates
from w2s_lightning.metrics.sections import missing, parts_of
from w2s_lightning.plan import Plan
from w2s_lightning.recipes.recipe import ResultRow
from w2s_lightning.results.information import information, source_of
from w2s_lightning.results.sampled import selections, votes_of
from w2s_lightning.results.scored import (
    NO_BENCHMARK_FLOOR,
    agreement,
    columns_of,
    measured_rows,
    row_pgr,
    score_answers,
)
from w2s_lightning.results.stored import Answers, read_answers, read_lines
from w2s_lightning.stages import Fit, Label, Pretrain, Select
from w2s_lightning.store import Store
from w2s_lightning.tasks.final_answer import equations

VERSION = 1  # of result.json
_MOST_GRADES = 12


def make_result(plan: Plan, store: Store, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `result.json`; `done` says of each stage whether it was cached and how long it took."""
    answers = {row.name: read_answers(store, row.evaluate) for row in plan.rows}
    scores = score_answers({name: (one,) for name, one in answers.items()}, plan.metric)
    assert isinstance(scores, JobScores)
    student = plan.student_of_record
    by_role = {row.role: row.name for row in reversed(plan.rows)}
    untuned = by_role.get("untuned", student)
    readouts = [row.name for row in plan.rows if row.role == "untuned"] or [student]
    best_untuned = max(readouts, key=lambda name: scores.interval(name).value)
    marked = {name: one.strict for name, one in answers.items() if one.strict is not None}
    strict = rates(marked, answers[student].groups) if marked else None
    baselines = {role: by_role.get(role) for role in ("untuned", "floor", "ceiling")}
    rules = {stage.rule for stage in plan.stages if isinstance(stage, Select)}  # as computed, not as configured
    return {
        "version": VERSION,
        "job": dict(plan.name),
        "digest": plan.digest,
        "metric": plan.metric,
        "student_of_record": student,
        "supervisor": plan.supervisor,
        **{role: None if name is None else vars(scores.interval(name)) for role, name in baselines.items()},
        "student": vars(scores.interval(student)),
        "pgr": vars(row_pgr(plan, scores, student)),
        "gain_over_untuned": vars(scores.difference(student, untuned)),
        "gain_over_best_untuned": {"row": best_untuned, **vars(scores.difference(student, best_untuned))},
        "agreement": _agreement(plan, answers),
        "rows": [_row(plan, store, scores, strict, row, answers[row.name]) for row in plan.rows],
        "by_difficulty": _by_difficulty(plan, answers),
        "benchmark": benchmark_of(plan, store),
        "votes": votes_of(plan, store),
        "selections": selections(plan, store),
        "cheats": sorted(rule for rule in rules if rule.startswith("oracle_")),
        "notices": [*plan.notices, *_cut(plan, store), *_one_label(plan, answers)],
        "stages": list(done),
    }


def _cut(plan: Plan, store: Store) -> list[str]:
    """Rows whose model did not see the start of some test texts, since they were too long."""
    shares = {}
    for row in plan.rows:
        answers = row.evaluate.answers
        if isinstance(answers, Label) and answers.mode == "probs":
            shares[row.name] = store.read_json(answers.features or answers.reference or answers, "metrics.json").get(
                "truncated_share", 0.0
            )
    cut = [f"{name} {share:.1%}" for name, share in shares.items() if share]
    return [f"test texts that lost their start (fit.max_length): {', '.join(cut)}"] if cut else []


def _one_label(plan: Plan, answers: Mapping[str, Answers]) -> list[str]:
    """Trained rows that give one and the same label to every test text."""
    task, given = plan.rows[0].evaluate.task, dict[str, list[str]]()
    if task.kind != "choice" or task.layout != "text":
        return []
    for row in plan.rows:
        labels = np.unique(answers[row.name].prediction)
        if row.role != "untuned" and len(labels) == 1:
            given.setdefault(task.class_names[int(labels[0])], []).append(row.name)
    return [f"one label only, {label}, for every test example: {', '.join(rows)}" for label, rows in given.items()]


def _row(
    plan: Plan, store: Store, scores: JobScores, strict: JobScores | None, row: ResultRow, answers: Answers
) -> dict[str, Any]:
    """`strict` (reasoning only): the same on marked answers alone. With it stand the shares of outputs that were cut
    off or hold no answer, of prompts that were longer than the context, and of what is worked out (has an equation)."""
    measured = row.name in measured_rows(plan.rows)
    beside = {}
    if strict is not None:
        pgr = vars(row_pgr(plan, strict, row.name)) if measured else None
        metrics, source = store.read_json(row.evaluate, "metrics.json"), row.evaluate.answers
        too_long = store.read_json(source, "metrics.json")["too_long"] if isinstance(source, Label) else 0
        worked = np.array([bool(equations(text)) for text in answers.solutions or ()], bool)
        beside = {
            "strict": {**vars(strict.interval(row.name)), "pgr": pgr},
            **{name: metrics[name] for name in ("truncated_share", "unparsed_share", "timed_out_share")},
            "too_long_share": too_long / metrics["num_rows"],
            "worked_share": float(worked.mean()),
            "right_given_worked": float(answers.correct[worked].mean()) if worked.any() else None,
        }
    return {
        "name": row.name,
        "role": row.role,
        "model": row.model,
        **vars(scores.interval(row.name)),
        "pgr": vars(row_pgr(plan, scores, row.name)) if measured else None,
        **beside,
        "information": information(store, row),
        "evaluate": row.evaluate.digest,
        **({} if row.benchmark is None else {"benchmark": row.benchmark.digest}),
        **({} if row.votes is None else {"votes": row.votes.digest}),
    }


def _by_difficulty(plan: Plan, answers: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """Accuracy of every row, and the student's PGR, by difficulty, where it has a handful of grades."""
    about, found = answers[plan.student_of_record], []
    grades = np.unique(about.difficulty[~np.isnan(about.difficulty)]).tolist()
    for grade in grades if 1 < len(grades) <= _MOST_GRADES else ():
        there = about.difficulty == grade
        correct = {name: one.correct[there] for name, one in answers.items()}
        groups = np.array(about.groups)[there]
        pgr = PGR.undefined("all these examples are of one group, which says nothing about others")
        if len(np.unique(groups)) > 1:
            pgr = row_pgr(plan, rates(correct, groups), plan.student_of_record)
        accuracy = {name: float(values.mean()) for name, values in correct.items()}
        found.append({"difficulty": grade, "n": int(there.sum()), "accuracy": accuracy, "pgr": vars(pgr)})
    return found


def _agreement(plan: Plan, answers: Mapping[str, Answers]) -> dict[str, Any]:
    keys = ("with_supervisor", "when_supervisor_right", "when_supervisor_wrong")
    if plan.supervisor is None or plan.supervisor not in answers:
        return dict.fromkeys(keys)
    parts = agreement([answers[plan.student_of_record]], [answers[plan.supervisor]])
    return {key: part and vars(part) for key, part in zip(keys, parts, strict=True)}


def benchmark_of(plan: Plan, store: Store) -> dict[str, Any] | None:
    """In each subset, each section of RewardBench, and overall, with PGR wherever floor and ceiling are told apart.
    None without a benchmark."""
    judged = {row.name: row.benchmark for row in plan.rows if row.benchmark is not None}
    if not judged:
        return None
    answers = {name: read_answers(store, stage) for name, stage in judged.items()}
    about, task = next(iter(answers.values())), next(iter(judged.values())).task
    won = columns_of({name: (one,) for name, one in answers.items()})
    parts = []
    for part in parts_of(about.subsets):
        scores = part.scores(won, about.groups)
        pgrs = {name: vars(row_pgr(plan, scores, name, NO_BENCHMARK_FLOOR)) for name in measured_rows(plan.rows)}
        accuracy = {name: vars(one) for name, one in part.intervals(won, about.groups).items()}
        head = {"kind": part.kind, "name": part.name, "n": int(part.rows.sum())}
        parts.append({**head, "accuracy": accuracy, "pgr": pgrs})
    return {
        "name": task.name,
        "place": task.place,
        "num_rows": len(about.ids),
        "shared_prompts": shared_prompts(plan.rows[0].evaluate.task.splits(plan.name["seed"]), about.groups),
        "missing": vars(missing(about.subsets)),
        "parts": parts,
    }


def histories(plan: Plan, store: Store) -> dict[str, list[dict[str, Any]]]:
    """Training curves of the job's fits and pretrained models by readable name, as stored."""
    sources = [(source_of(row), row.name) for row in plan.rows]
    names, found = {source.digest: name for source, name in sources if isinstance(source, Fit)}, {}
    for stage in plan.stages:
        if isinstance(stage, Fit | Pretrain):
            name = names.get(stage.digest, f"{stage.kind}_{stage.label}")
            found[name] = read_lines(store.file(stage, "history.jsonl"))
    return found
