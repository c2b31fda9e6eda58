"""Every YAML of conf/task binds, hashes, and offers what plans and executors ask of a task."""

import subprocess
import sys
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.tasks.composing_tasks import CONF, task
from tests.tasks.conftest import Files
from w2s_lightning.config.bind import bind_target
from w2s_lightning.config.mistakes import Origin
from w2s_lightning.identity import digest
from w2s_lightning.tasks.example import SPLITS, Solution

NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if not path.stem.startswith("_"))
OWN_FILES = ("local_choice", "local_preference", "local_reasoning")  # have no data of their own
PREFERENCE = ("anthropic_hh", "arithmetic_pairs", "local_preference", "shp", "ultrafeedback_binarized")
REASONING = ("arithmetic", "gsm8k", "local_reasoning", "math", "word_problems")


@pytest.fixture
def given(files: Files) -> dict[str, list[str]]:
    """The files that a task needs, by its name."""
    return {f"local_{kind}": [f"train_file={train}", f"test_file={test}"] for kind, (train, test) in files.items()}


def composed(name: str, *overrides: str) -> Any:
    """The task as `train.py` composes and binds it."""
    with initialize_config_dir(str(CONF.parent), version_base="1.3"):
        cfg = compose("config", overrides=[f"task={name}", *(f"task.{override}" for override in overrides)])
    values = OmegaConf.to_container(cfg.task, resolve=True)
    assert isinstance(values, dict)
    for key in ("judge", "benchmark", "benchmark_overlap", "test_samples"):
        values.pop(key, None)
    return bind_target({str(key): value for key, value in values.items()}, Origin("task", name))


def test_all_ready_tasks_are_there() -> None:
    expected = {"fact_pairs", "fact_claims", "local_choice", "sciq", "boolq", "cosmos_qa", "openbookqa", "imdb"}
    assert expected | {"amazon_polarity", *PREFERENCE, *REASONING} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_offers_what_is_asked_of_it(name: str, given: dict[str, list[str]]) -> None:
    made = task(name, *given.get(name, []))
    assert made.kind == ("preference" if name in PREFERENCE else "reasoning" if name in REASONING else "choice")
    assert made.name == name
    assert set(made.sizes()) == set(SPLITS)
    assert len(digest(made)) == 64
    assert hash(made) == hash(task(name, *given.get(name, [])))
    assert made == composed(name, *given.get(name, []))
    assert made.typical_tokens > 0
    if made.kind == "reasoning":
        assert made.typical_tokens > made.typical_solution_tokens > 0
        assert all(made.format.stop)
        assert made.format.prompt(made.format.asked("what ?")).endswith(("Answer:", " a"))
        assert made.key.equal("7", made.key.parse("the answer is 7"))
        assert made.key.parse_strict("seven") is None
        assert made.key.grade(["7"], [Solution("q", "the answer is 7", None)])[0].flexible
    else:
        assert len(made.class_names) > 1
        assert len(made.words) == (2 if made.layout == "options" else len(made.class_names))


def test_overrides_merge_as_those_of_a_job() -> None:
    flaws = ("flaws={answer: 3, slip: 0}", "format.user='q {text} a'", "world.grading.steps=[0.5,0.5]", "seed=7")
    assert task("arithmetic_pairs", *flaws) == composed("arithmetic_pairs", *flaws) != task("arithmetic_pairs")


def test_a_tasks_name_is_for_people_and_no_part_of_its_identity() -> None:
    for name in ("fact_pairs", "fact_claims", "arithmetic", "arithmetic_pairs", "word_problems", "sciq"):
        assert digest(task(name, "name=other")) == digest(task(name))


def test_no_two_tasks_share_an_identity() -> None:
    digests = {digest(task(name)) for name in NAMES if name not in OWN_FILES}
    assert len(digests) == len(NAMES) - len(OWN_FILES)


def test_tasks_load_nothing_heavy() -> None:
    modules = ["worlds.facts", "worlds.arithmetic_pairs", "task", "reward_sets", "supervisor_file", "export"]
    code = (
        f"import sys, {', '.join(f'w2s_lightning.tasks.{module}' for module in modules)}, w2s_lightning.selection\n"
        "heavy = {'torch', 'transformers', 'pytorch_lightning', 'wandb', 'datasets', 'pyarrow', 'math_verify'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
