"""Model folders and repositories that cannot be used: one clear message each."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.tiny_task import TinyTask
from w2s_lightning.config.schema import Numerics
from w2s_lightning.content import Folder
from w2s_lightning.errors import UserError
from w2s_lightning.models.load import open_model
from w2s_lightning.stages import BareModel, FolderWeights, HubWeights, ReadOut
from w2s_lightning.store import Store

HEAD = ReadOut("head", "zeros")
NUMERICS = Numerics(precision="fp32", attention="sdpa", max_length=64)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder("llama"), tmp_path / "model")


def open_folder(path, tmp_path):
    weights = FolderWeights(Folder.of_model(path))
    return open_model(BareModel(weights, HEAD, NUMERICS), TinyTask(), Store(tmp_path / "store"))


def rewrite_config(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_good_folder_opens(copy, tmp_path):
    opened = open_folder(copy, tmp_path)
    assert opened.max_length == 64
    assert {p.dtype for p in opened.network.parameters()} == {torch.float32}


def test_a_folder_without_safetensors_is_refused(copy, tmp_path):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UserError, match="no safetensors"):
        open_folder(copy, tmp_path)


def test_a_folder_that_wants_to_run_its_own_code_is_refused(copy, tmp_path):
    rewrite_config(copy, model_type="mystery", auto_map={"AutoModel": "modeling_mystery.Mystery"})
    with pytest.raises(UserError, match="wants to run its own code"):
        open_folder(copy, tmp_path)


def test_a_folder_of_an_unknown_kind_is_refused(copy, tmp_path):
    rewrite_config(copy, model_type="mystery")
    with pytest.raises(UserError, match="that transformers lacks"):
        open_folder(copy, tmp_path)


def test_an_encoder_decoder_is_refused(copy, tmp_path):
    rewrite_config(copy, model_type="t5")
    with pytest.raises(UserError, match="neither a decoder nor an encoder"):
        open_folder(copy, tmp_path)


def test_an_attention_that_is_not_installed_is_refused(copy, tmp_path):
    weights = FolderWeights(Folder.of_model(copy))
    numerics = Numerics(precision="fp32", attention="flash_attention_2", max_length=64)
    with pytest.raises(UserError, match=r"fit\.attention"):
        open_model(BareModel(weights, HEAD, numerics), TinyTask(), Store(tmp_path / "store"))


def test_broken_json_is_refused(copy, tmp_path):
    (copy / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        open_folder(copy, tmp_path)


def test_weights_that_do_not_fit_the_configuration_are_refused(copy, tmp_path):
    weights = load_file(copy / "model.safetensors")
    save_file({f"other.{name}": tensor for name, tensor in weights.items()}, copy / "model.safetensors")
    with pytest.raises(UserError, match="do not fit"):
        open_folder(copy, tmp_path)


def test_a_folder_that_changed_after_planning_is_refused(copy, tmp_path):
    weights = FolderWeights(Folder.of_model(copy))
    rewrite_config(copy, initializer_range=0.5)
    with pytest.raises(UserError, match="changed after the plan"):
        open_model(BareModel(weights, HEAD, NUMERICS), TinyTask(), Store(tmp_path / "store"))


def test_a_hub_model_without_a_network_says_how_to_use_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    weights = HubWeights("nobody/nothing", "0" * 40)
    with pytest.raises(UserError, match=r"(?s)nobody/nothing@000000000000.*weak.path=DIR"):
        open_model(BareModel(weights, HEAD, NUMERICS), TinyTask(), Store(tmp_path / "store"))
