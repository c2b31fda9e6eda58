"""A paradigm, an objective and a data set of one's own: code and YAML in another folder, no shared file touched."""

import json
import os
import re
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

FILES = {
    "doubting_recipe.py": RECIPE,
    "doubting_module.py": MODULE,
    "tempered_loss.py": LOSS,
    "parity_data.py": READER,
    "conf/paradigm/doubting.yaml": YAML,
    "conf/objective/tempered.yaml": LOSS_YAML,
    "conf/task/parity.yaml": TASK_YAML,
    "train.jsonl": "".join(f'{{"value": {n}}}\n' for n in range(200)),
    "test.jsonl": "".join(f'{{"value": {n}}}\n' for n in range(500, 560)),
}
DOUBTING = ("paradigm=doubting", "objective=tempered", *SMALL_WORLD)


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Writes all files into another folder; overrides for its data set, with a tiny model on both sides."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    model = make_folder(tmp_path / "model", "llama")
    return (
        "task=parity",
        *(f"task.{part}_file={tmp_path}/{part}.jsonl" for part in ("train", "test")),
        *(f"model@{side}=local" for side in ("weak", "strong")),
        *(f"{side}.path={model}" for side in ("weak", "strong")),
        "fit.evaluations=1",
    )


@pytest.mark.usefixtures("parity")
def test_a_paradigm_with_an_objective_from_another_folder_runs_to_its_result(tmp_path: Path) -> None:
    place = (f"hydra.searchpath=[file://{tmp_path}/conf]", "plugins=[doubting_recipe,doubting_module,tempered_loss]")
    command = [sys.executable, str(ROOT / "train.py"), *place, *DOUBTING, "tracking=disabled"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "outputs").glob("*/result.json")
    result = json.loads(file.read_text())
    assert result["student_of_record"] == "pupil"
    assert result["job"]["paradigm"] == "doubting"
    assert result["agreement"]["with_supervisor"] is not None
    fits = [json.loads(file.read_text()) for file in (tmp_path / "store" / "fit").glob("*/stage.json")]
    (student,) = [fit for fit in fits if fit["module"] == "doubting_module.Doubting"]
    assert student["objective"]["target"] == "tempered_loss.tempered", "code of others enters identity by its path"


def test_a_data_set_of_a_known_kind_is_a_reader_and_a_yaml_and_runs_to_its_result(
    parity: tuple[str, ...], tmp_path: Path
) -> None:
    there = (f"hydra.searchpath=[file://{tmp_path}/conf]", "plugins=[parity_data]", *parity)
    made = run_job(tmp_path, world=there)
    assert {"floor", "ceiling", "student", "untuned_words"} <= rows(made).keys()
    assert rows(made)["student"]["n"] == 60
    assert {(one.texts, one.label) for one in job(*there)[0].task.splits(0).test} == {
        ((f"is {n} odd ?",), n % 2) for n in range(500, 560)
    }


UNTRUSTED = "lies in the package '{0}', which this run does not trust: list it with `plugins=[{0}]`"


@pytest.mark.parametrize(
    ("plugins", "words", "message"),
    [
        ("doubting_recipe,tempered_loss", DOUBTING, UNTRUSTED.format("doubting_module")),
        ("doubting_recipe,doubting_module", DOUBTING, UNTRUSTED.format("tempered_loss")),
        ("", None, UNTRUSTED.format("parity_data")),
        ("parity_data", ("task.reader.number=valu",), "no column 'valu' (task.reader.number): did you mean `value`"),
    ],
)
def test_mistakes_in_other_peoples_code_are_explained_as_any_other(
    parity: tuple[str, ...], tmp_path: Path, plugins: str, words: tuple[str, ...] | None, message: str
) -> None:
    more = words if words == DOUBTING else (*parity, *(words or ()))
    with pytest.raises(UserError, match=re.escape(message)):
        job(f"hydra.searchpath=[file://{tmp_path}/conf]", f"plugins=[{plugins}]", *more)
    theirs = {Path(name).stem for name in FILES if name.endswith(".py")}
    assert theirs & sys.modules.keys() <= set(plugins.split(",")), "nothing else was imported"
