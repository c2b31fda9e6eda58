"""What a user can get wrong on reasoning tasks: each is answered in one or two lines, as early as it can be known."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.composing import plan as planned
from tests.reasoning.conftest import Write, solved
from tests.small_jobs import SMALL_ARITHMETIC, rows, run_job
from tests.test_config import train
from w2s_lightning.data.model_texts import QuestionWriter
from w2s_lightning.errors import UserError
from w2s_lightning.execute import label
from w2s_lightning.models.load import Source, load_tokenizer

TOKEN = ("paradigm=distillation", "paradigm.level=token")
STRONG = ("model@strong=local", "strong.path={decoder}")

ON_PAPER = [
    (["task.format.chat_template=default"], "the tokenizer of nano has none: take plain text"),
    (["model@strong=local", "strong.path={encoder}"], "is an encoder and writes no solutions: take a decoder"),
    (["fit=probe"], "a probe trains a head, and a reasoning task has none: use fit.tuning=full"),
    (["model@middle.m1=mini"], "no bootstrapping through middle models: leave model@middle.* out"),
    (["generation.temperature=0"], "at temperature=0 gives no vote: use generation.num_samples=10"),
    (["generation.num_samples=1"], "generation.num_samples=1 at temperature=1 gives no vote"),
    (["generation.top_p=0"], "generation.top_p=0 (conf/generation/default.yaml): input should be greater than 0"),
    (["paradigm.student_of_record=stage_3"], "stage_3 is no row of this recipe: take one of full_weak"),
    (["paradigm.contrast=false", "objective=orpo"], "objective=orpo trains nothing here"),
    (["task.judge.metric=auroc"], "task.judge.metric=auroc: solutions are right or wrong: use accuracy"),
    (["fit.readout=words"], "fit.readout=words: solutions are read as text, whatever it says: leave it out"),
    (["fit.readout=implicit"], "fit.readout=implicit: solutions are read as text"),
    (["objective=xent"], "reads logits and probs; paradigm weak_to_strong on tasks of kind reasoning has log_probs"),
    (["paradigm=self_improvement", "objective=dpo"], "take objective=sft or one that reads the same"),
    ([*TOKEN, "objective=sft", "generation.top_log_probs=3"], "take objective=kd_tokens"),
    ([*TOKEN], "needs the teacher's likeliest tokens: generation.top_log_probs=20"),
    ([*TOKEN, "generation.top_log_probs=3", *STRONG], "has another vocabulary"),
]


@pytest.fixture
def folders(folder: Callable[[str], Path]) -> dict[str, Path]:
    return {"encoder": folder("bert"), "decoder": folder("llama")}


@pytest.mark.parametrize(("overrides", "message"), ON_PAPER, ids=[" ".join(o) for o, _ in ON_PAPER])
def test_what_can_be_known_on_paper_is_refused_by_the_plan(
    overrides: list[str], message: str, folders: dict[str, Path]
) -> None:
    world = [o for o in SMALL_ARITHMETIC if "model@strong=local" not in overrides or not o.startswith("strong.")]
    with pytest.raises(UserError) as refused:
        planned(*world, *(o.format(**folders) for o in overrides))
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 2


def test_objectives_of_pairs_and_text_are_none_of_a_choice_task() -> None:
    words = r"reads log_probs and reference and probs; .* of kind choice has logits and probs"
    with pytest.raises(UserError, match=words):
        planned("objective=dpo")
    with pytest.raises(UserError, match=r"fit\.readout=text is for reasoning tasks, which always use it"):
        planned("fit.readout=text")


def test_a_template_that_the_tokenizer_lacks_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    task = planned(*SMALL_ARITHMETIC).rows[0].evaluate.task
    bare, folder = folders["decoder"], shutil.copytree(folders["decoder"], tmp_path / "chatty")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}<assistant>"
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    asked = [o for o in SMALL_ARITHMETIC if not o.startswith(("strong.", "weak."))]
    both = [f"model@{model}=local" for model in ("weak", "strong")] + [f"strong.path={folder}"]
    plan = planned(*asked, *both, f"weak.path={folder}", "task.format.chat_template=default")
    writing = QuestionWriter(plan.rows[0].evaluate.task.format, load_tokenizer(Source(str(folder))))
    assert writing.prompt("how many ?") == "<user> q how many ? a <assistant>"
    with pytest.raises(UserError, match="the tokenizer of llama has none"):
        planned(*asked, *both, f"weak.path={bare}", "task.format.chat_template=default")
    other = planned(*asked, *both, f"weak.path={folder}", "task.format.chat_template=tools").rows[0].evaluate.task
    with pytest.raises(UserError, match="chat_template=tools: this model's tokenizer has default: take plain text"):
        QuestionWriter(other.format, load_tokenizer(Source(str(folder))))
    assert QuestionWriter(task.format, load_tokenizer(Source(str(bare)))).special_tokens


ON_THE_WAY = {
    "prompts longer than the context": (
        ["fit.max_length=40"],
        "more than 5% of the prompts are longer than the model's context",
        "use fewer demonstrations, a larger fit.max_length",
    ),
    "no agreement": (
        ["supervisor.file={wrong}"],
        "agreement: 0 of 48 questions have the same answer from both (48 weak and ",
        "give more demonstrations, or more room",
    ),
    "no pair": (  # at such a temperature hardly a sample holds an answer
        ["generation.temperature=1000"],
        "contrastive_pairs: no pair can be built from 48 questions (",
        "with an empty majority",
        "lower the thresholds (keep_from=0.6, overrule_from=0.8), or draw more samples",
    ),
    "a vote that keeps nothing": (
        ["paradigm=self_improvement", "generation.temperature=1000"],
        "majority_vote: no sample is left (",
        "with an empty majority",
        ": lower keep_from=0.6",
    ),
    "solutions that never end": (
        ["generation.max_new_tokens=2"],
        "no solution is left to train on, since none was brought to an end: give more room",
    ),
    "too few demonstrations": (
        ["paradigm.demonstrations=17"],
        "17 demonstrations are wanted, and only 16 solutions to the split `validation`",
    ),
}


@pytest.mark.parametrize("what", ON_THE_WAY)
def test_what_turns_out_on_the_way_is_refused_with_what_to_do(
    what: str, place: Path, results: dict[str, Any], write: Write
) -> None:
    overrides, *words = ON_THE_WAY[what]
    wrong = write(dict.fromkeys(solved("transfer", "validation"), "answer 99 ."))
    with pytest.raises(UserError) as refused:
        run_job(place, *(one.format(wrong=wrong) for one in overrides), world=SMALL_ARITHMETIC)
    assert len(str(refused.value).splitlines()) == 1
    assert [one for one in words if one not in str(refused.value)] == []


def test_the_command_line_answers_in_one_line(tmp_path: Path) -> None:
    done = train(*SMALL_ARITHMETIC, "fit=probe", f"paths.store={tmp_path}/store", cwd=tmp_path)
    assert done.returncode == 1
    wanted = "error: a probe trains a head, and a reasoning task has none: use fit.tuning=full or lora"
    assert done.stderr.strip() == wanted
    assert not (tmp_path / "store").exists()


def test_prompts_that_were_too_long_are_told_by_row(
    place: Path, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the share at which a job is refused (here: any) they count as wrong, and the result says how many."""
    monkeypatch.setattr(label, "MAX_TOO_LONG", 1.0)
    result = run_job(place, "paradigm=supervised", "fit.max_length=135", world=SMALL_ARITHMETIC)
    shares = {row["name"]: row["too_long_share"] for row in result["rows"]}
    assert 0 < shares.pop("untuned") < 1
    assert set(shares.values()) == {0}
    untuned = rows(result)["untuned"]
    (folder,) = (place / "store" / "evaluate").glob(f"*-{untuned['evaluate'][:16]}")
    ends = pq.read_table(folder / "predictions.parquet").column("finish").to_pylist()
    assert untuned["too_long_share"] == ends.count("too_long") / 60
    told = f"prompts longer than the context (fit.max_length), never answered: untuned {untuned['too_long_share']:.1%}"
    assert told in result["printed"]
