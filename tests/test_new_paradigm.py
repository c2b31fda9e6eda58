"""A paradigm of one's own: recipe, Lightning module and YAML in another folder, no shared file touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.composing import ROOT
from tests.small_jobs import SMALL_WORLD

RECIPE = """
from w2s_lightning.recipes.setting import Recipe, Setting
from w2s_lightning.schema import Share, record


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
YAML = """
defaults:
  - /objective@objectives.choice: xent
  - _self_
recipe: doubting_recipe
module: doubting_module.Doubting
student_of_record: pupil
keep: 0.5
"""


def test_a_paradigm_from_another_folder_runs_to_its_result(tmp_path: Path) -> None:
    (tmp_path / "doubting_recipe.py").write_text(RECIPE)
    (tmp_path / "doubting_module.py").write_text(MODULE)
    (tmp_path / "conf" / "paradigm").mkdir(parents=True)
    (tmp_path / "conf" / "paradigm" / "doubting.yaml").write_text(YAML)
    command = [sys.executable, str(ROOT / "train.py"), f"hydra.searchpath=[file://{tmp_path}/conf]"]
    done = subprocess.run(
        [*command, "paradigm=doubting", "tracking=disabled", *SMALL_WORLD],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "outputs").glob("*/result.json")
    result = json.loads(file.read_text())
    assert result["student_of_record"] == "pupil"
    assert result["job"]["paradigm"] == "doubting"
    assert result["agreement"]["with_supervisor"] is not None
