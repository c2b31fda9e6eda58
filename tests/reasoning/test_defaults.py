"""What reasoning tasks take other than the common defaults: the pair, room for few-shot prompts, the published rule."""

import pytest

from tests.composing import job as bound
from tests.composing import plan as planned
from w2s_lightning.recipes.setting import UNTUNED_SHOWN
from w2s_lightning.stages import Select


def pair(*overrides: str) -> tuple[str, str]:
    job, _ = bound(*overrides)
    return job.weak.name, job.strong.name


def test_the_default_pair_is_the_tasks_own_and_the_command_line_wins() -> None:
    assert pair() == pair("task=fact_claims") == ("micro", "small")
    assert pair("task=arithmetic") == pair("task=arithmetic_pairs") == ("mini", "small")
    assert pair("model@weak=micro", "task=arithmetic") == ("micro", "small")
    assert pair("task=arithmetic", "model@weak=nano", "model@strong=mini") == ("nano", "mini")


def test_naming_the_default_pair_changes_no_digest() -> None:
    for task in ("task=arithmetic", "task=arithmetic_pairs"):
        assert planned(task).digest == planned(task, "model@weak=mini").digest


@pytest.mark.parametrize("task", ["arithmetic", "gsm8k", "math"])
def test_few_shot_prompts_and_their_solutions_have_room_by_default(task: str) -> None:
    """512 tokens, the default of choice tasks, would refuse nearly every draw of four examples of GSM8K."""
    job, _ = bound(f"task={task}")
    question = job.task.typical_tokens - job.task.typical_solution_tokens
    needed = UNTUNED_SHOWN * job.task.typical_tokens + question + job.generation.max_new_tokens
    assert job.fit.max_length >= needed
    assert job.generation.max_new_tokens >= 2 * job.task.typical_solution_tokens


def pairs_and_iterations(*overrides: str) -> tuple[int, int]:
    local = [part for side in ("weak", "strong") for part in (f"model@{side}=pythia_70m",)]
    stages = [stage for stage in planned(*local, *overrides).stages if isinstance(stage, Select)]
    (made,) = (stage for stage in stages if stage.rule == "contrastive_pairs")
    hybrids = [stage for stage in stages if stage.rule == "agreement" and stage.options["learn"] == "hybrid"]
    return made.options["most_pairs"], len(hybrids)


def test_pairs_and_iterations_are_the_published_ones_of_each_data_set() -> None:
    assert pairs_and_iterations("task=gsm8k") == (1, 2)
    assert pairs_and_iterations("task=arithmetic") == (1, 1)
    assert pairs_and_iterations("task=math") == (3, 1)
    assert pairs_and_iterations("task=math", "paradigm.pairs_per_question=1") == (1, 1)
    assert bound("task=math", "paradigm=supervised")[0].paradigm_name == "supervised"
