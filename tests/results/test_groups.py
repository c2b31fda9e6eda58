"""Jobs over seeds become groups; groups become tables."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.pgr import pgr_over_seeds
from w2s_lightning.metrics.rates import auroc_of, mean_score
from w2s_lightning.metrics.seeds import score_seeds
from w2s_lightning.results.groups import ARMS, SeedGroups, compared, section_pgrs
from w2s_lightning.results.stored import Answers
from w2s_lightning.show.matrix import cell_text, explanations, print_compared

N = 300
IDS = tuple(f"id{n:03}" for n in range(N))
GROUPS = tuple(f"group{n // 3}" for n in range(N))
GOLD = np.arange(N) % 2
RATES = {"untuned": 0.5, "floor": 0.7, "student": 0.8, "ceiling": 0.95}


def answers(correct: Any, probability: Any, ids: tuple[str, ...] = IDS) -> Answers:
    probs = np.stack([1 - probability, probability], axis=1)
    return Answers(ids, GROUPS, GOLD, (probability > 0.5).astype(int), correct, np.full(N, np.nan), probs)


def scored(digest: str) -> Answers:
    """Random answers, right as often as the arm in the digest's name says."""
    arm, seed = digest.split("-")[0], sum(map(ord, digest))
    draw = np.random.default_rng(seed)
    correct = (draw.random(N) < RATES[arm]).astype(float)
    probability = np.where(correct == 1, GOLD, 1 - GOLD) * 0.6 + draw.random(N) * 0.4
    return answers(correct, probability)


def job(seed: int, **more: Any) -> dict[str, Any]:
    value = {"value": 0.5, "low": 0.4, "high": 0.6, "n": N}
    row: dict[str, Any] = {
        "task": "facts",
        "paradigm": "weak_to_strong",
        "weak": "nano",
        "strong": "small",
        "seed": seed,
        "axes": {"seed": str(seed)},
        "state": "done",
        "reason": None,
        "metric": "accuracy",
        "cheats": [],
        **dict.fromkeys((*ARMS, "gain_over_untuned"), value),
        "pgr": {"value": 0.5, "low": 0.4, "high": 0.6, "defined": True, "reason": None},
        "arms": {arm: f"{arm}-{seed}" for arm in ARMS},
    }
    row |= more
    return {**row, "digest": f"{row['weak']}-{row['strong']}-{row['axes']}"}


def groups(*jobs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return SeedGroups(scored).rows(jobs)


@pytest.mark.parametrize("metric", ["accuracy", "auroc"])
def test_a_group_has_the_pgr_of_the_metrics_package(metric: str) -> None:
    (group,) = groups(*(job(seed, metric=metric) for seed in range(4)))
    columns = {arm: np.stack([scored(f"{arm}-{seed}").scores(metric) for seed in range(4)]) for arm in ARMS}
    statistic = auroc_of(GOLD) if metric == "auroc" else mean_score
    pgr, per_seed = pgr_over_seeds(score_seeds(columns, GROUPS, metric=statistic))
    spread = pytest.approx(np.std(per_seed, ddof=1))  # type: ignore[arg-type]
    assert group["pgr"] == {**vars(pgr), "per_seed": list(per_seed), "sd": spread}
    assert (group["n"], group["expected"], group["seeds"]) == (4, 4, [0, 1, 2, 3])
    if metric == "accuracy":
        assert group["student"]["value"] == pytest.approx(columns["student"].mean())
        assert group["student"]["sd"] == pytest.approx(columns["student"].mean(axis=1).std(ddof=1))


def test_a_seed_that_failed_is_named_and_the_others_count() -> None:
    lost = job(2, state="failed", reason="fit x: killed")
    (group,) = groups(job(0), job(1), lost)
    assert (group["n"], group["expected"]) == (2, 3)
    assert group["missing"] == [{"seed": 2, "state": "failed", "reason": "fit x: killed"}]
    assert "(2 of 3 seeds)" in cell_text(group)


def test_a_single_seed_keeps_its_jobs_own_interval() -> None:
    (group,) = groups(job(0))
    assert group["pgr"] == {**job(0)["pgr"], "sd": None, "per_seed": [0.5]}


def test_a_gap_that_reaches_zero_is_undefined_with_its_reason() -> None:
    same = {arm: "floor-1" if arm == "ceiling" else f"{arm}-1" for arm in ARMS}
    (group,) = groups(job(0, arms=same), job(1, arms=same))
    assert not group["pgr"]["defined"]
    assert cell_text(group) == "undefined"
    assert any("PGR is undefined: the gap reaches 0" in line for line in explanations([group]))


def test_without_a_floor_pgr_is_undefined() -> None:
    arms = {**{arm: f"{arm}-1" for arm in ARMS}, "floor": None}
    (group,) = groups(job(0, arms=arms, floor=None), job(1, arms=arms, floor=None))
    assert group["floor"] is None
    assert "no floor" in group["pgr"]["reason"]


def test_seeds_whose_answers_cannot_be_compared_are_undefined_with_the_reason() -> None:
    def turned(digest: str) -> Answers:
        return answers(np.zeros(N), np.zeros(N), IDS[::-1]) if digest.endswith("1") else scored(digest)

    def gone(digest: str) -> Answers:
        raise UserError("evaluate/x cannot be read: it is gone")

    for read, reason in (
        (turned, "its seeds were scored on different test examples"),
        (gone, "evaluate/x cannot be read: it is gone"),
    ):
        (group,) = SeedGroups(read).rows([job(0), job(1)])
        assert group["pgr"]["reason"] == reason
        assert group["seeds"] == [0, 1]


def test_a_student_that_is_its_ceiling_says_so() -> None:
    pgr = {"value": 1.0, "low": 1.0, "high": 1.0, "defined": True, "reason": "by construction: student is the ceiling"}
    arms = {seed: {**{arm: f"{arm}-{seed}" for arm in ARMS}, "student": f"ceiling-{seed}"} for seed in (0, 1)}
    (group,) = groups(*(job(seed, pgr=pgr, arms=arms[seed]) for seed in (0, 1)))
    assert group["pgr"]["reason"] == "by construction: student is the ceiling"


def test_seeds_of_different_axes_are_different_groups() -> None:
    rows = [job(seed, axes={"seed": str(seed), "objective": o}) for o in ("xent", "kd") for seed in (0, 1)]
    found = groups(*rows)
    assert [group["axes"] for group in found] == [{"objective": "xent"}, {"objective": "kd"}]


def test_seeds_judged_on_other_benchmark_rows_have_no_sections() -> None:
    """As when a file is changed between two jobs that were run one at a time."""

    def read(digest: str) -> Answers:
        ids = IDS[::-1] if digest.endswith("1") else IDS
        return replace(scored(digest.removesuffix("1")), ids=ids, subsets=("mine",) * N)

    arms = {last: {arm: f"{arm}-{last}" for arm in ("floor", "student", "ceiling")} for last in "012"}
    same, other = ([job(0, benchmark_arms=arms["0"]), job(1, benchmark_arms=arms[last])] for last in "21")
    assert [part["name"] for part in section_pgrs(same, read)] == ["mine"]
    assert section_pgrs(other, read) == []


# ---------------------------------------------------------------- classifier against DPO


def read_out(side: str, **more: Any) -> dict[str, Any]:
    """A job of one seed; its arms are named by all that it differs in."""
    words = "-".join((side, *(str(value) for value in more.values())))
    axes = {"fit.readout": side, "seed": "0", **more.pop("axes", {})}
    return job(0, axes=axes, arms={arm: f"{arm}-{words}" for arm in ARMS}, **more)


@pytest.mark.parametrize(
    ("arms", "labels"),
    [
        (({"weak": "nano"}, {"weak": "micro"}), ("nano → small", "micro → small")),
        (({"axes": {"fit.epochs": "1"}}, {"axes": {"fit.epochs": "2"}}), ("fit.epochs=1", "fit.epochs=2")),
        (({"task": "one"}, {"task": "two"}), ("one · weak_to_strong", "two · weak_to_strong")),
    ],
)
def test_arms_of_any_kind_keep_their_own_lines(arms: tuple[dict[str, Any], ...], labels: tuple[str, ...]) -> None:
    records = compared([read_out(side, **arm) for arm in arms for side in ("head", "implicit")], scored)
    rows = [*(f"{row} ({label})" for row in ("floor", "ceiling") for label in labels), *labels]
    assert [record["row"] for record in records] == rows
    console = Console(file=io.StringIO(), width=200)
    print_compared(console, records)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    for record in records:
        (line,) = (line for line in lines if line.strip().startswith(record["row"] + " "))
        assert f"{record['parts'][0]['value']:+.3f}" in line


def test_floors_that_are_not_there_are_not_compared() -> None:
    jobs = [read_out(side) for side in ("head", "implicit")]
    for one in jobs:
        one["arms"]["floor"] = None
    asked = list[str]()

    def read(digest: str) -> Answers:
        asked.append(digest)
        return scored(digest)

    assert [record["row"] for record in compared(jobs, read)] == ["ceiling", "weak_to_strong"]
    assert "None" not in asked
