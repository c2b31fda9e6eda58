"""The benchmark's own parts: both ways give the same scores, and a language model gets one head for both."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import rewards as benchmark
from tests.rewardbench.rows import pairs
from tests.rewardbench.test_command import saved_with_template
from w2s_lightning.models.load import Source
from w2s_lightning.rewardbench.reward_models import config_of, form_for, is_classifier

Models = Callable[..., Path]


@pytest.mark.parametrize("template", [True, False])
def test_both_ways_score_alike_and_are_timed(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, template: bool
) -> None:
    monkeypatch.setattr(benchmark, "MAX_LENGTH", 64)
    folder = models("llama", labels=1)
    source = Source(str(saved_with_template(folder, tmp_path / "talking") if template else folder))
    form = form_for(source, "auto")
    rows = pairs(form)
    assert benchmark.compare(source, form, rows, rows[:3], 200, bf16=True) < 1e-5
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0].strip(",") for line in shown] == ["pipeline", "ours", "ratio", "ours", "ratio"]
    assert " 3 pairs" in shown[0]
    assert f" {len(rows)} pairs" in shown[1]


def test_a_language_model_gets_a_head_that_both_ways_share(models: Models, tmp_path: Path) -> None:
    made = benchmark.headed(str(models("llama")), tmp_path / "head")
    assert is_classifier(config_of(made))
    assert benchmark.headed(made.path, tmp_path / "other") == made


def test_without_arguments_a_small_model_reads_arithmetic(tmp_path: Path) -> None:
    task = benchmark.task_from_yaml(benchmark.TASK, ["items.test=40", "items.transfer=40", "items.supervise=40"])
    source = benchmark.small(task, tmp_path / "small")
    assert config_of(source).num_labels == 1
    assert benchmark.compare(source, task.format, task.splits(0).test, task.splits(0).test[:4], 500, bf16=False) < 1e-5
