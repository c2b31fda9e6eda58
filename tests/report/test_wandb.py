"""The report's figures on wandb's summary run, read back with wandb's own tool; the workspace's layout without a login.

Run as a script, this file logs figures: `test_wandb.py SWEEP FOLDER`, in a process of its own.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.making import Made
from tests.report.reading import summary_of, without_wandb
from w2s_lightning.config.schema import Tracking
from w2s_lightning.report.writing import Reporter
from w2s_lightning.results.claims import cell_of
from w2s_lightning.show.__main__ import workspace
from w2s_lightning.show.mirror import log_report, media_key, mirror


def log(sweep: str, folder: str) -> None:
    settings = Tracking(mode="offline", project="p", entity=None, group=None, tags=(), init_timeout=20)
    naming = {"project": "p", "entity": None, "job_type": "sweep", "group": "g", "name": "summary", "tags": []}
    shown = Reporter(Path(sweep)).mirrored()
    done = mirror(naming, {}, lambda wandb, run: log_report(wandb, run, *shown), settings=settings, folder=Path(folder))
    print(json.dumps(done))


def test_the_figures_are_on_the_summary_run(made: Made, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.report.test_wandb", str(made.folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=without_wandb(tmp_path))
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout.splitlines()[-1])
    assert run["mode"] == "offline", done.stderr
    logged = summary_of(run["dir"])
    wanted = {"matrix", "arms", "sizes", "gap", "following", "calibration", "difficulty", "passes"}
    assert {f"figures/facts/{name}" for name in wanted} <= logged.keys()
    assert {f"tables/facts/{name}" for name in (*wanted, "paradigms", "jobs", "stages")} <= logged.keys()
    assert sum(key.startswith("figures/facts/paradigms/") for key in logged) == 6
    assert {value["_type"] for key, value in logged.items() if key.startswith("figures/")} == {"plotly-file"}
    (file,) = Path(run["dir"]).glob("files/media/plotly/figures/facts/matrix*.json")
    (heat,) = json.loads(file.read_text())["data"]
    assert heat["type"] == "heatmap"
    assert heat["x"] == ["weak_to_strong", "distillation"]


def test_figures_for_wandb_have_colours_and_no_tokens(made: Made) -> None:
    figures, _ = Reporter(made.folder).mirrored()
    assert {"facts/matrix", "facts/arms", "facts/paradigms/nano → small"} <= figures.keys()
    assert "var(--" not in json.dumps(figures)
    assert media_key("facts/paradigms/nano → small") == "figures/facts/paradigms/nano_small"


def test_runs_group_by_everything_but_the_seed() -> None:
    job = {"task": "facts", "paradigm": "weak_to_strong", "weak": "nano", "strong": "small", "seed": 0}
    overrides = ["model@weak=nano", "objective=logconf", "seed=0", "paths.store=/x", "trainer.threads=1"]
    one = cell_of({"job": job, "overrides": overrides})
    other = cell_of({"job": {**job, "seed": 1}, "overrides": [*overrides[:2], "seed=1"]})
    assert one == other == "facts weak_to_strong nano-small objective=logconf"
    assert cell_of({"job": job}) == "facts weak_to_strong nano-small"


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
    log(*sys.argv[1:])
