"""One wandb run per job, read back with wandb's own tool; no server, no key and no terminal is no problem.

Run as a script, this file is a job: `test_mirror.py FOLDER MODE INIT_TIMEOUT`. Each test gets a fresh process, since
wandb reads its environment once.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.reading import inspect, without_wandb
from w2s_lightning.config.schema import Tracking
from w2s_lightning.results.claims import cell_of
from w2s_lightning.show.__main__ import workspace
from w2s_lightning.show.mirror import log_job

KEY = "f" * 20 + "0123456789abcdef" * 2


def interval(value: float | None) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 0.05, value + 0.05)
    return {"value": value, "low": low, "high": high, "n": 200}


RESULT: dict[str, Any] = {
    "job": {"task": "facts", "paradigm": "weak_to_strong", "weak": "micro", "strong": "small", "seed": 3},
    "overrides": ["model@weak=micro", "objective=logconf", "seed=3", "paths.store=/x", "trainer.threads=1"],
    "metric": "accuracy",
    "rows": [
        {"name": "floor", "role": "floor", **interval(0.7), "information": {"gold_seen_by_student": 100}},
        {"name": "xent", "role": "student", **interval(0.8), "information": None, "pgr": interval(0.5)},
    ],
    "untuned": None,
    "floor": interval(0.7),
    "student": interval(0.8),
    "ceiling": interval(0.9),
    "pgr": {"value": 0.5, "low": 0.4, "high": 0.6, "defined": True, "reason": None},
    "gain_over_untuned": {"value": 0.2, "low": 0.1, "high": 0.3},
    "agreement": {"with_supervisor": 0.8, "when_supervisor_right": interval(0.9), "when_supervisor_wrong": None},
    "cheats": ["oracle_threshold"],
    "stages": [
        {"kind": "fit", "label": "micro", "digest": "a" * 64, "cached": True, "seconds": 10.0},
        {"kind": "fit", "label": "small", "digest": "b" * 64, "cached": False, "seconds": 4.0},
    ],
}
HISTORIES: dict[str, list[dict[str, Any]]] = {
    "floor": [{"step": 10 * i, "loss": 1 / (i + 1)} for i in range(4)],
    "student": [{"step": 5 * i, "loss": 2 / (i + 1), "accuracy": None, "note": "text"} for i in range(6)],
}
CONFIG: dict[str, Any] = {
    "seed": 3,
    "trainer": {"tokens_per_batch": 4096, "env": {"HOME": "/home/someone"}},
    "supervisor": {"api_key": KEY, "hubToken": KEY, "password": KEY},
}


def main(folder: str, mode: Any, init_timeout: str) -> None:
    settings = Tracking(
        mode=mode, project="p", entity=None, group=None, tags=("mine",), init_timeout=float(init_timeout)
    )
    told = {"result": RESULT, "cell": cell_of(RESULT), "histories": HISTORIES, "config": CONFIG}
    done = log_job(**told, settings=settings, folder=Path(folder))
    imported = sorted({"wandb", "torch"} & set(sys.modules))
    print(json.dumps({**done, "imported": imported}))


def job(folder: Path, mode: str, init_timeout: float = 20, **environment: str) -> tuple[dict[str, Any], str]:
    """What a job's process returned and wrote to the terminal; its exit is part of what may not hang."""
    kept = without_wandb(folder.parent, **environment)
    warnings = ["-W", "error", "-W", "ignore:Implicitly cleaning up:ResourceWarning"]  # 2026-11: wandb's own, at exit
    command = [sys.executable, *warnings, __file__, str(folder), mode, str(init_timeout)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env=kept
    )
    assert done.returncode == 0, done.stderr
    *chatter, last = done.stdout.splitlines()
    return json.loads(last), "\n".join(chatter) + done.stderr


def records(folder: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in inspect(folder).splitlines()]


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An offline run without a key or a terminal."""
    folder = tmp_path_factory.mktemp("tracking") / "job"
    done, terminal = job(folder, "auto")
    assert done["mode"] == "offline"
    assert done["imported"] == ["wandb"], "and no torch"
    assert terminal == "", "wandb is silent"
    assert Path(done["dir"]).parent == folder / "wandb"
    return done


def test_the_run_has_config_names_and_the_figures(offline: dict[str, Any]) -> None:
    summary = json.loads(inspect(offline["dir"], "--summary"))
    assert summary["state"] == "finished"
    assert summary["exit_code"] == 0
    assert summary["run_id"] == offline["id"]
    assert summary["name"] == "facts weak_to_strong micro-small objective=logconf s3"
    assert sorted(summary["tags"]) == ["cheat", "mine"]
    assert summary["config"]["job"] == RESULT["job"]
    assert summary["config"]["trainer"] == {"tokens_per_batch": 4096}
    figures = summary["summary"]
    assert (figures["pgr"], figures["pgr_low"], figures["pgr_high"], figures["pgr_defined"]) == (0.5, 0.4, 0.6, True)
    assert (figures["floor"], figures["student"], figures["ceiling"]) == (0.7, 0.8, 0.9)
    assert figures["student_high"] == pytest.approx(0.85)
    assert figures["gain_over_untuned"] == 0.2
    assert figures["agreement_with_supervisor"] == 0.8
    assert figures["agreement_when_supervisor_right"] == 0.9
    assert figures["seconds_computed_now"] == 4.0
    assert figures["cheats"] == "oracle_threshold"
    assert figures["rows"]["nrows"] == 2


def test_jobs_that_differ_only_in_the_seed_share_a_group(offline: dict[str, Any]) -> None:
    run = next(record["run"] for record in records(offline["dir"]) if record["type"] == "run")
    assert run["run_group"] == "facts weak_to_strong micro-small objective=logconf"
    assert run["job_type"] == run["run_group"]


def test_every_stages_curve_is_replayed_against_its_own_step(offline: dict[str, Any]) -> None:
    read = records(offline["dir"])
    items = [record["history"]["item"] for record in read if record["type"] == "history"]
    for name, rows in HISTORIES.items():
        curve = [(item[f"{name}/step"], item[f"{name}/loss"]) for item in items if f"{name}/loss" in item]
        assert curve == [(row["step"], pytest.approx(row["loss"])) for row in rows]
    axes = {r["metric"]["glob_name"]: r["metric"]["step_metric"] for r in read if "glob_name" in r.get("metric", {})}
    assert axes == {"floor/*": "floor/step", "student/*": "student/step"}


def test_the_table_of_rows_is_there(offline: dict[str, Any]) -> None:
    table = json.loads(next(Path(offline["dir"]).rglob("*.table.json")).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["name"] for row in rows] == ["floor", "xent"]
    assert rows[0]["information"] == '{"gold_seen_by_student": 100}'
    assert (rows[0]["pgr"], rows[1]["pgr"]) == (None, 0.5)


def test_nothing_private_is_written(offline: dict[str, Any]) -> None:
    files = [path for path in Path(offline["dir"]).rglob("*") if path.is_file()]
    assert not [path for path in files if path.name in ("wandb-metadata.json", "requirements.txt", "config.yaml")]
    content = b"".join(path.read_bytes() for path in files)
    for private in (KEY, "/home/someone", socket.gethostname() + '"', "origin", Path(__file__).name):
        assert private.encode() not in content


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_refuses_means_offline_with_one_warning(tmp_path: Path) -> None:
    done, terminal = job(tmp_path / "job", "online", 2, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY=KEY)
    assert done["mode"] == "offline"
    assert terminal.count("NOT ONLINE") == 1
    assert [path.name for path in (tmp_path / "job" / "wandb").glob("*run-*")] == [Path(done["dir"]).name]
    assert json.loads(inspect(done["dir"], "--summary"))["summary"]["pgr"] == 0.5
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_a_server_that_never_answers_delays_a_job_by_the_timeout_only(tmp_path: Path, silent_server: str) -> None:
    begun = time.monotonic()
    job(tmp_path / "offline", "offline")
    alone = time.monotonic() - begun  # on this machine, as busy as it is
    done, terminal = job(tmp_path / "job", "auto", 2, WANDB_BASE_URL=silent_server, WANDB_API_KEY=KEY)
    taken = time.monotonic() - begun - alone
    assert taken < 2 + 4 * alone, "on a quiet machine 4 s against 2 s, of which 2 s are the timeout; wandb alone 24 s"
    assert done["mode"] == "offline"
    assert "NOT ONLINE" in terminal


@pytest.mark.parametrize(
    ("mode", "known_by", "environment", "words"),
    [
        ("auto", "netrc", {"WANDB_BASE_URL": "http://127.0.0.1:9"}, "NOT ONLINE"),  # it tried
        ("online", "", {}, "wandb login"),
        ("auto", "", {"WANDB_API_KEY": "short"}, "invalid"),
    ],
    ids=["a key in netrc counts as logged in", "without a login nobody is asked", "an unusable key"],
)
def test_whatever_hinders_a_run_from_going_online_is_one_warning(
    tmp_path: Path, mode: str, known_by: str, environment: dict[str, str], words: str
) -> None:
    if known_by:
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1:9\n  login user\n  password {KEY}\n")
        (tmp_path / ".netrc").chmod(0o600)
    done, terminal = job(tmp_path / "job", mode, 1, **environment)
    assert words in terminal
    assert done["mode"] == "offline"


def test_disabled_does_nothing_and_imports_no_wandb(tmp_path: Path) -> None:
    for mode, from_environment in (("disabled", "online"), ("auto", "disabled")):
        done, _ = job(tmp_path / "job", mode, WANDB_MODE=from_environment)
        assert (done["mode"], done["id"], done["dir"]) == ("disabled", None, None)
        assert done["imported"] == []
        assert not (tmp_path / "job").exists()


def test_a_broken_set_up_costs_a_warning_and_not_the_job(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file where the folder should be")
    done, terminal = job(tmp_path / "job", "offline")
    assert done["mode"] == "failed"
    assert "not tracked" in terminal


# ---------------------------------------------------------------- the workspace


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_workspace_is_laid_out_without_a_login() -> None:
    pytest.importorskip("wandb_workspaces")
    content = json.loads(workspace("me", "p", ("facts",))._to_model().model_dump_json(by_alias=True))
    section = content["spec"]["section"]
    names = [one["name"] for one in section["panelBankConfig"]["sections"]]
    panels = [panel for one in section["panelBankConfig"]["sections"] for panel in one.get("panels", [])]
    assert {"Sweep", "Cells", "Agreement", "Curves", "Runs"} <= set(names)
    assert [panel["viewType"] for panel in panels].count("Run History Line Plot") == 3
    assert "figures/facts/matrix" in panels[0]["config"]["mediaKeys"]
    assert any("pgr" in json.dumps(panel["config"]) for panel in panels if panel["viewType"] == "Bar Chart")
    (runs,) = section["runSets"]
    assert "cell" in json.dumps(runs["grouping"])


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        ((), {}, "wandb login"),
        (("--entity", "me"), {}, "wandb login"),
        ((), {"WANDB_API_KEY": "f" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "did not save the workspace"),
    ],
)
def test_saving_a_workspace_without_a_login_or_a_server_says_so_in_one_line(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    kept = without_wandb(tmp_path, **environment)
    command = [sys.executable, "-m", "w2s_lightning.show", "workspace", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=kept)
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


if __name__ == "__main__":
    main(*sys.argv[1:])
