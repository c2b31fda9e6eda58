"""Every reasoning task offers what plans and executors ask of one, and loads nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks.composing_tasks import CONF, task
from tests.tasks.conftest import Write
from w2s_lightning.digest import digest
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.export import task_from_yaml
from w2s_lightning.tasks.task import ReasoningTask

NAMES = ("arithmetic", "gsm8k", "local_reasoning", "math")


@pytest.fixture
def overrides(jsonl: Write) -> dict[str, list[str]]:
    rows = [{"question": f"{n}?", "solution": f"{n}", "answer": n} for n in range(40)]
    more = [{"question": f"other {n}?", "solution": f"{n}", "answer": n} for n in range(9)]
    return {"local_reasoning": [f"train_file={jsonl('train', rows)}", f"test_file={jsonl('test', more)}"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_reasoning_task_offers_what_is_asked_of_it(name: str, overrides: dict[str, list[str]]) -> None:
    made: ReasoningTask = task(name, *overrides.get(name, []))
    assert made.kind == "reasoning"
    assert made.name == name
    assert set(made.sizes()) == set(SPLITS)
    assert made.typical_tokens > made.typical_solution_tokens > 0
    assert all(made.stop)
    assert made.prompt("what ?", ()).endswith(("Answer:", " a"))
    assert made.messages("what ?")[-1]["role"] == "user"
    assert made.completion("so 7").endswith("so 7")
    assert made.equal("7", made.parse("the answer is 7"))
    assert made.parse_strict("seven") is None
    assert made.grade(["7"], ["the answer is 7"])[0].flexible
    assert len(digest(made)) == 64
    assert hash(made) == hash(task(name, *overrides.get(name, [])))
    assert made == task_from_yaml(CONF / f"{name}.yaml", overrides.get(name, []))


def test_reasoning_tasks_load_nothing_heavy() -> None:
    modules = ["arithmetic", "gsm8k", "math_task", "local_reasoning", "solutions_file"]
    names = ", ".join(f"w2s_lightning.tasks.{module}" for module in modules)
    code = (
        f"import sys, {names}, w2s_lightning.solutions\n"
        "heavy = {'torch', 'transformers', 'pytorch_lightning', 'datasets', 'pyarrow', 'sympy', 'math_verify'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.split() == []
