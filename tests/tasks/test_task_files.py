"""Every YAML of conf/task binds, hashes, and offers what plans and executors ask of a task."""

import subprocess
import sys

import pytest

from tests.tasks.composing_tasks import CONF, task
from w2s_lightning.digest import digest
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.export import task_from_yaml

NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if not path.stem.startswith("_"))
OWN_FILES = ("local_choice", "local_preference", "local_reasoning")  # have no data of their own
PREFERENCE = ("anthropic_hh", "arithmetic_pairs", "shp", "ultrafeedback_binarized")
REASONING = ("arithmetic", "gsm8k", "local_reasoning", "math")  # see test_reasoning_tasks.py


def test_all_ready_tasks_are_there() -> None:
    expected = {"facts", "facts_null", "local_choice", "sciq", "boolq", "cosmos_qa", "openbookqa", "imdb"}
    assert expected | {"amazon_polarity"} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*OWN_FILES, *REASONING)])
def test_a_task_offers_what_is_asked_of_it(name: str) -> None:
    made = task(name)
    assert made.kind == ("preference" if name in PREFERENCE else "choice")
    assert made.name == name
    assert len(made.class_names) == made.num_classes
    wanted = 2 if made.layout == "options" else made.num_classes
    assert len(made.words) == wanted
    assert set(made.sizes()) == set(SPLITS)
    assert made.typical_tokens > 0
    assert len(digest(made)) == 64
    assert made == task_from_yaml(CONF / f"{name}.yaml", [])


def test_no_two_tasks_share_an_identity() -> None:
    digests = {digest(task(name)) for name in NAMES if name not in OWN_FILES}
    assert len(digests) == len(NAMES) - len(OWN_FILES)


def test_tasks_load_nothing_heavy() -> None:
    modules = ["facts", "local_choice", "hub_choice", "hub_questions", "supervisor_file", "export"]
    code = (
        f"import sys, {', '.join(f'w2s_lightning.tasks.{module}' for module in modules)}, w2s_lightning.selection\n"
        "heavy = {'torch', 'transformers', 'pytorch_lightning', 'wandb', 'datasets', 'pyarrow'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
