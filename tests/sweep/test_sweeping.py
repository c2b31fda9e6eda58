"""Real sweeps through the command line: what is computed, what is written, what is refused."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.sweep.planning import grid_of
from tests.sweep.programs import (
    SLOTS,
    Smoke,
    command,
    computed,
    ledger,
    own_sweep_file,
    run,
    stamps,
    start,
    stored,
    sweep,
)
from w2s_lightning.sweep.pool import num_cores

FEW_CELLS = ("sweeps=smoke", "seed=0", "model@weak=nano")


def test_every_different_stage_is_computed_once(smoke: Smoke) -> None:
    names = computed(smoke.place)
    asked = [stage for job in grid_of("sweeps=smoke").jobs for stage in job.plan.stages]
    assert len(names) == len(set(names)) == len(stored(smoke.place)) == len({stage.digest for stage in asked})
    assert sum(stage.kind == "fit" for stage in asked) == 18
    assert sum(name.startswith("fit ") for name in names) == 14
    assert "(14 fits)" in smoke.printed


def test_a_sweep_ends_with_the_matrix(smoke: Smoke) -> None:
    lines = smoke.printed.splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("PGR [95 %] · fact_pairs · weak_to_strong"))
    assert lines[head + 2].split() == ["weak", "↓", "strong", "→", "nano", "micro"]
    assert [line.split()[0] for line in lines[head + 4 : head + 6]] == ["nano", "micro"]
    assert "intervals: over nothing: 2 seeds, with their own values in brackets" in smoke.printed


def test_each_job_has_the_result_that_it_has_alone(smoke: Smoke, tmp_path: Path) -> None:
    place = smoke.place
    shutil.copytree(place / "store", tmp_path / "store", copy_function=shutil.copy2)
    cell = ("sweeps=smoke", "model@weak=nano", "model@strong=micro", "seed=1")
    run(command(tmp_path, *cell, multirun=False))
    (alone,) = (tmp_path / "outputs").glob("*/result.json")
    ours = json.loads((place / "outputs" / alone.parent.name / "result.json").read_text())
    own = json.loads(alone.read_text())
    for key in ("digest", "rows", "pgr", "agreement", "gain_over_untuned"):
        assert own[key] == ours[key]


def test_the_files_of_a_sweep_have_a_row_a_job_and_a_row_a_group(smoke: Smoke) -> None:
    content = smoke.ledger
    counts = {"jobs": 6, "done": 6, "failed": 0, "running": 0, "waiting": 0, "inverted": 2, "repeated": 0}
    assert content["counts"] == counts
    assert [(g["weak"], g["strong"], g["n"], g["seeds"]) for g in content["groups"]] == [
        ("nano", "nano", 2, [0, 1]),
        ("nano", "micro", 2, [0, 1]),
        ("micro", "micro", 2, [0, 1]),
    ]
    for job in content["jobs"]:
        result = json.loads((smoke.place / "outputs" / job["folder"] / "result.json").read_text())
        assert job["pgr"] == result["pgr"]
        assert job["student"] == result["student"]
    for group in content["groups"]:
        own = [j for j in content["jobs"] if (j["weak"], j["strong"]) == (group["weak"], group["strong"])]
        assert group["student"]["per_seed"] == [job["student"]["value"] for job in own]
        assert group["student"]["value"] == pytest.approx(sum(job["student"]["value"] for job in own) / 2)
    (file,) = (smoke.place / "outputs" / "sweeps").glob("*/sweep.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [row["digest"] for row in rows] == [job["digest"] for job in content["jobs"]]
    assert [row["student"] for row in rows] == [job["student"]["value"] for job in content["jobs"]]


def test_each_launch_reports_its_seconds_and_memory(smoke: Smoke) -> None:
    launched = smoke.ledger["times"]["launched"]
    assert len(launched) == 22, "labels and evaluations go along with their fits"
    assert all(told["seconds"] > 0 and told["peak_memory_bytes"] > 10**7 for told in launched.values())


def test_a_rerun_launches_nothing_and_changes_nothing_but_when_it_ran(smoke: Smoke) -> None:
    (file,) = (smoke.place / "outputs" / "sweeps").glob("*/sweep.json")
    before, text = stamps(smoke.place), file.read_text()
    printed = sweep(smoke.place, "sweeps=smoke", *SLOTS)
    assert "6 jobs, 6 of them done; to launch: 0 stages (0 fits), 0 scorings" in printed
    assert file.read_text() != text
    assert without_its_time(file.read_text()) == without_its_time(text)
    assert stamps(smoke.place) == before


def without_its_time(text: str) -> str:
    """sweep.json without when the last run was and how long it took, all else byte by byte."""
    content = json.loads(text)
    content["times"] |= {"started": None, "seconds": None}
    return json.dumps(content, indent=1)


def test_a_rerun_that_launches_some_units_keeps_what_is_known_of_the_others(smoke: Smoke, tmp_path: Path) -> None:
    shutil.copytree(smoke.place, tmp_path / "copy", copy_function=shutil.copy2)
    lost = smoke.ledger["jobs"][0]["folder"]
    (tmp_path / "copy" / "outputs" / lost / "result.json").unlink()
    sweep(tmp_path / "copy", "sweeps=smoke", *SLOTS)
    launched, earlier = ledger(tmp_path / "copy")["times"]["launched"], smoke.ledger["times"]["launched"]
    assert list(launched) == list(earlier)
    assert [name for name in launched if launched[name] != earlier[name]] == [f"score {lost}"]


def test_what_was_damaged_between_two_runs_is_mended_and_said(smoke: Smoke, tmp_path: Path) -> None:
    shutil.copytree(smoke.place, tmp_path / "copy", copy_function=shutil.copy2)
    outputs, lost = tmp_path / "copy" / "outputs", smoke.ledger["jobs"][0]["folder"]
    result, (file,) = outputs / lost / "result.json", outputs.glob("sweeps/*/sweep.json")
    student = next(row for row in json.loads(result.read_text())["rows"] if row["name"] == "student")
    (answers,) = (tmp_path / "copy" / "store" / "evaluate").glob(f"*-{student['evaluate'][:16]}/predictions.parquet")
    whole = answers.read_bytes(), json.loads(result.read_text())["pgr"]
    for damaged in (result, file, answers):
        damaged.write_bytes(damaged.read_bytes()[:-9])
    printed = sweep(tmp_path / "copy", "sweeps=smoke", *SLOTS)
    told = [line for line in printed.splitlines() if line.startswith("mended: ")]
    names = (f"evaluate {answers.parent.name}", str(result), str(file))
    assert sorted(told) == sorted(f"mended: {name} was damaged and was made again" for name in names)
    assert (answers.read_bytes(), json.loads(result.read_text())["pgr"]) == whole
    assert json.loads(file.read_text())["counts"] == smoke.ledger["counts"]
    assert "mended: " not in sweep(tmp_path / "copy", "sweeps=smoke", *SLOTS)


def test_a_plan_of_fewer_cells_finds_their_stages_and_results(smoke: Smoke) -> None:
    printed = sweep(smoke.place, "sweeps=smoke", "seed=0,0", "model@strong=micro", "run=plan")
    assert "note: seed=0 is given 2 times: run once" in printed
    assert "2 jobs (2 done)" in printed
    assert "0 to compute" in printed


def test_the_basic_launcher_gives_the_same_digests_and_metrics(smoke: Smoke, tmp_path: Path) -> None:
    basic, pool = tmp_path / "basic", tmp_path / "pool"
    shutil.copytree(smoke.place, pool, copy_function=shutil.copy2, ignore=shutil.ignore_patterns("sweeps"))
    sweep(pool, *FEW_CELLS, *SLOTS)  # computes nothing: it writes what the pool tells of these cells alone
    sweep(basic, *FEW_CELLS, "hydra/launcher=basic", "trainer.threads=1")
    assert stored(basic).items() <= stored(smoke.place).items()
    ours, theirs = ledger(pool), ledger(basic)
    assert theirs["counts"]["done"] == 2
    for key in ("digest", "counts", "groups"):
        assert theirs[key] == ours[key]
    for our, their in zip(ours["jobs"], theirs["jobs"], strict=True):
        assert their == our | {"overrides": their["overrides"]}


def test_two_identical_sweeps_at_once_do_no_work_twice_and_end_alike(smoke: Smoke, tmp_path: Path) -> None:
    both = [start(tmp_path, *FEW_CELLS, "hydra.launcher.slots=1") for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    names = computed(tmp_path)
    assert len(names) == len(set(names))
    assert ledger(tmp_path)["counts"]["done"] == 2
    assert stored(tmp_path).items() <= stored(smoke.place).items()


def test_a_plan_runs_nothing_and_prices_it(tmp_path: Path) -> None:
    printed = sweep(tmp_path, "sweeps=smoke", "run=plan")
    assert re.search(r"pretrain +8 +2 +0 +2", printed)
    assert re.search(r"fit +18 +14 +0 +14", printed)
    assert f"on {num_cores()} cores of this machine" in printed
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "outputs").exists()


def test_a_plan_for_accelerators_and_models_that_are_not_here(tmp_path: Path) -> None:
    large = ("model@strong=qwen2_5_14b", "strong.path=somebody/something-70B", "strong.params=70000000000")
    words = ("sweeps=size_pairs", "task=sciq", "model@weak=pythia_410m", *large)
    printed = sweep(tmp_path, *words, "run=plan", "run.accelerator=h100x64")
    assert "on 64 x h100" in printed
    assert "TB of disk" in printed
    assert "hub commits could not be looked up" in printed


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sweeps=smoke,lr"], "error: one sweep file at a time: run `sweeps=smoke` and then `sweeps=lr`"),
        (["sweeps=smok"], "error: there is no sweeps `smok` (sweeps/): did you mean `smoke`?"),
        (["sweeps=smoke", "seed="], "error: seed has an empty axis"),
        (
            ["sweeps=smoke", "model@weak=nano,nanu"],
            "error: there is no model `nanu` (conf/model/; a folder is typed ./nanu",
        ),
        (["sweeps=smoke", "fit.epoch=1,2"], "error: unknown key fit.epoch"),
        (["sweeps=smoke", "run=plan", "run.accelerator=h1"], "error: run.accelerator=h1: expected one of"),
        (["sweeps=smoke", "hydra.launcher.slots=64"], "error: 64 slots x 1 threads are more than the"),
        (["sweeps=smoke", "trainer.num_nodes=2"], "error: trainer.num_nodes=2: a fit runs on the devices of one"),
        (["sweeps=smoke", "paths.store=a,b"], "error: all jobs of a sweep share one store"),
        (["model@middle.m1=null,mini"], "error: null is no choice of a group (`model@middle.m1=null`)"),
        (["+sweeps=smoke"], "error: the group sweeps is chosen already: type `sweeps=...` without the +"),
    ],
)
def test_a_mistake_is_one_message_and_touches_nothing(words: list[str], expected: str, tmp_path: Path) -> None:
    where = [] if any(word.startswith("paths.") for word in words) else [f"paths.store={tmp_path}/store"]
    printed = run([*command(tmp_path, *words)[:-2], *where, f"paths.outputs={tmp_path}/outputs"], expect=1)
    errors = [line for line in printed.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].startswith(expected)
    assert "Traceback" not in printed
    assert not (tmp_path / "store" / "fit").exists()


def test_a_forgotten_m_is_said_and_the_command_of_one_cell_works(tmp_path: Path) -> None:
    printed = run(command(tmp_path, "sweeps=smoke", "seed=0", multirun=False), expect=1)
    assert "sweeps=smoke is a grid: run it with -m (`python train.py -m sweeps=smoke`)" in printed
    assert "or fix model@weak, model@strong to run one cell of it" in printed
    cell = ("sweeps=smoke", "seed=0", "model@weak=nano", "model@strong=micro", "run=plan")
    assert "fact_pairs · weak_to_strong · nano → micro · seed 0" in run(command(tmp_path, *cell, multirun=False))
    assert "sweeps=claims is a grid" in run(command(tmp_path, "sweeps=claims", multirun=False), expect=1)
    several = run(command(tmp_path, "sweeps=smoke,lr", multirun=False), expect=1)
    assert several == "error: `sweeps=smoke,lr` lists several values: run a grid with -m, or name one of them\n"


def test_jobs_of_one_sweep_that_want_different_devices_are_refused_by_the_pool(tmp_path: Path) -> None:
    words = own_sweep_file(
        tmp_path, {"cases": [{"model@strong": "small"}, {"model@strong": "mini", "trainer.devices": 2}]}
    )
    printed = sweep(tmp_path, *words, expect=1)
    assert "error: the pool gives every job of a sweep the same devices" in printed
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    assert "error: the store must be a folder" in sweep(tmp_path, "sweeps=smoke", expect=1)


def test_a_sweep_that_needs_more_disk_than_there_is_is_refused(tmp_path: Path) -> None:
    big = ("strong.width=65536", "strong.layers=200", "model@weak=nano", "model@strong=micro")
    printed = sweep(tmp_path, "sweeps=smoke", *big, expect=1)
    assert "error: this sweep writes about" in printed
    assert "name another store with paths.store=FOLDER" in printed
