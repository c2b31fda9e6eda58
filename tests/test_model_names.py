"""Models that are called by their folder or their repository: `model@strong=./folder`, `model@strong=owner/name`."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from tests.composing import job
from tests.sweep.planning import grid_of
from w2s_lightning.config.schema import HubModel, LearningRates, LocalModel
from w2s_lightning.errors import UserError
from w2s_lightning.model_names import parameters_of
from w2s_lightning.refs import described

CONFIGS = """
{"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "hidden_act": "silu",
 "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": false}
---
{"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257}
---
{"model_type": "gpt_neox", "hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8, "hidden_act": "gelu",
 "intermediate_size": 2048, "vocab_size": 50304, "tie_word_embeddings": false}
---
{"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "gelu",
 "intermediate_size": 3072, "vocab_size": 30522}
"""
QWEN_7B, GPT2, PYTHIA_70M, BERT = (json.loads(text) for text in CONFIGS.split("---"))
SIZES = ("Qwen/Qwen2.5-7B", "a/Thing-3B", "Qwen/Qwen2.5-3B")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty local cache, and a hub that does not answer."""
    described.cache_clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "hub"
    described.cache_clear()


def strong(*words: str) -> Any:
    return job("task=sciq", "model@weak=gpt2", *words)[0].strong


@pytest.mark.parametrize(
    ("config", "params"), [(QWEN_7B, 7615616512), (GPT2, 124439808), (PYTHIA_70M, 70426624), (BERT, 109482240)]
)
def test_parameters_are_told_by_the_config(config: dict[str, Any], params: int) -> None:
    assert parameters_of(config) == pytest.approx(params, rel=0.02)


def test_a_repository_that_has_a_file_is_that_file() -> None:
    assert strong("model@strong=Qwen/Qwen2.5-7B") == strong("model@strong=qwen2_5_7b")


def test_a_folder_is_what_local_with_its_path_is(folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(folder("llama"))
    (tmp_path / "small").symlink_to(folder("llama"))  # called like a ladder model
    for name in ("./mine", f"{tmp_path}/mine", "../" + tmp_path.name + "/mine", "./small"):
        assert strong(f"model@strong={name}") == strong("model@strong=local", f"strong.path={name}")
    middle = job("task=sciq", "model@weak=gpt2", "model@middle.m1=./mine", "model@strong=gpt2_xl")[0].middle
    assert [type(model) for model in middle] == [LocalModel]


@pytest.mark.parametrize(("params", "rate"), [(10**6, 3e-5), (4 * 10**8, 2e-5), (9 * 10**8, 1e-5)])
def test_a_folder_learns_at_the_rate_of_its_size_however_it_is_called(tmp_path: Path, params: int, rate: float) -> None:
    header = json.dumps({"x": {"dtype": "U8", "shape": [params], "data_offsets": [0, params]}}).encode()
    (tmp_path / "mine").mkdir()
    with (tmp_path / "mine" / "model.safetensors").open("wb") as stream:  # a file of holes
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + params)
    by_size = LearningRates(full=rate, lora=pytest.approx(10 * rate), probe=1e-3)
    for words in (["model@strong=./mine"], ["model@strong=local", "strong.path=mine"]):
        assert strong(*words).lr == by_size
        assert strong(*words, "strong.lr.full=0.5").lr == replace(by_size, full=0.5)


def cached(cache: Path, repository: str, config: dict[str, Any]) -> None:
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("1" * 40)
    (place / "snapshots" / ("1" * 40)).mkdir(parents=True)
    (place / "snapshots" / ("1" * 40) / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(("config", "rate", "encoder"), [(QWEN_7B, 5e-6, False), (BERT, 3e-5, True)])
def test_a_repository_of_the_cache_is_read(hub: Path, config: dict[str, Any], rate: float, encoder: bool) -> None:
    cached(hub, "some-body/My.Model-1", config)
    made = strong("model@strong=some-body/My.Model-1")
    assert (made.name, made.path, made.encoder) == ("My.Model-1", "some-body/My.Model-1", encoder)
    assert made.lr == LearningRates(full=rate, lora=pytest.approx(10 * rate), probe=1e-3)
    assert strong("model@strong=some-body/My.Model-1", "strong.lr.full=0.5").lr.full == 0.5


def test_a_repository_that_the_hub_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    page = SimpleNamespace(safetensors=SimpleNamespace(total=4 * 10**8), config={"model_type": "bert"}, sha="2" * 40)
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", lambda *_, **__: page)
    made = strong("model@strong=nobody/thing")
    assert (made.params, made.encoder, made.lr.full) == (4 * 10**8, True, 2e-5)


@pytest.mark.parametrize(
    ("name", "params", "rate"),
    [
        ("a/Thing-3B", 3e9, 1e-5),
        ("a/thing_0.5b-chat", 5e8, 2e-5),
        ("a/big-70B-v2", 7e10, 5e-6),
        ("a/t-33m", 3.3e7, 3e-5),
    ],
)
def test_without_a_network_the_name_tells_how_large_a_model_is(name: str, params: float, rate: float) -> None:
    made = strong(f"model@strong={name}")
    assert isinstance(made, HubModel)
    assert (made.params, made.lr.full) == (params, rate)


def test_a_repository_of_unknown_size_is_refused() -> None:
    with pytest.raises(UserError, match="how large is nobody/thing"):
        strong("model@strong=nobody/thing")


def test_a_repository_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise RepositoryNotFoundError("404", response=httpx.Response(404, request=httpx.Request("GET", "http://hub")))

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", missing)
    with pytest.raises(UserError, match="the hub has no model nobody/thing"):
        strong("model@strong=nobody/thing")


def test_a_sweep_takes_names_beside_files(folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(folder("llama"))
    grid = grid_of(
        "task=sciq",
        "weak.head_init=zeros",
        "model@weak=./mine,gpt2",
        "model@strong=Qwen/Qwen2.5-7B,a/Thing-3B,qwen2_5_3b",
    )
    pairs = {(cell.job.weak.path, cell.job.strong.path) for cell in grid.jobs}
    assert pairs == {(w, s) for w in ("./mine", "openai-community/gpt2") for s in SIZES}
