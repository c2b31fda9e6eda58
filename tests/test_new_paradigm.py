"""A paradigm, an objective and a data set of one's own: code and YAML in another folder, no shared file touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.composing import ROOT, job
from tests.models.tiny import make_folder
from tests.small_jobs import SMALL_WORLD, rows, run_job
from w2s_lightning.errors import UserError

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


# ---------------------------------------------------------------- a data set of a known kind

READER = '''
from w2s_lightning.config.schema import record
from w2s_lightning.tasks.example import choice, group_id
from w2s_lightning.tasks.readers import Reader


@record
class Parity(Reader):
    """Numbers, odd or even."""

    kind = "choice"
    typical_tokens = 3

    number: str

    @property
    def class_names(self):
        return ("even", "odd")

    def columns(self):
        return self._named("number")

    def read(self, row, format):
        text = row.text(self.number)
        return choice([f"is {text} odd ?"], label=int(text) % 2, group=group_id(text))
'''
TASK_YAML = """
defaults:
  - _hub
  - _self_
name: parity
source:
  path: nobody/parity
reader:
  _target_: parity_data.Parity
  number: value
words: ["no", "yes"]
limits: {supervise: null, transfer: null, validation: null, test: null}
"""


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Overrides for a data set whose reader and YAML lie in another folder, and for a tiny model on both sides."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "parity_data.py").write_text(READER)
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "parity.yaml").write_text(TASK_YAML)
    for part, numbers in (("train", range(200)), ("test", range(500, 560))):
        (tmp_path / f"{part}.jsonl").write_text("".join(f'{{"value": {n}}}\n' for n in numbers))
    model = make_folder(tmp_path / "model", "llama")
    return (
        f"hydra.searchpath=[file://{tmp_path}/conf]",
        "task=parity",
        *(f"task.{part}_file={tmp_path}/{part}.jsonl" for part in ("train", "test")),
        *(f"model@{side}=local" for side in ("weak", "strong")),
        *(f"{side}.path={model}" for side in ("weak", "strong")),
        "fit.evaluations=1",
    )


def test_a_data_set_of_a_known_kind_is_a_reader_and_a_yaml_and_runs_to_its_result(
    parity: tuple[str, ...], tmp_path: Path
) -> None:
    made = run_job(tmp_path, "plugins=[parity_data]", world=parity)
    assert {"floor", "ceiling", "student", "untuned_words"} <= rows(made).keys()
    assert rows(made)["student"]["n"] == 60
    task = job(*parity, "plugins=[parity_data]")[0].task
    assert {(one.texts, one.label) for one in task.splits(0).test} == {
        ((f"is {n} odd ?",), n % 2) for n in range(500, 560)
    }


def test_a_readers_mistakes_are_explained_as_those_of_any_other(parity: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"no column 'valu' \(task.reader.number\): did you mean `value`"):
        job(*parity, "plugins=[parity_data]", "task.reader.number=valu")
    with pytest.raises(UserError, match=r"which this run does not trust: list it with `plugins=\[parity_data\]`"):
        job(*parity)
