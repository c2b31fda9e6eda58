"""One reward model on one set of rows: open what is asked for, write the rows as it reads them, score them."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from w2s_lightning.data import tables
from w2s_lightning.data.pairs import DEFAULT_TEMPLATE, completion_rows, reward_rows
from w2s_lightning.data.rows import TokenRows
from w2s_lightning.errors import UserError
from w2s_lightning.inference.log_probs import LogProbs
from w2s_lightning.inference.rewards import Normalisation, completion_log_probs, implicit_rewards, text_scores
from w2s_lightning.inference.scoring import Report
from w2s_lightning.models.build import max_positions
from w2s_lightning.models.open import Opened
from w2s_lightning.models.rewards import config_of, is_classifier, open_classifier, open_policy
from w2s_lightning.models.source import Source, check_folder
from w2s_lightning.models.tokenizer import load_tokenizer
from w2s_lightning.refs import Refs
from w2s_lightning.rewardbench.output import plain
from w2s_lightning.schema import Numerics
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.example import Example

PLAIN = Form(chat_template=None, user="Human: {text}\n\nAssistant:", joint=" ", separator="\n\n")
CHAT = Form(chat_template=DEFAULT_TEMPLATE, user="{text}", joint="", separator="")

Written = Literal["auto", "chat", "plain"]


@dataclass(frozen=True)
class Asked:
    """How rewards are wanted: of a classifier, or implicit ones against a reference or of the policy alone."""

    model: Source
    reference: Source | None
    reference_free: Normalisation | None
    numerics: Numerics
    tokens_per_batch: int
    device: torch.device


@dataclass(frozen=True)
class Scored:
    """Rewards and tokens [num_rows, M] of a row's M answers in their order, and what has to be said of them."""

    kind: str
    rewards: NDArray[np.float32]
    tokens: NDArray[np.int64]
    notices: tuple[str, ...]

    def chosen_first(self, pairs: Sequence[Example]) -> "Scored":
        """The same [num_rows, 2] with the better answer first."""
        label = np.array([pair.label for pair in pairs])[:, None]
        order = np.concatenate([label, 1 - label], axis=1)
        rewards, tokens = (np.take_along_axis(found, order, axis=1) for found in (self.rewards, self.tokens))
        return Scored(self.kind, rewards.astype(np.float32), tokens.astype(np.int64), self.notices)


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


def tokens_per_batch(device: torch.device) -> int:
    """A token budget: a CPU is busy with few tokens, and larger batches of mixed lengths are more padding."""
    return 1024 if device.type == "cpu" else 8192


def form_for(source: Source, written: Written) -> Form:
    """How rows are written for a model: as our fit of it was trained, else by its chat template, else as plain text."""
    if written == "auto":
        trained = _trained_form(Path(source.path)) if source.revision is None else None
        if trained is not None:
            return trained
        return CHAT if load_tokenizer(source).chat_template else PLAIN
    return CHAT if written == "chat" else PLAIN


def _trained_form(folder: Path) -> Form | None:
    stage = folder.parent / "stage.json"
    if not stage.is_file():
        return None
    task = json.loads(stage.read_text()).get("task")
    form = task.get("form") if isinstance(task, dict) else None
    prompts = task.get("prompts") if isinstance(task, dict) else None
    if isinstance(prompts, dict):  # `arithmetic_pairs` writes its pairs as `arithmetic` writes problems
        user = prompts["question"].replace("{question}", "{text}")
        form = {"chat_template": None, "user": user, "joint": prompts["joint"], "separator": prompts["separator"]}
    if not isinstance(form, dict):
        return None
    return TypeAdapter(Form).validate_python({name: value for name, value in form.items() if name != "type"})


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


def said_of_shared(shared: int | None) -> tuple[str, ...]:
    """What people must know of prompts that were let in."""
    return (f"{shared} prompts are of the data that the model comes from (--allow-overlap)",) if shared else ()


def run(asked: Asked, pairs: Sequence[Example], form: Form) -> Scored:
    """Score all answers; raise UserError for a model that does not fit what is asked of it."""
    if is_classifier(config_of(asked.model)):
        if asked.reference is not None or asked.reference_free is not None:
            raise UserError(f"{asked.model} has a reward head: leave --ref and --reference-free away")
        return _classified(asked, pairs, form)
    if (asked.reference is None) == (asked.reference_free is None):
        raise UserError(
            f"{asked.model} is a language model: give its reference with --ref MODEL, "
            "or --reference-free sum or mean (one of them)"
        )
    return _implied(asked, pairs, form)


def _classified(asked: Asked, pairs: Sequence[Example], form: Form) -> Scored:
    opened = open_classifier(asked.model, asked.numerics)
    rows = reward_rows(pairs, form, opened.tokenizer, opened.max_length)
    network = opened.network.to(asked.device)
    with _shown(asked.model) as report:
        scores = text_scores(network, rows, tokens_per_batch=asked.tokens_per_batch, device=asked.device, report=report)
    return _scored("of a classifier", scores, rows)


def _implied(asked: Asked, pairs: Sequence[Example], form: Form) -> Scored:
    policy = open_policy(asked.model, asked.numerics)
    max_length = policy.max_length
    if asked.reference is not None:
        max_length = min(max_length, _checked_reference(asked.reference, policy, asked.model))
    rows = completion_rows(pairs, form, policy.tokenizer, max_length)

    def log_probs(opened: Opened, source: Source) -> LogProbs:
        network = opened.network.to(asked.device)
        with _shown(source) as report:
            return completion_log_probs(
                network, rows, tokens_per_batch=asked.tokens_per_batch, device=asked.device, report=report
            )

    own, other, kind = (
        log_probs(policy, asked.model),
        None,
        f"log-probabilities without a reference ({asked.reference_free})",
    )
    if asked.reference is not None:
        del policy  # one model in memory at a time
        reference = open_policy(asked.reference, asked.numerics)
        other, kind = log_probs(reference, asked.reference), "log-ratios to a reference"
    rewards = implicit_rewards(own, other, asked.reference_free or "sum")
    return _scored(kind, rewards, rows.rows)


@contextmanager
def _shown(source: Source) -> Iterator[Report]:
    """A line in the terminal that tells how many answers a model has scored."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as line:
        task = line.add_task(escape(plain(source.path)))
        yield lambda done, of: line.update(task, completed=done, total=of)


def _scored(kind: str, rewards: NDArray[np.float32], rows: TokenRows) -> Scored:
    cut = (
        f"{rows.num_truncated} of {len(rows.ids)} pairs are longer than the model or --max-length allows: "
        "prompts lost their start, and answers that alone are too long their end"
    )
    return Scored(kind, rewards.astype(np.float32), rows.text_lengths, (cut,) if rows.num_truncated else ())


def _checked_reference(reference: Source, policy: Opened, model: Source) -> int:
    """The longest text in tokens that the reference allows; UserError unless it has the policy's vocabulary."""
    tokenizer = load_tokenizer(reference)
    own, other = policy.tokenizer.get_vocab(), tokenizer.get_vocab()
    if own != other:
        raise UserError(
            f"{model} and its reference {reference} have different vocabularies "
            f"({len(own)} and {len(other)} tokens): log-probabilities of different tokens do not compare"
        )
    return max_positions(config_of(reference), tokenizer)
