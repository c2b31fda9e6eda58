"""Model folders that are damaged, or whose files do not belong together: refused before anything runs, by file."""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.hostile.asking import Ask, some
from tests.models.tiny import make_folder

Spoil = Callable[[Path], object]
WEIGHTS = "model.safetensors"
FAMILIES = ("llama", "gpt2", "gpt_neox", "qwen2", "bert")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {one: make_folder(tmp_path_factory.mktemp("models") / one, one) for one in FAMILIES}


def config(**changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return spoil


def written(name: str, text: str) -> Spoil:
    return lambda folder: (folder / name).write_text(text)


def tensors(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        found = dict(load_file(folder / WEIGHTS))
        change(found)
        save_file(found, folder / WEIGHTS, {"format": "pt"})

    return spoil


def put(name: str, value: float) -> Spoil:
    """A number of one tensor."""

    def change(found: dict[str, Any]) -> None:
        found[name] = found[name].copy()
        found[name].flat[-1] = value

    return tensors(change)


def renamed(old: str, new: str) -> Spoil:
    return tensors(lambda found: found.update({name.replace(old, new): found.pop(name) for name in list(found)}))


def cut(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])


def longer(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as stream:
        stream.write(b"0123456789")


def tokens(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        found = json.loads((folder / "tokenizer.json").read_text())
        change(found)
        (folder / "tokenizer.json").write_text(json.dumps(found))

    return spoil


def index(weight_map: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return spoil


def parts(first: Sequence[str], second: Sequence[str], said: Sequence[str]) -> Spoil:
    """Weights in two files of which these tensors lie (all of them, where none is named) in the first and second; the
    index has all tensors in the first but those of which it says otherwise."""

    def spoil(folder: Path) -> None:
        found, one, two = dict(load_file(folder / WEIGHTS)), "one.safetensors", "two.safetensors"
        (folder / WEIGHTS).unlink()
        save_file({name: found[name] for name in first or found}, folder / one, {"format": "pt"})
        save_file({name: found[name] for name in second}, folder / two, {"format": "pt"})
        said_of = {name: two if name in said else one for name in found}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": said_of}))

    return spoil


LAYER = "model.layers.0.mlp.up_proj.weight"
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
BAD: list[tuple[str, Spoil, Sequence[str]]] = [
    ("llama", config(num_hidden_layers=1), ["config.json: num_hidden_layers=1", "hold 2 layers"]),
    ("llama", config(num_hidden_layers=3), ["config.json: num_hidden_layers=3", "hold 2 layers"]),
    ("llama", config(num_hidden_layers=10**6), ["config.json: num_hidden_layers=1000000", "hold 2 layers"]),
    ("llama", config(num_hidden_layers=-1), ["config.json: num_hidden_layers is '-1'", "from 1 to"]),
    ("llama", config(num_hidden_layers=2.0), "num_hidden_layers is '2.0'"),
    ("llama", config(num_hidden_layers="2"), "num_hidden_layers is '2'"),
    ("llama", config(num_hidden_layers=True), "num_hidden_layers is 'True'"),
    ("gpt2", config(n_layer=1), "config.json: n_layer=1 does not fit"),
    ("gpt_neox", config(num_hidden_layers=1), "config.json: num_hidden_layers=1 does not fit"),
    ("bert", config(num_hidden_layers=5), "config.json: num_hidden_layers=5 does not fit"),
    ("llama", config(hidden_size=8), ["config.json: hidden_size=8", "embed_tokens.weight is 16 wide"]),
    ("llama", config(hidden_size=10**9), "config.json: hidden_size=1000000000 does not fit"),
    ("llama", config(hidden_size=10**30), "hidden_size is"),
    ("gpt2", config(n_embd=32), "config.json: n_embd=32 does not fit"),
    ("bert", config(hidden_size=32), "config.json: hidden_size=32 does not fit"),
    ("llama", config(vocab_size=9), "config.json: vocab_size=9 does not fit"),
    ("bert", config(vocab_size=10**6), "config.json: vocab_size=1000000 does not fit"),
    ("llama", config(vocab_size=0), "vocab_size is '0'"),
    ("llama", config(max_position_embeddings=0), "max_position_embeddings is '0'"),
    ("llama", config(num_attention_heads=0), "num_attention_heads is '0'"),
    ("llama", config(tie_word_embeddings=True), ["config.json: tie_word_embeddings=true", "should it be false?"]),
    ("qwen2", config(tie_word_embeddings=False), ["config.json: tie_word_embeddings=false", "should it be true?"]),
    ("llama", config(rope_theta=float("nan")), "config.json: rope_theta is 'nan', expected a finite number"),
    ("llama", config(rope_parameters={"rope_theta": 0, "rope_type": "default"}), "rope_theta is '0'"),
    ("llama", config(rms_norm_eps=float("inf")), "rms_norm_eps is 'inf'"),
    ("llama", config(rms_norm_eps=-1), "rms_norm_eps is '-1'"),
    ("llama", config(model_type="t5", is_encoder_decoder=True), "config.json: t5 is an encoder-decoder"),
    ("bert", config(model_type="bart", is_encoder_decoder=True), "config.json: bart is an encoder-decoder"),
    ("llama", written("config.json", "{"), "config.json: it is not JSON"),
    ("llama", written("config.json", "[]"), "config.json holds no JSON object"),
    ("llama", written("config.json", DEEP), "config.json: it is nested too deep"),
    ("llama", written("config.json", '{"vocab_size": ' + "9" * 6000 + "}"), "config.json"),
    ("llama", lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe{"), "config.json: it is not text"),
    ("llama", lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    ("llama", lambda folder: (folder / WEIGHTS).unlink(), "has no safetensors weights"),
    ("llama", lambda folder: (folder / WEIGHTS).rename(folder / "other.safetensors"), "has neither model.safetensors"),
    ("llama", cut, [WEIGHTS, "is not a whole safetensors file"]),
    ("llama", longer, [WEIGHTS, "is not a whole safetensors file"]),
    ("llama", written(WEIGHTS, ""), "is not a whole safetensors file"),
    ("llama", written(WEIGHTS, "version https://git-lfs.github.com/spec/v1"), "is not a whole safetensors file"),
    ("llama", lambda folder: (folder / WEIGHTS).write_bytes(b"\xff" * 64), "is not a whole safetensors file"),
    ("llama", tensors(dict.clear), "holds no tensors"),
    ("llama", put(LAYER, np.nan), [f"{WEIGHTS}: the tensor {LAYER}", "NaN or infinite"]),
    ("gpt2", put("transformer.wte.weight", np.inf), [WEIGHTS, "wte.weight", "NaN or infinite"]),
    ("bert", put("bert.embeddings.LayerNorm.bias", -np.inf), [WEIGHTS, "LayerNorm.bias", "NaN or infinite"]),
    ("llama", index({}), "has no weight_map"),
    ("llama", index({"lm_head.weight": "../part.safetensors"}), "which is not in the folder"),
    ("llama", index({"lm_head.weight": "lost.safetensors"}), "names the file 'lost.safetensors'"),
    ("llama", index({"no.such": "part.safetensors"}), "names 1 tensors that its files do not hold"),
    ("llama", tokens(lambda found: found["model"]["vocab"].update(zyx=338)), ["tokenizer.json: token ids", "338 rows"]),
    ("bert", tokens(lambda found: found["model"]["vocab"].update(zyx=10**6)), "tokenizer.json: token ids go up to"),
    ("llama", written("tokenizer.json", "{"), "tokenizer.json: it is not JSON"),
    ("llama", written("tokenizer.json", DEEP), "tokenizer.json: it is nested too deep"),
    ("llama", written("tokenizer.json", "{}"), "tokenizer.json is no tokenizer"),
    ("llama", tokens(lambda found: found.update(added_tokens=[1])), "tokenizer.json is no tokenizer"),
    ("llama", tokens(lambda found: found["model"]["vocab"].update(zyx="1")), "tokenizer.json is no tokenizer"),
    ("llama", written("tokenizer_config.json", "[]"), "tokenizer_config.json holds no JSON object"),
    ("llama", written("tokenizer_config.json", '{"model_max_length": -1}'), "model_max_length is '-1'"),
    ("bert", config(num_labels=10**12), "config.json: num_labels is '1000000000000'"),
    ("gpt2", config(dtype="x"), "config.json: dtype is 'x', expected one of float32"),
    ("gpt2", config(torch_dtype=[3]), "config.json: torch_dtype is '[3]'"),
    ("llama", config(model_type=["llama"]), "config.json: model_type is"),
    ("llama", config(model_type=None), "config.json: model_type is 'None'"),
    ("llama", config(architectures=7, num_nextn_predict_layers="x", num_hidden_layers=1), "num_hidden_layers=1"),
    ("llama", parts([], [LAYER], [LAYER]), f"one.safetensors and two.safetensors both hold {LAYER}"),
    ("llama", parts([LAYER], ["lm_head.weight"], ["lm_head.weight", LAYER]), "its files do not hold as it says"),
    ("llama", tensors(lambda found: found.update({LAYER: found[LAYER].astype(np.int8)})), "holds I8 numbers"),
    ("llama", config(quantization_config={"quant_method": "fp8"}), "config.json: quantization_config is given"),
    ("llama", written("adapter_config.json", "{}"), "adapter_config.json: adapters on another model"),
]
# What only transformers can tell, before the first stage of a job.
UNFIT: list[tuple[str, Spoil, Sequence[str]]] = [
    ("llama", config(intermediate_size=7), ["config.json", "have another shape", "model.layers.0.mlp"]),
    ("llama", config(attention_bias=True), ["are missing", "model.layers.0.self_attn.k_proj.bias"]),
    ("qwen2", config(model_type="llama"), ["are left over", "model.layers.0.self_attn.k_proj.bias"]),
    ("qwen3", config(model_type="llama"), ["are left over", "model.layers.0.self_attn.k_norm.weight"]),
    ("llama", tensors(lambda found: found.pop(LAYER)), ["are missing", LAYER]),
    ("llama", renamed("up_proj", "op_proj"), ["are missing", LAYER]),
    ("llama", config(num_attention_heads=3), "not a multiple of the number of attention heads"),
    ("llama", config(num_key_value_heads=3), ["have another shape", "k_proj.weight"]),
    ("llama", config(hidden_act="magic"), "magic"),
    ("llama", config(pad_token_id=10**9), "Padding_idx"),
    ("bert", config(is_decoder=True), ["config.json says is_decoder=true", "set it to false"]),
    ("bert", config(type_vocab_size=-1), ["config.json", "negative dimension"]),
    ("llama", config(model_type="mystery"), "of a kind that transformers lacks"),
    ("llama", config(model_type="mystery", auto_map={"AutoModel": "own.Mystery"}), "wants to run its own code"),
    ("bert", tokens(lambda found: found["post_processor"]["special_tokens"]["[SEP]"].update(ids=[10**9])), "rows"),
    ("bert", lambda folder: (folder / "tokenizer.json").unlink(), "cannot read the model folder"),
]
HARMLESS: list[tuple[str, Spoil]] = [
    ("gpt2", config(is_decoder=1.5)),  # which a decoder does not read
    ("llama", tensors(lambda found: found.update({"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4)}))),
    ("gpt2", tensors(lambda found: found.update({"transformer.h.0.attn.masked_bias": np.array(-np.inf)}))),
    ("llama", tensors(lambda found: found.update({"score.weight": np.ones((3, 16), np.float32)}))),
    ("bert", tensors(lambda found: found.update({"bert.pooler.dense.weight": np.ones((16, 16), np.float32)}))),
    ("llama", written("notes.txt", "hello")),
]


def typed(ask: Ask, spoilt: Path, other: Path) -> list[str]:
    for name, count in (("train", 96), ("test", 64)):
        rows = [{"text": f"is {name} {n} warm", "label": ("no", "yes")[n % 2]} for n in range(count)]
        (ask.place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        *("task=local_choice", "task.train_file={place}/train.jsonl", "task.test_file={place}/test.jsonl"),
        *("model@weak=local", f"weak.path={other}", "model@strong=local", f"strong.path={spoilt}"),
        *("tracking=disabled", "trainer.threads=1", "fit.epochs=1", "fit.evaluations=0", "fit.max_length=32"),
        "strong.head_init=zeros",
    ]


def spoilt(ask: Ask, folder: Path, spoil: Spoil) -> Path:
    place = shutil.copytree(folder, ask.place / "model")
    spoil(place)
    return place


@pytest.mark.parametrize("number", some(BAD))
def test_a_bad_folder_is_refused_by_the_plan(ask: Ask, sound: dict[str, Path], number: int) -> None:
    family, spoil, says = BAD[number]
    ask(typed(ask, spoilt(ask, sound[family], spoil), sound["llama"]), says)


@pytest.mark.parametrize("number", some(UNFIT))
def test_an_unfit_folder_is_refused_before_the_first_stage(ask: Ask, sound: dict[str, Path], number: int) -> None:
    family, spoil, says = UNFIT[number]
    made = sound.get(family) or make_folder(ask.place / family, family)
    answer = ask(typed(ask, spoilt(ask, made, spoil), sound["llama"]), says, bare=True)
    assert "fit " not in answer.out
    assert not list((ask.place / "store").glob("fit/*"))


@pytest.mark.parametrize("number", some(HARMLESS))
def test_what_a_task_does_not_use_may_lie_beside(ask: Ask, sound: dict[str, Path], number: int) -> None:
    family, spoil = HARMLESS[number]
    ask(typed(ask, spoilt(ask, sound[family], spoil), sound["llama"]), code=0)


# Every key of a configuration, and others that transformers reads; values that nobody would give them.
KEYS = (
    *("num_labels", "id2label", "dtype", "output_attentions", "output_hidden_states", "is_decoder", "rope_scaling"),
    *("text_config", "layer_types", "attn_implementation", "torchscript", "return_dict", "problem_type", "auto_map"),
)
VALUES = (None, "x", "", -1, 0, 0.5, True, 2**30, 10**12, float("nan"), [float("nan")], ["x"], {"a": 1})
CASES = [pytest.param(number, marks=() if number % 12 == 0 else pytest.mark.slow) for number in range(96)]


@pytest.mark.parametrize("number", CASES)
def test_any_value_of_any_key_is_answered_by_name_or_works(ask: Ask, sound: dict[str, Path], number: int) -> None:
    draw = random.Random(number)
    folder = sound[draw.choice(FAMILIES)]
    key = draw.choice((*json.loads((folder / "config.json").read_text()), *KEYS))
    changed = {key: draw.choice(VALUES)}
    print(folder.name, changed)  # shown with a failure
    answer = ask(typed(ask, spoilt(ask, folder, config(**changed)), sound["llama"]), code=None, bare=True)
    assert not answer.code or str(ask.place / "model") in answer.text


def test_a_model_that_tells_more_of_itself_is_trained_like_others(ask: Ask, sound: dict[str, Path]) -> None:
    spoil = config(output_attentions=True, output_hidden_states="x", return_dict=False)
    ask(typed(ask, spoilt(ask, sound["gpt2"], spoil), sound["llama"]), code=0, bare=True)


def test_weights_that_overflow_end_in_one_line(ask: Ask, sound: dict[str, Path]) -> None:
    loud = tensors(lambda found: found["model.norm.weight"].__imul__(np.float32(3e38)))
    ask(typed(ask, spoilt(ask, sound["llama"], loud), sound["llama"]), "examples are no numbers", bare=True)


def test_weights_in_the_cache_of_the_hub_are_looked_at_too(ask: Ask, sound: dict[str, Path]) -> None:
    commit = "1" * 40
    place = ask.place / ".cache" / "huggingface" / "hub" / "models--some-body--thing"
    shutil.copytree(sound["llama"], place / "snapshots" / commit)
    put(LAYER, np.nan)(place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    local = typed(ask, ask.place, sound["llama"])
    words = [word for word in local if not word.startswith(("strong.path", "model@strong"))]
    ask.process([*words, "model@strong=some-body/thing"], [f"{WEIGHTS}: the tensor {LAYER}", "NaN or infinite"])
    assert not list((ask.place / "store").glob("fit/*"))
