"""Scores of tiny real models against plain passes, one row at a time: what they may and may not depend on."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from tests.rewardbench.rows import CHAT, END, FORM, TEMPLATE, pairs
from w2s_lightning.config.schema import Numerics
from w2s_lightning.data.model_texts import completion_rows, reward_rows
from w2s_lightning.errors import UserError
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.load import Opened, Source, quiet
from w2s_lightning.rewardbench.reward_models import RewardModel, open_classifier, open_policy, rewards_of
from w2s_lightning.tasks.example import Example, Turn
from w2s_lightning.tasks.format import Format, pair

CPU = torch.device("cpu")
NUMERICS = Numerics(precision="fp32", attention="sdpa", max_length=64)


def reward_model(folder: Path, **settings: object) -> Opened:
    """Opened; with other settings of its tokenizer, where some are given, as a fit of ours lies in the store."""
    if settings:
        place = folder.with_name(f"{folder.name}-{'-'.join(map(str, settings.values()))}")
        folder = Path(shutil.copytree(folder, place / "model"))
        (place / "stage.json").write_text("{}")
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return open_classifier(Source(str(folder)), NUMERICS)


def scores(opened: Opened, rows: Sequence[Example], tokens_per_batch: int = 10_000) -> np.ndarray:
    encoded = reward_rows(rows, FORM, opened.tokenizer, opened.max_length)
    return score(opened.network, encoded, tokens_per_batch=tokens_per_batch, device=CPU)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "qwen3", "bert"])
def test_scores_are_those_of_automodel_row_by_row_in_batches_of_any_size_and_order(models, family):
    folder, rows = models(family, labels=1), pairs()
    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer, alone = AutoTokenizer.from_pretrained(folder), np.zeros((len(rows), 2))
    for row, one in enumerate(rows):
        for option, text in enumerate(one.texts):
            inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
            with torch.no_grad():
                alone[row, option] = float(plain(**inputs).logits[0, 0])
    opened = reward_model(folder)
    assert alone.std() > 0.005
    assert scores(opened, rows).dtype == np.float32
    for budget in (1, 40, 90, 10_000):
        assert scores(opened, rows, budget) == pytest.approx(alone, abs=1e-5)
    assert scores(opened, rows[::-1], 60)[::-1] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_scores_do_not_depend_on_the_padding_side(models, family):
    folder = models(family, labels=1)
    left = reward_model(folder, padding_side="left")
    assert scores(left, pairs(), 90) == pytest.approx(scores(reward_model(folder), pairs(), 90), abs=1e-5)


def test_a_padding_token_that_ends_texts_changes_no_score_and_a_real_end_is_scored(models):
    folder = models("llama", labels=1)
    one = pair([Turn("user", "tea warm")], f"yes{END}", "yes it is warm", FORM, place="rows:9")
    as_end, as_other = reward_model(folder, pad_token=END), reward_model(folder, pad_token="!")
    assert as_end.tokenizer.pad_token_id == as_end.tokenizer.eos_token_id != as_other.tokenizer.pad_token_id
    found = scores(as_end, [*pairs(), one])
    assert found == pytest.approx(scores(as_other, [*pairs(), one]), abs=1e-5)
    tokens = as_end.tokenizer(one.texts[one.label])["input_ids"]
    assert tokens[-1] == as_end.tokenizer.pad_token_id
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        at_end, before = (float(as_end.network.head.weight[0] @ states[place]) for place in (-1, -2))
    assert found[-1, one.label] == pytest.approx(at_end, abs=1e-5)
    assert abs(at_end - before) > 1e-3


def published(folder: Path, place: Path, pad: str) -> Path:
    """The same reward model as TRL would have published it: this padding token in its configuration and tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token=pad)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.config.pad_token_id = tokenizer.pad_token_id
    with quiet():
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
    return place


@pytest.mark.parametrize(("pad", "differ"), [(END, True), ("!", False)])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_a_published_model_is_read_where_transformers_reads_it(models, tmp_path, family, pad, differ):
    """With pad = eos, texts that end in eos are read one token before it: transformers' own forward, a padded batch."""
    folder = published(models(family, labels=1), tmp_path / "theirs" / "model", pad)
    rows = [pair([Turn("user", f"tea {n}")], f"yes it is{END}", f"no{END}", FORM, place=f"rows:{n}") for n in range(4)]
    plain, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    inputs = tokenizer([text for one in rows for text in one.texts], return_tensors="pt", padding=True)
    with torch.no_grad():
        own = plain(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.view(4, 2).numpy()
    found = rewards_of(RewardModel(Source(str(folder)), None, None, NUMERICS, CPU, 60, print), rows, FORM)
    assert own.std() > 0.005
    assert found.values == pytest.approx(own, abs=1e-5)
    assert found.kind.endswith(f"not its padding token {pad!r}, as transformers does")
    assert len(found.notices) == differ
    assert not differ or "8 of 8 texts end in" in found.notices[0]
    (folder.parent / "stage.json").write_text("{}")  # a fit of ours was trained and is read at the last attended token
    ours = rewards_of(RewardModel(Source(str(folder)), None, None, NUMERICS, CPU, 60, print), rows, FORM)
    assert ours.kind.endswith("last attended token")
    assert ours.notices == ()
    assert (np.abs(ours.values - found.values).max() > 1e-3) == differ


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_implicit_rewards_are_log_probabilities_with_and_without_a_reference(models, family):
    def read(folder: Path) -> Any:
        opened = open_policy(Source(str(folder)), NUMERICS)
        rows = completion_rows(pairs(), FORM, opened.tokenizer, opened.max_length)
        return score(opened.network, rows, tokens_per_batch=10_000, device=CPU), rows.completion_tokens

    def rewards(*, reference: Path | None = None, free: Any = None) -> np.ndarray:
        base = reference and Source(str(reference))
        return rewards_of(RewardModel(Source(str(folder)), base, free, NUMERICS, CPU, 90, print), pairs(), FORM).values

    folder, other = models(family), models(family, seed=1)
    (own, tokens), (theirs, _) = read(folder), read(other)
    assert rewards(free="sum") == pytest.approx(own, abs=1e-4)
    assert rewards(free="mean") == pytest.approx(own / tokens, abs=1e-5)
    assert rewards(reference=other) == pytest.approx(own - theirs, abs=2e-4)


# ---------------------------------------------------------------- how rows are written


def test_whole_texts_and_completions_have_the_same_tokens(models):
    rows, tokenizer = pairs(), AutoTokenizer.from_pretrained(models("llama"), pad_token=END)
    whole, ends = reward_rows(rows, FORM, tokenizer, 64), completion_rows(rows, FORM, tokenizer, 64, end=False)
    assert all((one == other).all() for one, other in zip(whole.texts, ends.texts, strict=True))
    for place, text in enumerate(whole.texts):
        own = tokenizer.decode(text[ends.starts[place] :].tolist())
        assert own == FORM.completion(rows[place // 2].completions[place % 2])


def talking(models, template: object = TEMPLATE):
    tokenizer = AutoTokenizer.from_pretrained(models("llama"), pad_token=END)
    tokenizer.chat_template = template
    return tokenizer


def test_a_chat_template_writes_the_whole_conversation(models):
    tokenizer, rows = talking(models), pairs(CHAT)
    done = completion_rows(rows, CHAT, tokenizer, 64)
    for place, text in enumerate(done.texts):
        one, answer = rows[place // 2], rows[place // 2].completions[place % 2]
        start = int(done.starts[place])
        assert tokenizer.decode(text[:start].tolist()) == f"[user]{one.turns[0].text} ;[assistant]"
        assert tokenizer.decode(text[start:].tolist()) == f"{answer} ;"


def test_a_template_that_opens_answers_otherwise_starts_them_after_the_question(models):
    template = TEMPLATE.replace("[assistant]", "[assistant]<think>")
    done = completion_rows(pairs(CHAT), CHAT, talking(models, template=template), 64)
    text, start = done.texts[0], int(done.starts[0])
    assert talking(models).decode(text[start:].tolist()).startswith("[assistant]")


@pytest.mark.parametrize(
    ("template", "wanted", "message"),
    [
        (None, "default", "this model's tokenizer has none at all: take plain text"),
        (TEMPLATE, "tools", "chat_template=tools: this model's tokenizer has default"),
        ("{{ raise_exception('no system here') }}", "default", "refuses a conversation of 1 turns: no system here"),
        ("{{ messages | length }}{{ messages[-1]['content'] }}", "default", "does not begin an answered conversation"),
    ],
)
def test_templates_that_cannot_be_used_are_refused(models, template, wanted, message):
    form = Format(chat_template=wanted, user="{text}", joint="", separator="")
    with pytest.raises(UserError, match=message):
        reward_rows(pairs(CHAT), form, talking(models, template=template), 64)
