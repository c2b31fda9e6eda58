"""Preference pairs as rows for a network: whole texts for a reward model, completions for an implicit reward.

One formatter writes both, and writes training and evaluation alike: the task's plain text, or the chat template of the
model's tokenizer for the whole conversation, answer and closing marks included.
"""

from collections.abc import Sequence
from dataclasses import replace

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data.rows import Rows, encode_completions
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Example, Turn
from w2s_lightning.tasks.format import Format, messages

DEFAULT_TEMPLATE = "default"


def reward_rows(pairs: Sequence[Example], form: Format, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Rows:
    """The whole texts of every pair, for a reward model: [num_rows, 2] (or 1, for single answers).

    A text over `max_length` tokens loses the start of its prompt after the first token.
    """
    return replace(completion_rows(pairs, form, tokenizer, max_length, end=False), starts=None)


def completion_rows(
    pairs: Sequence[Example], form: Format, tokenizer: PreTrainedTokenizerBase, max_length: int, *, end: bool = True
) -> Rows:
    """The completions of every pair after its prompt, in the order of its options, [num_rows, 2] (or 1).

    In plain text an end-of-text token belongs to a completion unless `end` is False: a policy has to stop, too. A chat
    template has closing marks of its own.
    """
    texts = written(pairs, form, tokenizer)
    return encode_completions(
        [pair.id for pair in pairs],
        [prompt for prompt, _ in texts],
        [completions for _, completions in texts],
        tokenizer=tokenizer,
        max_length=max_length,
        special_tokens=not form.is_chat,
        end=end and not form.is_chat,
    )


def written(
    pairs: Sequence[Example], form: Format, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[str, tuple[str, ...]]]:
    """Prompt and completions of every pair as text; a chat template has its special tokens in it already."""
    template = chat_template(form, tokenizer)
    if template is None:
        return [(form.prompt(pair.turns), tuple(map(form.completion, pair.completions))) for pair in pairs]
    return [_chat(pair, template, tokenizer) for pair in pairs]


def chat_template(form: Format, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The template that writes conversations, None for plain text; UserError for a tokenizer without the wanted one."""
    if not form.is_chat:
        return None
    there = tokenizer.chat_template
    named = there if isinstance(there, dict) else {DEFAULT_TEMPLATE: there}
    found = named.get(form.chat_template)
    if not found:
        names = ", ".join(sorted(name for name, text in named.items() if text)) or "none at all"
        raise UserError(
            f"chat_template={form.chat_template}: this model's tokenizer has {names}: take plain text "
            "(chat_template=null) or an instruction-tuned model"
        )
    return str(found)


def _chat(pair: Example, template: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, tuple[str, ...]]:
    """Prompt and completions of a pair as the template writes them."""

    def write(turns: Sequence[Turn], *, asking: bool) -> str:
        text = tokenizer.apply_chat_template(
            messages(turns), chat_template=template, tokenize=False, add_generation_prompt=asking
        )
        return str(text)

    try:
        whole = [write([*pair.turns, Turn("assistant", answer)], asking=False) for answer in pair.completions]
        prompts = [write(pair.turns, asking=asking) for asking in (True, False)]
    except TemplateError as error:
        raise UserError(f"the chat template refuses a conversation of {len(pair.turns)} turns: {error}") from None
    for prompt in prompts:  # some templates open the answer otherwise than they ask for it
        if all(text.startswith(prompt) for text in whole):
            return prompt, tuple(text[len(prompt) :] for text in whole)
    raise UserError(
        "the chat template does not begin an answered conversation as it begins the question: use plain text"
    )
