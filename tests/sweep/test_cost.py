"""What stages cost on paper, against what torch counts and what accelerators promise."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tests.composing import job, plan
from tests.sweep.planning import grid_of
from w2s_lightning.config.by_size import folder_parameters
from w2s_lightning.config.schema import LocalModel, Trainer
from w2s_lightning.cost import HERE, cost, model_parameters, rate_of, shape_of, too_large
from w2s_lightning.errors import UserError
from w2s_lightning.execute import run
from w2s_lightning.identity import Stage
from w2s_lightning.show.numbers import seconds as duration
from w2s_lightning.show.planned import print_grid_plan
from w2s_lightning.show.terminal import StageProgress
from w2s_lightning.stages import Pretrain
from w2s_lightning.store import Store

TINY = (
    *("task.world.seed=99", "task.world.people=10", "task.world.relations=6", "fit.epochs=1", "fit.evaluations=2"),
    "task.facts={supervise: 14, transfer: 16, validation: 6, test: 14}",
    "task.items={supervise: 64, transfer: 64, validation: 32, test: 64}",
    *("weak.pretrain.steps=3", "strong.pretrain.steps=3"),
)


FEW = (
    *("weak.pretrain.steps=2", "strong.pretrain.steps=2", "fit.epochs=1"),
    "task.items={supervise: 192, transfer: 192, validation: 32, test: 128}",
)
PAIRS = ("task=arithmetic_pairs", *FEW)
ALIKE = ("task.grading.steps=[0.0,1.0]", "generation.max_new_tokens=8")  # so no row is padded
PROBLEMS = ("task=arithmetic", "paradigm=supervised", *ALIKE, *FEW)


@pytest.mark.parametrize(
    ("weak", "strong", "words", "compared"),
    [
        ("nano", "small", TINY, 10),
        ("micro", "mini", TINY, 10),
        ("nano", "small", PAIRS, 12),
        ("nano", "small", (*PAIRS, "fit.readout=implicit", "fit.generative_epochs=1"), 15),
        ("nano", "small", PROBLEMS, 10),
    ],
)
def test_estimated_flops_are_those_that_torch_counts(
    weak: str, strong: str, words: tuple[str, ...], compared: int, tmp_path: Path
) -> None:
    """Attention through its mathematical kernel, the only one that torch counts on a CPU, but for shared prefixes.

    Models that are hardly trained write on until they are stopped, so the length of what they write is known.
    """
    _, runtime = job("trainer.threads=1")
    store = Store.at(tmp_path / "store")
    stages = plan(f"model@weak={weak}", f"model@strong={strong}", *words).stages
    counted = [_counted(stage, store, runtime.trainer) for stage in stages]
    assert sum(flops > 0 for flops in counted) >= compared
    for stage, flops in zip(stages, counted, strict=True):
        assert cost(stage, {}).flops == pytest.approx(flops, rel=0.1), stage.label


def _counted(stage: Stage, store: Store, trainer: Trainer) -> int:
    """What torch counts while a stage is computed."""
    prefix = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    lines = StageProgress(Console(file=io.StringIO()), [stage])
    with FlopCounterMode(display=False, custom_mapping=prefix) as counter, sdpa_kernel(SDPBackend.MATH):
        run([stage], store, trainer, lines)
    return int(counter.get_total_flops())


def _attention(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def test_a_ladder_is_estimated_near_to_what_its_pretraining_took() -> None:
    """Seconds of `fact_pairs` on one core of an AMD EPYC, 2026-12-01."""
    took = {"nano": 6.7, "micro": 7.8, "mini": 15.2, "small": 42.0}
    stages = [stage for size in took for stage in plan("model@weak=nano", f"model@strong={size}").stages]
    found = {stage.name: cost(stage, {}).seconds for stage in stages if isinstance(stage, Pretrain)}
    assert {size: found[size] / seconds for size, seconds in took.items()} == pytest.approx(
        dict.fromkeys(took, 1), 0.25
    )


@pytest.mark.parametrize("size", ["nano", "micro", "mini", "small"])
def test_parameters_of_the_ladder_are_exact(size: str, tmp_path: Path) -> None:
    from w2s_lightning.execute.pretrain import untrained, word_level

    found = plan(f"model@strong={size}", "model@weak=nano")
    stage = next(s for s in found.stages if isinstance(s, Pretrain) and s.name == size)
    network = untrained(stage, word_level(stage.world.vocabulary()))
    assert shape_of(stage, {}).total == network.model.num_parameters()


def test_parameters_of_a_folder_are_read_from_its_headers(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 4, dtype=torch.bfloat16), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    assert folder_parameters(tmp_path) == 17
    rates = {"full": 1e-5, "lora": 1e-4, "probe": 1e-3}
    local = LocalModel(name="x", path=str(tmp_path), lr=rates, head_init="zeros")  # type: ignore[arg-type]
    assert model_parameters(local, None) == 17
    (tmp_path / "more.safetensors").write_bytes(b"no header")
    folder_parameters.cache_clear()
    assert folder_parameters(tmp_path) == 17


def test_a_ladder_model_without_a_world_has_no_known_size() -> None:
    sciq = job("task=sciq")[0]
    assert model_parameters(sciq.weak, sciq.task) is None


def test_loading_and_writing_take_their_time_however_many_devices_there_are() -> None:
    params = {"Qwen/Qwen2.5-7B": 7615616512, "openai-community/gpt2": 124439808}
    stages = plan("task=sciq", "model@weak=gpt2", "model@strong=qwen2_5_7b").stages
    one, many = rate_of("h100"), rate_of("h100x64").together
    files = 4 * 7615616512 * (1 / one.reads + 1 / one.writes)
    longest = [max(cost(stage, params, rate).seconds for stage in stages) for rate in (one, many)]
    assert files + one.stage < longest[1] < longest[0]


def test_accelerators_are_named_and_counted() -> None:
    assert rate_of(None) is HERE
    for name, one, count in (("h100", "H100", 1), ("h100x64", "h100", 64), ("RTX4090x8", "rtx4090", 8)):
        assert rate_of(name).together.flops == pytest.approx(rate_of(one).flops * count)
    for name in ("h1", "h100x", "h100x0", "x8", "h100xtwo"):
        with pytest.raises(UserError, match="expected one of b200"):
            rate_of(name)


def test_a_plan_counts_uses_uniques_and_what_is_stored() -> None:
    jobs = grid_of("sweeps=smoke").jobs
    asked = [stage for job in jobs for stage in job.plan.stages]
    stored = {stage.digest: stage.kind == "pretrain" for stage in asked}
    costs = {stage.digest: job.cost(stage) for job in jobs for stage in job.plan.stages}
    console = Console(file=io.StringIO(), width=120)
    print_grid_plan(console, asked, stored, costs, jobs="6 jobs (1 done)", rate=HERE, slots=2, launches=20)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "6 jobs (1 done) ask for 98 stages, 60 of them different, 58 to compute in 20 launches" in printed
    seconds = sum(one.seconds for digest, one in costs.items() if not stored[digest])
    around = sum(one.around for digest, one in costs.items() if not stored[digest])
    assert f"{seconds + 6:.0f} s of processor time ({around + 6:.0f} s of it to start, load and write)" in printed
    assert f"{4 + (seconds + 6) / 2:.0f} s on 2 cores of this machine" in printed
    print_grid_plan(console, asked, stored, costs, jobs="", rate=HERE, slots=2, launches=20, apart=True)
    alone = console.file.getvalue()[len(printed) :]  # type: ignore[attr-defined]
    assert f"{duration(seconds + 80)} of processor time ({duration(around + 80)} of it to start, load" in alone
    assert f"{duration((seconds + 80) / 2)} on 2 cores" in alone
    lines = {words[0]: words[1:5] for words in map(str.split, printed.splitlines()) if words}
    assert lines["pretrain"] == ["8", "2", "2", "0"]
    assert lines["fit"] == ["18", "14", "0", "14"]


def test_full_tuning_that_fits_no_device_is_said() -> None:
    params = {"Qwen/Qwen2.5-7B": 7615616512, "openai-community/gpt2": 124439808}
    stages = plan("task=sciq", "model@weak=gpt2", "model@strong=qwen2_5_7b", "fit=default").stages
    (told,) = too_large(stages, params, rate_of("h100x8"))
    assert "Qwen2.5-7B needs about 122 GB" in told
    assert "each device of 8 x h100 has 80: take fit=lora" in told
    assert not too_large(stages, params, rate_of("h200"))
    assert not too_large(stages, params, HERE)
