"""Examples as rows that one model reads: plain text as the task's format writes it, or the model's chat template.

One writer for training and evaluation alike: whole texts for a head or verdict words, prompts to go on from, and
answers after their prompts, closing marks included; and how they become token ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data.rows import Rows
from w2s_lightning.errors import UserError
from w2s_lightning.models.load import Opened
from w2s_lightning.tasks.example import Example, Split, Splits, Turn
from w2s_lightning.tasks.format import Format, messages
from w2s_lightning.tasks.task import Task

DEFAULT_TEMPLATE = "default"
CHARACTERS = 64
"""Per token of room: a longer text is cut before it is tokenised, since megabytes take minutes."""


@lru_cache(maxsize=4)
def splits_of(task: Task, seed: int) -> Splits:
    """The examples of a task of any kind, remembered for the next stage of the same job."""
    return task.splits(seed)


def questions_of(task: Task, seed: int, split: Split) -> dict[str, str]:
    """Questions of a split by example id."""
    return {one.id: one.question for one in splits_of(task, seed).of(split)}


def rows_of(task: Any, examples: Sequence[Example], model: Opened, *, implicit: bool) -> Rows:
    """Examples as the model reads them: completions where its rewards are `implicit`, else whole texts."""
    if implicit:
        return completion_rows(examples, task.format, model.tokenizer, model.max_length)
    if task.kind == "preference":
        return reward_rows(examples, task.format, model.tokenizer, model.max_length)
    ids, texts = [example.id for example in examples], [example.texts for example in examples]
    return encode(ids, texts, tokenizer=model.tokenizer, max_length=model.max_length)


def reward_rows(pairs: Sequence[Example], format: Format, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Rows:
    """The whole texts of every pair, for a reward model: [num_rows, 2] (or K, for K answers).

    A text over `max_length` tokens loses the start of its prompt after the first token.
    """
    return replace(completion_rows(pairs, format, tokenizer, max_length, end=False), starts=None)


# ---------------------------------------------------------------- answers after their prompts


def completion_rows(
    pairs: Sequence[Example], format: Format, tokenizer: PreTrainedTokenizerBase, max_length: int, *, end: bool = True
) -> Rows:
    """The completions of every pair after its prompt, in the order of its options, [num_rows, 2] (or K).

    In plain text an end-of-text token belongs to a completion unless `end` is False: a policy has to stop, too. A chat
    template has closing marks of its own.
    """
    texts = written(pairs, format, tokenizer)
    return encode_completions(
        [pair.id for pair in pairs],
        [prompt for prompt, _ in texts],
        [completions for _, completions in texts],
        tokenizer=tokenizer,
        max_length=max_length,
        special_tokens=not format.is_chat,
        end=end and not format.is_chat,
    )


def written(
    pairs: Sequence[Example], format: Format, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[str, tuple[str, ...]]]:
    """Prompt and completions of every pair as text; a chat template has its special tokens in it already."""
    if not format.is_chat:
        return [(format.prompt(pair.turns), tuple(map(format.completion, pair.completions))) for pair in pairs]
    template = _template(format, tokenizer)
    return [_chat(pair, template, tokenizer) for pair in pairs]


def _chat(pair: Example, template: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, tuple[str, ...]]:
    """Prompt and completions of a pair as the template writes them."""
    write = partial(tokenizer.apply_chat_template, chat_template=template, tokenize=False)
    answered = [messages([*pair.turns, Turn("assistant", answer)]) for answer in pair.completions]
    try:
        whole = [str(write(one, add_generation_prompt=False)) for one in answered]
        prompts = [str(write(messages(pair.turns), add_generation_prompt=asking)) for asking in (True, False)]
    except TemplateError as error:
        raise UserError(f"the chat template refuses a conversation of {len(pair.turns)} turns: {error}") from None
    for prompt in prompts:  # some templates open the answer otherwise than they ask for it
        if all(text.startswith(prompt) for text in whole):
            return prompt, tuple(text[len(prompt) :] for text in whole)
    raise UserError(
        "the chat template does not begin an answered conversation as it begins the question: use plain text"
    )


def _template(format: Format, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of the wanted chat template; raise UserError for a tokenizer without it."""
    there = tokenizer.chat_template
    named = there if isinstance(there, dict) else {DEFAULT_TEMPLATE: there}
    found = named.get(format.chat_template)
    if not found:
        names = ", ".join(sorted(name for name, text in named.items() if text)) or "none at all"
        raise UserError(
            f"task.format.chat_template={format.chat_template}: this model's tokenizer has {names}: take plain text "
            "(task.format.chat_template=null) or an instruction-tuned model"
        )
    return str(found)


class QuestionWriter:
    """How a reasoning task's questions and solutions are put to one model."""

    def __init__(self, format: Format, tokenizer: PreTrainedTokenizerBase) -> None:
        self._format, self._tokenizer = format, tokenizer
        self._template = _template(format, tokenizer) if format.is_chat else None

    @property
    def special_tokens(self) -> bool:
        """Whether the tokenizer adds its own; a chat template has them already."""
        return self._template is None

    def prompt(self, question: str, shown: Sequence[tuple[str, str]] = ()) -> str:
        """What the model is to go on from: worked examples (question and solution), then the question."""
        if self._template is None:
            return self._format.prompt(self._format.asked(question, shown))
        text = self._tokenizer.apply_chat_template(
            self._format.messages(question, shown),
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        return str(text)

    def rows(self, written: Sequence[tuple[str, Sequence[str]]], questions: Mapping[str, str], max_length: int) -> Rows:
        """(example id, M solutions) as rows; the end-of-text token belongs to every solution."""
        complete = self._format.completion if self._template is None else str
        return encode_completions(
            [id for id, _ in written],
            [self.prompt(questions[id]) for id, _ in written],
            [[complete(text.strip()) for text in texts] for _, texts in written],
            tokenizer=self._tokenizer,
            max_length=max_length,
            special_tokens=self.special_tokens,
            end=True,
        )


# ---------------------------------------------------------------- token ids


def encode(
    ids: Sequence[str], texts: Sequence[Sequence[str]], *, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Rows:
    """Tokenise `texts` (M per example); a text over `max_length` tokens loses its start, and is counted.

    The tokenizer truncates on the left (`models.load.load_tokenizer`), so that special tokens stay and the end, where
    the verdict is read, survives. A text without any token becomes one padding token that is attended.
    """
    per_row = len(texts[0])
    assert all(len(row) == per_row for row in texts)
    flat, room = [text for row in texts for text in row], CHARACTERS * max_length
    plain = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
    tokens = list(tokenizer([text[-room:] for text in flat], **plain)["input_ids"])
    for i, text in enumerate(flat):
        if len(text) > room and len(tokens[i]) > max_length:
            flat[i] = text[-room:]
        elif len(text) > room:  # few tokens of many characters: what was cut off counts
            tokens[i] = tokenizer(text, **plain)["input_ids"]
    over = [i for i, text in enumerate(tokens) if len(text) > max_length]
    if over:
        short = tokenizer([flat[i] for i in over], truncation=True, max_length=max_length, **plain)["input_ids"]
        for i, text in zip(over, short, strict=True):
            tokens[i] = text
    pad_id = int(tokenizer.pad_token_id)
    arrays = [np.array(text or [pad_id], dtype=np.int64) for text in tokens]
    return Rows(tuple(ids), arrays, per_row, pad_id, len({i // per_row for i in over}))


def encode_completions(
    ids: Sequence[str],
    prompts: Sequence[str],
    completions: Sequence[Sequence[str]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    special_tokens: bool,
    end: bool,
) -> Rows:
    """Tokenise each prompt with its completions (M each, the same M); `end` adds the end-of-text token to them.

    Prompt and completion are tokenised together, as text, and the completion begins where the tokens part from those
    of the prompt alone: right for any kind of tokenizer. A text over `max_length` loses tokens of its prompt after the
    first one, then the end of its completion.
    """
    per_row = len(completions[0])
    assert all(len(row) == per_row for row in completions)
    room = CHARACTERS * max_length
    whole = [(prompt, text) for prompt, row in zip(prompts, completions, strict=True) for text in row]
    cut = [(f"{head[:room]}{head[room:][-room:]}", text[:room]) for head, text in whole]
    plain = {"add_special_tokens": special_tokens, "return_attention_mask": False, "return_token_type_ids": False}
    tokens = list(tokenizer([head + text for head, text in cut], verbose=False, **plain)["input_ids"])
    for i, (head, text) in enumerate(whole):
        if cut[i] != (head, text) and len(tokens[i]) <= max_length:
            cut[i], tokens[i] = (head, text), tokenizer(head + text, verbose=False, **plain)["input_ids"]
    before = tokenizer([head for head, _ in cut], verbose=False, **plain)["input_ids"]
    pad_id, eos_id = int(tokenizer.pad_token_id), tokenizer.eos_token_id
    ending = [int(eos_id)] if end and eos_id is not None else []
    fitted = []
    for head, text in zip(before, tokens, strict=True):
        shared = takewhile(lambda pair: pair[0] == pair[1], zip(head, text, strict=False))
        fitted.append(_fitted([*text, *ending] or [pad_id], len(list(shared)), max_length))
    texts = [np.array(text, dtype=np.int64) for text, _, _ in fitted]
    shortened = {place // per_row for place, (_, _, lost) in enumerate(fitted) if lost}
    starts = np.array([start for _, start, _ in fitted], dtype=np.int64)
    return Rows(tuple(ids), texts, per_row, pad_id, len(shortened), starts)


def _fitted(text: list[int], start: int, max_length: int) -> tuple[list[int], int, bool]:
    """Text and start within `max_length`, and whether something was lost."""
    start = max(1, start)  # the very first token has nothing to be predicted from
    if len(text) <= max_length:
        return text, start, False
    lost = min(len(text) - max_length, start - 1)
    return (text[:1] + text[1 + lost :])[:max_length], start - lost, True
