"""What a cluster's launcher refuses before it does anything. Needs neither Slurm nor Ray."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.composing import ROOT
from tests.slurm.cells import CELLS
from tests.sweep.programs import command, run
from w2s_lightning import stages
from w2s_lightning.identity import Stage


def without(package: str, words: list[str]) -> list[str]:
    """The command as it runs where a package is not installed."""
    code = f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = {words[1:]!r}; "
    return [sys.executable, "-c", code + "runpy.run_path(sys.argv[0], run_name='__main__')"]


@pytest.mark.parametrize(
    ("launcher", "package", "extra"), [("slurm", "submitit", "slurm"), ("ray_cluster", "ray", "ray")]
)
def test_a_missing_extra_is_named_and_a_plan_needs_none(
    launcher: str, package: str, extra: str, tmp_path: Path
) -> None:
    words = without(package, command(tmp_path, *CELLS, f"hydra/launcher={launcher}"))
    printed = run(words, expect=1)
    errors = [line for line in printed.splitlines() if line.startswith("error:")]
    assert errors == [f"error: the launcher {launcher} needs an extra: pip install 'w2s-lightning[{extra}]'"]
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []
    words = without(package, command(tmp_path, *CELLS, f"hydra/launcher={launcher}", "run=plan"))
    assert "2 jobs (0 done)" in run(words)


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    words = (*CELLS, "hydra/launcher=slurm", "hydra.launcher.stages.fit.gpus=1")
    assert "error: unknown key hydra.launcher.stages.fit.gpus" in run(command(tmp_path, *words), expect=1)


def test_a_ray_cluster_that_is_not_there_is_said(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    words = (*CELLS, "hydra/launcher=ray_cluster", "hydra.launcher.address=127.0.0.1:1")
    printed = run(command(tmp_path, *words), expect=1)
    assert "error: no Ray cluster at hydra.launcher.address=127.0.0.1:1" in printed
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("launcher", ["slurm", "ray_cluster"])
def test_resources_can_be_given_for_every_kind_of_stage(launcher: str) -> None:
    settings = yaml.safe_load((ROOT / "conf" / "hydra" / "launcher" / f"{launcher}.yaml").read_text())
    classes = [one for one in vars(stages).values() if isinstance(one, type) and issubclass(one, Stage)]
    kinds = {one.kind for one in classes if one is not Stage}
    assert len(kinds) >= 5
    assert set(settings["stages"]) == kinds | {"score"}
    for own in settings["stages"].values():
        assert set(own) <= set(settings)
