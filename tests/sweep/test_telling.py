"""What a sweep tells besides its ledger: verdicts of claims, and its runs in wandb."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.programs import SLOTS, ledger, run, sweep
from tests.test_tracking import inspect, records

TINY = """
task:
  world: {seed: 99, people: 10, relations: 6}
  facts: {supervise: 14, transfer: 16, validation: 6, test: 14}
  items: {supervise: 96, transfer: 96, validation: 32, test: 120}
weak: {pretrain: {steps: 30, warmup_steps: 5}}
strong: {pretrain: {steps: 30, warmup_steps: 5}, layers: 1, width: 16}
fit: {lr_scale: 30, evaluations: 1, warmup_steps: 1}
"""
CLAIMS = """
- id: recovers
  claim: It recovers part of the gap.
  jobs: [model@weak=nano]
  seeds: [0, 1]
  quantity: {of: pgr, row: student}
  rule: above
  threshold: 0.0
- id: small_steps_are_no_better
  claim: A smaller step is no better.
  jobs: [model@weak=nano, fit.lr_scale=1]
  seeds: [0, 1]
  quantity: {of: against, row: student, against: [model@weak=nano]}
  rule: not_above
  threshold: 0.0
- id: said_otherwise
  claim: The same jobs in other words.
  jobs: [paradigm=weak_to_strong, model@weak=nano]
  seeds: [1, 0]
  quantity: {of: difference, row: student, minus: floor}
  rule: not_above
  threshold: 0.9
"""


def sweep_file(place: Path, head: str) -> list[str]:
    """A sweep file outside the repository; the words that find and run it."""
    folder = place / "conf" / "sweeps"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(f"# @package _global_\n{head}\n{TINY}")
    return ["sweeps=own", f"hydra.searchpath=[file://{place}/conf]"]


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    place = tmp_path_factory.mktemp("claimed")
    (place / "claims.yaml").write_text(CLAIMS)
    words = sweep_file(place, f"hydra: {{sweeper: {{claims: {place}/claims.yaml}}}}")
    return place, sweep(place, *words, "tracking=disabled", *SLOTS)


def test_a_claims_sweep_runs_what_the_claims_need_and_prints_verdicts(claimed: tuple[Path, str]) -> None:
    place, printed = claimed
    assert "note: 2 jobs left out, the same work as another one" in printed
    content = ledger(place)
    assert content["counts"]["done"] == 4
    verdicts = {verdict["claim"]: verdict["verdict"] for verdict in content["verdicts"]}
    assert set(verdicts) == {"recovers", "small_steps_are_no_better", "said_otherwise"}
    assert "waiting" not in verdicts.values()
    assert verdicts["said_otherwise"] == "held"
    table = printed[printed.index("claims") :]
    assert sum(line.count(word) for line in table.splitlines() for word in ("held", "refuted", "undecided")) >= 3


def test_the_claims_command_finds_the_same_verdicts(claimed: tuple[Path, str]) -> None:
    place, _ = claimed
    where = ["--outputs", str(place / "outputs"), "--store", str(place / "store")]
    printed = run([sys.executable, "-m", "w2s_lightning.claims", "--claims", str(place / "claims.yaml"), *where])
    rows = [line for line in printed.splitlines() if any(v in line for v in ("held", "refuted", "undecided"))]
    assert len(rows) == 3


def test_a_claim_whose_seeds_are_not_all_run_is_waiting(claimed: tuple[Path, str]) -> None:
    place, _ = claimed
    words = ["sweeps=own", f"hydra.searchpath=[file://{place}/conf]", "seed=0"]
    assert sweep(place, *words, "tracking=disabled", *SLOTS).count("waiting") == 3


# ---------------------------------------------------------------- wandb


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    place = tmp_path_factory.mktemp("mirrored")
    words = sweep_file(place, "hydra: {sweeper: {params: {model@weak: nano, seed: range(2)}}}")
    sweep(place, *words, "tracking=offline", *SLOTS)
    (file,) = (place / "outputs" / "sweeps").glob("*/sweep.json")
    return place, json.loads(file.read_text())


def test_the_jobs_and_the_summary_of_a_sweep_share_a_group(mirrored: tuple[Path, dict[str, Any]]) -> None:
    place, content = mirrored
    runs = [json.loads(file.read_text())["wandb"]["dir"] for file in (place / "outputs").glob("*/result.json")]
    assert len(runs) == 2
    group = f"own-{content['digest'][:16]}"
    for folder, kind in [*((folder, "weak_to_strong") for folder in runs), (content["wandb"]["dir"], "sweep")]:
        started = next(record["run"] for record in records(folder) if record["type"] == "run")
        assert (started["run_group"], started["job_type"]) == (group, kind)


def test_the_summary_run_holds_the_matrix(mirrored: tuple[Path, dict[str, Any]]) -> None:
    _, content = mirrored
    assert content["wandb"]["mode"] == "offline"
    folder = content["wandb"]["dir"]
    summary = json.loads(inspect(folder, "--summary"))
    assert "jobs_done" in json.dumps(summary)
    tables = [json.loads(file.read_text()) for file in Path(folder).glob("files/media/table/*.table.json")]
    matrix = next(table for table in tables if "PGR [95 %]" in table["columns"])
    assert len(matrix["data"]) == len(content["groups"]) == 1
    assert matrix["data"][0][matrix["columns"].index("n")] == 2


def test_a_rerun_makes_no_second_summary(mirrored: tuple[Path, dict[str, Any]]) -> None:
    place, content = mirrored
    words = ["sweeps=own", f"hydra.searchpath=[file://{place}/conf]"]
    sweep(place, *words, "tracking=offline", *SLOTS)
    assert ledger(place)["wandb"] == content["wandb"]
    assert len(list((Path(content["wandb"]["dir"]).parent).glob("offline-run-*"))) == 1
