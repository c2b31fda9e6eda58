"""What is judged: where its weights are, how it reads rows, and which prompts it was trained on.

A fit of ours lies beside its `stage.json` and the groups of its training prompts; of any other model nobody knows.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import DEFAULT_TEMPLATE
from w2s_lightning.errors import UserError
from w2s_lightning.models.files import Source, check_folder, load_tokenizer
from w2s_lightning.refs import Refs
from w2s_lightning.tasks.format import Format

PLAIN = Format(chat_template=None, user="Human: {text}\n\nAssistant:", joint=" ", separator="\n\n")
CHAT = Format(chat_template=DEFAULT_TEMPLATE, user="{text}", joint="", separator="")

Written = Literal["auto", "chat", "plain"]


def source_of(name: str, refs: Refs) -> Source:
    """A model folder (or a fit of our store), else a hub repository, `id` or `id@revision`, at its commit."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        place = folder / "model" if (folder / "model" / "config.json").is_file() else folder
        check_folder(place)
        return Source(str(place))
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise UserError(f"no such model: {name} (expected a folder in Hugging Face layout, or a hub id)")
    try:
        return Source(repository, refs.commit("model", repository, revision or "main"))
    except UserError:
        raise UserError(
            f"cannot find model {repository}: it is no folder here, not in the local cache, and the hub does not answer"
        ) from None


def form_for(source: Source, written: Written) -> Format:
    """How rows are written for a model: as our fit of it was trained, else by its chat template, else as plain text."""
    if written == "auto":
        stage = Path(source.path).parent / "stage.json"
        trained = _form_of(json.loads(stage.read_text())) if source.revision is None and stage.is_file() else None
        return trained or (CHAT if load_tokenizer(source).chat_template else PLAIN)
    return CHAT if written == "chat" else PLAIN


def _form_of(stage: object) -> Format | None:
    """How a stage's task writes its rows, None where it has none."""
    task = stage.get("task") if isinstance(stage, dict) else None
    form = task.get("format") if isinstance(task, dict) else None
    if not isinstance(form, dict):
        return None
    return TypeAdapter(Format).validate_python({name: value for name, value in form.items() if name != "type"})


def shared_with_training(model: Source, groups: Sequence[str], allowed: bool) -> int | None:
    """How many rows (by the group of their prompt) have prompts that our fit of the model was trained on.

    None for any other model, of which nobody knows. Raises UserError where there are any and that is not allowed.
    """
    file = Path(model.path).parent / tables.PROMPTS
    if model.revision is not None or not file.is_file():
        return None
    known = set(tables.read(file).column("group_id").to_pylist())
    shared = sum(group in known for group in groups)
    if shared and not allowed:
        raise UserError(
            f"{shared} of {len(groups)} prompts are of the data that {model} comes from: take others, or "
            "--allow-overlap to have them counted in the result"
        )
    return shared
