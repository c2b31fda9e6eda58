"""What a sweep tells besides its ledger: verdicts of claims, and its runs in wandb."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.report.reading import Page, summary_of
from tests.show.test_mirror import records
from tests.sweep.programs import SLOTS, ledger, own_sweep_file, run, sweep

CLAIMS = """
- id: recovers
  claim: It recovers part of the gap, where each seed has a weak model of its own pretraining.
  jobs: [model@weak=nano, 'weak.pretrain.seed=${seed}']
  seeds: [0, 1, 2, 3, 4]
  quantity: {of: pgr, row: student}
  says: above
  threshold: 0.0
- id: imitates_no_more
  claim: A smaller step imitates no less.
  jobs: [model@weak=nano, fit.lr_scale=1]
  seeds: [0, 1, 2, 3, 4]
  quantity: {of: imitation, row: student, against: [model@weak=nano]}
  says: equivalent
  threshold: 0.0
  margin: 0.1
- id: said_otherwise
  claim: The same jobs in other words.
  jobs: [paradigm=weak_to_strong, model@weak=nano]
  seeds: [4, 3, 2, 1, 0]
  quantity: {of: difference, row: student, minus: floor}
  says: below
  threshold: 0.9
"""
VERDICT = re.compile(r" · (?:(?:above|below|equivalent), (?:not )?as claimed|undecided) · ")


def sweep_file(place: Path, **sweeper: Any) -> list[str]:
    strong = {"pretrain": {"steps": 30, "warmup_steps": 5}, "layers": 2, "width": 24}
    return own_sweep_file(place, sweeper, strong=strong, tracking={})


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    place = tmp_path_factory.mktemp("claimed")
    (place / "claims.yaml").write_text(CLAIMS)
    words = sweep_file(place, claims=f"{place}/claims.yaml")
    return place, sweep(place, *words, "tracking=disabled", *SLOTS)


def test_a_claims_sweep_runs_what_the_claims_need_and_prints_verdicts(claimed: tuple[Path, str]) -> None:
    place, printed = claimed
    assert "note: 6 jobs left out, the same work as another one" in printed
    content = ledger(place)
    assert content["counts"]["done"] == 14  # seed 0 of both is one job
    verdicts = {verdict["claim"]: verdict["verdict"] for verdict in content["verdicts"]}
    assert set(verdicts) == {"recovers", "imitates_no_more", "said_otherwise"}
    assert "waiting" not in verdicts.values()
    assert verdicts["said_otherwise"] == "below"
    assert len(VERDICT.findall(printed)) == 3
    assert len({job["digest"] for job in content["jobs"]}) == 14


def test_the_claims_command_finds_the_same_verdicts(claimed: tuple[Path, str]) -> None:
    place, _ = claimed
    where = ["--outputs", str(place / "outputs"), "--store", str(place / "store")]
    printed = run(
        [sys.executable, "-m", "w2s_lightning.results.claims", "--claims", str(place / "claims.yaml"), *where]
    )
    assert len(VERDICT.findall(printed)) == 3


def test_a_claim_whose_seeds_are_not_all_run_is_waiting(claimed: tuple[Path, str]) -> None:
    place, _ = claimed
    words = ["sweeps=own", f"hydra.searchpath=[file://{place}/conf]", "seed=0"]
    assert sweep(place, *words, "tracking=disabled", *SLOTS).count("waiting") == 3


# ---------------------------------------------------------------- wandb

SHOWN = {  # of one pair in two seeds, so nothing of sizes, of the gap or of a benchmark
    "overview/matrix",
    "overview/arms",
    "paradigms/paradigms",
    "agreement/following",
    "agreement/calibration",
    "agreement/difficulty",
    "training/passes",
}


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    place = tmp_path_factory.mktemp("mirrored")
    words = sweep_file(place, params={"model@weak": "nano", "seed": "range(2)"})
    sweep(place, *words, "tracking=offline", *SLOTS)
    return place, ledger(place)


def test_a_sweep_is_one_group_and_its_jobs_are_of_one_type_where_only_the_seed_differs(
    mirrored: tuple[Path, dict[str, Any]],
) -> None:
    place, content = mirrored
    runs = runs_of_jobs(place)
    assert len(runs) == 2
    sweep = f"own-{content['digest'][:16]}"
    summary, *jobs = (
        next(record["run"] for record in records(folder) if record["type"] == "run")
        for folder in (content["wandb"]["dir"], *runs)
    )
    assert (summary["run_group"], summary["job_type"]) == (sweep, "sweep")
    assert {(job["run_group"], job["job_type"]) for job in jobs} == {(sweep, "fact_pairs weak_to_strong nano-small")}


def test_every_figure_and_table_of_the_page_is_on_the_summary_run(mirrored: tuple[Path, dict[str, Any]]) -> None:
    place, content = mirrored
    logged, folder = summary_of(content["wandb"]["dir"]), Path(content["wandb"]["dir"])
    (page,) = map(Page, (place / "outputs" / "sweeps").glob("*/report.html"))
    shown = {attrs["data-figure"] for _, attrs in page.elements if "data-figure" in attrs} - {"training/curves"}
    figures = page.sections[0]["figures"]
    assert shown == figures.keys()
    assert shown == SHOWN
    for name, figure in figures.items():
        key = f"fact_pairs/{name.split('/')[1]}"
        drawings = [one for one in logged if one == f"figures/{key}" or one.startswith(f"figures/{key}/")]
        assert drawings, name
        assert {logged[one]["_type"] for one in drawings} == {"plotly-file"}
        assert table(folder, logged[f"tables/{key}"]) == (
            figure["columns"],
            [row for view in figure["views"] for row in view["rows"]],
        )
    tables = {attrs["data-table"] for attrs in page.all("table", class_="sortable")}
    assert tables == {"jobs", "stages"}
    assert {f"tables/fact_pairs/{name}" for name in tables} <= logged.keys()


def test_the_tables_of_the_summary_run_hold_the_values_of_sweep_json(mirrored: tuple[Path, dict[str, Any]]) -> None:
    _, content = mirrored
    logged, folder = summary_of(content["wandb"]["dir"]), Path(content["wandb"]["dir"])
    assert {name: logged[f"jobs_{name}"] for name in content["counts"]} == content["counts"]
    (cell,), (group,) = named(folder, logged["tables/fact_pairs/matrix"]), content["groups"]
    assert (cell["weak"], cell["strong"], cell["seeds"]) == (group["weak"], group["strong"], 2)
    assert [cell[name] for name in ("pgr", "low", "high")] == [group["pgr"][key] for key in ("value", "low", "high")]
    arms = named(folder, logged["tables/fact_pairs/arms"])
    for role in ("untuned", "floor", "student", "ceiling"):
        own = [row for row in arms if row["row"] == role]
        assert [row["seed's"] for row in own] == group[role]["per_seed"]
        assert {(row["value"], row["low"]) for row in own} == {(group[role]["value"], None)}, "two seeds: no interval"
    jobs = named(folder, logged["tables/fact_pairs/jobs"])
    assert [row["digest"] for row in jobs] == [job["digest"] for job in content["jobs"]]
    for row, job in zip(jobs, content["jobs"], strict=True):
        for part in ("floor", "student", "ceiling", "pgr"):
            assert (row[part], row[f"{part} low"]) == (job[part]["value"], job[part]["low"])
    stages = {row["digest"] for row in named(folder, logged["tables/fact_pairs/stages"])}
    assert {job["arms"]["student"] for job in content["jobs"]} <= stages


def test_the_curves_of_the_page_are_on_the_runs_of_the_jobs(mirrored: tuple[Path, dict[str, Any]]) -> None:
    place, _ = mirrored
    for folder in runs_of_jobs(place):
        logged = {key for one in records(folder) if one["type"] == "history" for key in one["history"]["item"]}
        assert {"floor/loss", "student/loss", "ceiling/loss"} <= logged


def runs_of_jobs(place: Path) -> list[str]:
    return [json.loads(file.read_text())["wandb"]["dir"] for file in (place / "outputs").glob("*/result.json")]


def table(folder: Path, entry: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """A logged table's columns and rows."""
    content = json.loads((folder / "files" / entry["path"]).read_text())
    assert entry["nrows"] == len(content["data"]) > 0
    return content["columns"], content["data"]


def named(folder: Path, entry: dict[str, Any]) -> list[dict[str, Any]]:
    columns, rows = table(folder, entry)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_a_rerun_makes_no_second_summary(mirrored: tuple[Path, dict[str, Any]]) -> None:
    place, content = mirrored
    words = ["sweeps=own", f"hydra.searchpath=[file://{place}/conf]"]
    sweep(place, *words, "tracking=offline", *SLOTS)
    assert ledger(place)["wandb"] == content["wandb"]
    assert len(list((Path(content["wandb"]["dir"]).parent).glob("offline-run-*"))) == 1
