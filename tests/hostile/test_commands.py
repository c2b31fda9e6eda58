"""The other commands: words, terminals and files that were made by nobody of ours."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.composing import ROOT
from tests.hostile.asking import Ask, check
from tests.report.making import Made, small
from w2s_lightning.__main__ import main as commands
from w2s_lightning.report.__main__ import main as report
from w2s_lightning.results.claims import main as claims
from w2s_lightning.rewardbench.__main__ import main as rewardbench
from w2s_lightning.show.__main__ import main as show
from w2s_lightning.store.__main__ import main as store
from w2s_lightning.tasks.export import main as export

ESCAPE = "\x1b[31m\x07"
FACTS = str(ROOT / "conf/task/fact_pairs.yaml")
EXPORT = ["--split", "test", "--seed", "0", "--out", "out.csv"]

WORDS: list[tuple[Callable[[list[str]], int], list[str], str]] = [
    (report, [f"--{ESCAPE}"], "unrecognized arguments"),
    (report, ["--text", "--outputs", ESCAPE], "nothing to show"),
    (report, ["--sweep", f"no{ESCAPE}"], "there is no folder"),
    (report, ["--claims", FACTS], "fact_pairs.yaml"),
    (report, ["--out", "outputs"], "cannot write"),
    (report, ["outputs"], "type `python -m w2s_lightning.report --outputs outputs`"),
    (report, ["--txet"], "--help` lists what there is"),
    (store, [], "the following arguments are required"),
    (store, ["rm"], "choose from 'ls', 'verify', 'gc'"),
    (store, ["verify", "nothing"], "unrecognized arguments: nothing"),
    (rewardbench, [], "the following arguments are required: MODEL, --data"),
    (rewardbench, ["nowhere", "--data", "x.jsonl"], "no such model: nowhere"),
    (commands, ["reprot"], "did you mean `report`?"),
    (commands, ["train"], "a job is `python train.py`"),
    (claims, [ESCAPE], "unrecognized arguments"),
    (claims, ["--claims", ESCAPE], "there is no"),
    (claims, ["--claims", "outputs"], "it is no file"),
    (store, [f"ls{ESCAPE}"], "invalid choice"),
    (store, ["gc", "--keep-days", "nan"], "must be 0 or more"),
    (store, ["gc", "--keep-days", ESCAPE], "invalid"),
    (store, ["ls", "--store", "outputs"], "is not a store"),
    (store, ["ls", "--store", ESCAPE], "there is no store"),
    (show, [], "required"),
    (show, [ESCAPE], "invalid choice"),
    (export, [], "required"),
    (export, [ESCAPE, *EXPORT], "no such task file"),
    (export, ["fact_pairs", *EXPORT], "did you mean `conf/task/fact_pairs.yaml`?"),
    (export, ["list.yaml", *EXPORT], "list.yaml is no YAML file of a task"),
    (export, ["binary.yaml", *EXPORT], "binary.yaml is no YAML file of a task"),
    (export, ["circle.yaml", *EXPORT], "circle.yaml leans on itself"),
    (export, ["strange.yaml", *EXPORT], "its defaults are no list"),
    (export, [FACTS, "seed=[", *EXPORT], "its value is no YAML"),
    (export, [FACTS, "world", *EXPORT], "world"),
    (export, [FACTS, *EXPORT[:-1], "outputs"], "outputs"),
]
FILES = {
    "list.yaml": b"- a\n- b\n",
    "binary.yaml": bytes(range(256)),
    "circle.yaml": b"defaults: [circle]\n",
    "strange.yaml": b"defaults: 5\n",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return small(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def place(ask: Ask, whole: Made) -> Path:
    shutil.copytree(whole.root, ask.place, dirs_exist_ok=True)
    ask.monkeypatch.chdir(ask.place)
    return ask.place


@pytest.mark.parametrize("command", dict.fromkeys(row[0] for row in WORDS), ids=lambda one: one.__module__)
def test_every_command_tells_its_words(ask: Ask, command: Callable[[list[str]], int]) -> None:
    assert "w2s_lightning" in ask._run(lambda: command(["--help"])).out


@pytest.mark.parametrize(("command", "words", "says"), WORDS, ids=[str(n) for n in range(len(WORDS))])
def test_words_that_are_none(
    ask: Ask, place: Path, command: Callable[[list[str]], int], words: list[str], says: str
) -> None:
    for name, content in FILES.items():
        (place / name).write_bytes(content)
    check(ask._run(lambda: command(words)), says, None)


# ---------------------------------------------------------------- values of other types in files of ours

OTHERS: list[tuple[str, str, Any, str]] = [
    ("outputs/fact_*/result.json", "notices", float("nan"), "notices"),
    ("outputs/fact_*/result.json", "cheats", -1, "cheats"),
    ("outputs/fact_*/result.json", "student_of_record", "\x1b", "student of record is none of its rows"),
    ("outputs/fact_*/result.json", "student_of_record", "\ud800", "half a character"),
    ("outputs/fact_*/result.json", "rows.2.value", "0" * 64, "rows.2.value"),
    ("outputs/fact_*/result.json", "stages.1.seconds", float("inf"), "stages.1.seconds"),
    ("outputs/fact_*/result.json", "stages.1.seconds", float("nan"), "stages.1.seconds"),
    ("outputs/fact_*/result.json", "ceiling.low", "x", "ceiling.low"),
    ("outputs/fact_*/result.json", "job.seed", 10**30, "job.seed"),
    ("outputs/fact_*/result.json", "pgr", {"value": None, "low": None, "high": None, "defined": True}, "pgr"),
    ("outputs/fact_*/result.json", "rows.1.strict", {"value": 0.5}, "a row has some of strict"),
    ("outputs/sweeps/*/sweep.json", "jobs.0.folder", "../../elsewhere", "a job's folder is no plain name"),
    ("outputs/sweeps/*/sweep.json", "jobs.0.folder", "/etc", "a job's folder is no plain name"),
    ("outputs/sweeps/*/sweep.json", "jobs.0.folder", "..", "a job's folder is no plain name"),
    ("outputs/sweeps/*/sweep.json", "digest", -1, "digest"),
    ("outputs/sweeps/*/sweep.json", "times", {"seconds": "x"}, "times.seconds"),
    ("outputs/sweeps/*/sweep.json", "jobs.0.log", {}, "jobs.0.log"),
    ("outputs/sweeps/*/sweep.json", "jobs.1.notices", 1e300, "jobs.1.notices"),
    ("outputs/sweeps/*/sweep.json", "groups.0.ceiling.per_seed", None, "groups.0.ceiling.per_seed"),
    ("outputs/sweeps/*/sweep.json", "groups.0.ceiling.per_seed.0", "", "groups.0.ceiling.per_seed.0"),
    ("outputs/sweeps/*/sweep.json", "groups.0.ceiling.per_seed", [0.5], "more or fewer figures than seeds"),
    ("outputs/sweeps/*/sweep.json", "verdicts", [{}], "verdicts.0"),
    ("outputs/sweeps/*/sweep.json", "wandb", 5, "wandb"),
]


@pytest.mark.parametrize(
    ("file", "key", "value", "says"), OTHERS, ids=[f"{one[1]}-{n}" for n, one in enumerate(OTHERS)]
)
def test_values_of_other_types_are_named(ask: Ask, place: Path, file: str, key: str, value: Any, says: str) -> None:
    path = sorted(place.glob(file))[0]
    content: Any = json.loads(path.read_text())
    *blocks, last = (int(part) if part.isdigit() else part for part in key.split("."))
    inner = content
    for block in blocks:
        inner = inner[block]
    inner[last] = value
    path.write_text(json.dumps(content))
    answer = ask._run(lambda: report(["--text"]))
    check(answer, ["damaged", says], 0)
    waits = ask._run(lambda: claims(["--claims", str(ROOT / "docs/claims.yaml")]))
    check(replace(waits, code=0), [path.name, says], None)  # what it waits for is its answer


@pytest.mark.parametrize("log", ["/dev/zero", "{place}/secret", "../../../secret", "linked", "jobs/x/log.txt"])
def test_only_a_log_of_its_own_is_shown(ask: Ask, place: Path, log: str) -> None:
    path = next(place.glob("outputs/sweeps/*/sweep.json"))
    (place / "secret").write_text("nobody's business")
    (path.parent / "linked").symlink_to(place / "secret")
    (path.parent / "jobs" / "x").mkdir(parents=True)
    (path.parent / "jobs" / "x" / "log.txt").write_text("it blew up")
    content = json.loads(path.read_text())
    content["jobs"][0] |= {"log": ask.filled(log), "state": "failed"}
    path.write_text(json.dumps(content))
    check(ask._run(lambda: report(["--out", "page.html"])), "page.html", 0)
    page = Path("page.html").read_text()
    assert "nobody's business" not in page
    assert ("it blew up" in page) == (log == "jobs/x/log.txt")


# ---------------------------------------------------------------- terminals

TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "narrow": {"COLUMNS": "1", "TERM": "dumb"},
    "none": {"COLUMNS": "0"},
}


@pytest.mark.parametrize("terminal", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in TERMINALS)])
def test_a_terminal_that_lacks_signs_gets_others(place: Path, terminal: str) -> None:
    environment = {**os.environ, **TERMINALS[terminal], "PYTHONPATH": str(ROOT)}
    for words in (["report", "--text"], ["report"], ["store", "ls"]):
        command = [sys.executable, "-m", f"w2s_lightning.{words[0]}", *words[1:]]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=place, timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), words
        assert done.stdout.strip(), words


@pytest.mark.slow
def test_closed_and_full_streams_are_no_traceback(place: Path) -> None:
    for redirection in (">&-", ">/dev/full", "2>&-", "<&-", "| true"):
        line = f"{sys.executable} -m w2s_lightning.store ls {redirection}"
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert b"Traceback" not in done.stderr, redirection
        assert len(done.stderr.splitlines()) <= 2, redirection
