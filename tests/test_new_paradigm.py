"""A paradigm and an objective of one's own: recipe, module, loss and YAML in another folder, no shared file touched.

A data set of one's own is in `tests/tasks/test_own_files.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.composing import ROOT
from tests.small_jobs import SMALL_WORLD

RECIPE = """
from w2s_lightning.recipes.recipe import Recipe
from w2s_lightning.recipes.setting import Setting
from w2s_lightning.config.schema import Share, record


@record
class Options:
    keep: Share


def build(setting: Setting, options: Options) -> Recipe:
    targets = setting.select("confidence_filter", setting.supervision("transfer"), threshold=options.keep)
    student = setting.fit(setting.strong, targets, setting.supervision("validation"))
    return Recipe((setting.row("pupil", "student", setting.strong, student),), "floor")
"""
MODULE = """
from typing import final
from w2s_lightning.fit.paradigms import Base


@final
class Doubting(Base):
    def loss(self, batch):
        return 0.5 * super().loss(batch)

    def diagnostics(self, batch):
        return {}
"""
LOSS = """
from w2s_lightning.config.schema import Positive


def tempered(logits, probs, *, fraction, power: Positive):
    target = probs**power
    return -(target / target.sum(-1, keepdim=True) * logits.log_softmax(-1)).sum(-1)
"""
LOSS_YAML = """
_target_: tempered_loss.tempered
self_target: false
power: 0.5
"""
YAML = """
defaults:
  - /objective@objectives.choice: xent
  - _self_
recipe: {_target_: doubting_recipe.build}
module: {_target_: doubting_module.Doubting}
keep: 0.5
"""


def doubt(tmp_path: Path, *plugins: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "doubting_recipe.py").write_text(RECIPE)
    (tmp_path / "doubting_module.py").write_text(MODULE)
    (tmp_path / "tempered_loss.py").write_text(LOSS)
    for group, name, text in (("paradigm", "doubting", YAML), ("objective", "tempered", LOSS_YAML)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    command = [sys.executable, str(ROOT / "train.py"), f"hydra.searchpath=[file://{tmp_path}/conf]"]
    return subprocess.run(
        [
            *command,
            "paradigm=doubting",
            "objective=tempered",
            f"plugins=[{','.join(plugins)}]",
            "tracking=disabled",
            *SMALL_WORLD,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )


def test_a_paradigm_with_an_objective_from_another_folder_runs_to_its_result(tmp_path: Path) -> None:
    done = doubt(tmp_path, "doubting_recipe", "doubting_module", "tempered_loss")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "outputs").glob("*/result.json")
    result = json.loads(file.read_text())
    assert result["student_of_record"] == "pupil"
    assert result["job"]["paradigm"] == "doubting"
    assert result["agreement"]["with_supervisor"] is not None
    fits = [json.loads(file.read_text()) for file in (tmp_path / "store" / "fit").glob("*/stage.json")]
    (student,) = [fit for fit in fits if fit["module"] == "doubting_module.Doubting"]
    assert student["objective"]["target"] == "tempered_loss.tempered", "code of others enters identity by its path"


def test_code_of_a_package_that_is_not_listed_is_never_imported(tmp_path: Path) -> None:
    done = doubt(tmp_path, "doubting_recipe", "tempered_loss")
    assert done.returncode == 1
    assert "conf/paradigm/doubting.yaml: paradigm.module._target_=doubting_module.Doubting" in done.stderr
    assert "list it with `plugins=[doubting_module]`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()
