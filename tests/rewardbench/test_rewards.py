"""Scores of tiny real models against plain passes, one row at a time: what they may and may not depend on."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.rewardbench.rows import CHAT, END, FORM, TEMPLATE, pairs
from w2s_lightning.config.schema import Numerics
from w2s_lightning.data.model_texts import completion_rows, reward_rows
from w2s_lightning.data.rows import Rows
from w2s_lightning.errors import UserError
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.files import Source
from w2s_lightning.models.load import Opened
from w2s_lightning.rewardbench.reward_models import RewardModel, open_classifier, open_policy, rewards_of
from w2s_lightning.tasks.example import Example, Turn
from w2s_lightning.tasks.format import Format, pair

CPU = torch.device("cpu")
FAMILIES = ("llama", "gpt2", "gpt_neox", "qwen3", "bert")


def numerics(family: str = "llama", precision: str = "fp32") -> Numerics:
    attention = "eager" if family == "gemma2" else "sdpa"
    return Numerics(precision=precision, attention=attention, max_length=64)  # type: ignore[arg-type]


def reward_model(folder: Path) -> Opened:
    return open_classifier(Source(str(folder)), numerics())


def scores(opened: Opened, rows: Sequence[Example], tokens_per_batch: int = 10_000, form: Format = FORM) -> np.ndarray:
    encoded = reward_rows(rows, form, opened.tokenizer, opened.max_length)
    return score(opened.network, encoded, tokens_per_batch=tokens_per_batch, device=CPU)


# ---------------------------------------------------------------- reward models with a head


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_batch_size_or_order_of_rows(models, family):
    opened, rows = reward_model(models(family, labels=1)), pairs()
    together = scores(opened, rows)
    assert together.shape == (len(rows), 2)
    assert together.dtype == np.float32
    assert together.std() > 0.005
    for budget in (1, 40, 90):
        assert scores(opened, rows, budget) == pytest.approx(together, abs=1e-5)
    assert scores(opened, rows[::-1], 60)[::-1] == pytest.approx(together, abs=1e-5)


def altered(folder: Path, place: Path, **settings: object) -> Path:
    """A copy of a model folder with other settings of its tokenizer."""
    shutil.copytree(folder, place)
    file = place / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return place


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_scores_do_not_depend_on_the_padding_side(models, family, tmp_path):
    folder = models(family, labels=1)
    left = reward_model(altered(folder, tmp_path / "left", padding_side="left"))
    assert scores(left, pairs(), 90) == pytest.approx(scores(reward_model(folder), pairs(), 90), abs=1e-5)


def test_a_padding_token_that_ends_texts_changes_no_score(models, tmp_path):
    folder, rows = models("llama", labels=1), [*pairs(), ended()]
    as_end = reward_model(altered(folder, tmp_path / "eos", pad_token=END))
    as_other = reward_model(altered(folder, tmp_path / "other", pad_token="!"))
    assert as_end.tokenizer.pad_token_id == as_end.tokenizer.eos_token_id != as_other.tokenizer.pad_token_id
    assert scores(as_end, rows) == pytest.approx(scores(as_other, rows), abs=1e-5)


def ended() -> Example:
    """A pair whose better answer ends in a real end-of-text token."""
    return pair([Turn("user", "tea warm")], f"yes{END}", "yes it is warm", FORM, place="rows:9")


def test_a_trailing_end_token_is_scored(models):
    opened, one = reward_model(models("llama", labels=1)), ended()
    body = AutoModel.from_pretrained(models("llama", labels=1)).eval()
    head = opened.network.head.weight
    tokens = opened.tokenizer(one.texts[one.label])["input_ids"]
    assert tokens[-1] == opened.tokenizer.pad_token_id == opened.tokenizer.eos_token_id
    with torch.no_grad():
        states = body(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        at_end, before = (float(head[0] @ states[place]) for place in (-1, -2))
    found = scores(opened, [*pairs(), one])[-1, one.label]
    assert found == pytest.approx(at_end, abs=1e-5)
    assert abs(at_end - before) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_those_of_automodel_row_by_row(models, family):
    folder, rows = models(family, labels=1), pairs()
    plain, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    found = scores(reward_model(folder), rows)
    for row, one in enumerate(rows):
        for option, text in enumerate(one.texts):
            inputs = tokenizer(text, return_tensors="pt")
            inputs.pop("token_type_ids", None)
            with torch.no_grad():
                assert float(plain(**inputs).logits[0, 0]) == pytest.approx(found[row, option], abs=1e-5)


def test_half_precision_is_autocast_over_full_weights(models):
    folder = models("llama", labels=1)
    half = open_classifier(Source(str(folder)), numerics(precision="bf16"))
    exact = scores(reward_model(folder), pairs())
    assert {parameter.dtype for parameter in half.network.parameters()} == {torch.float32}
    assert scores(half, pairs()) == pytest.approx(exact, rel=0.1, abs=0.1)
    assert (scores(half, pairs()) != exact).any()


@pytest.mark.parametrize(
    ("family", "labels", "message"),
    [
        ("llama", 2, "gives 2 labels, a reward model one score"),
        ("bert", 3, "gives 3 labels"),
        ("llama", 0, "has no reward head: score it as a language model"),
    ],
)
def test_what_is_no_reward_model_is_refused(models, family, labels, message):
    with pytest.raises(UserError, match=message):
        reward_model(models(family, labels=labels))


def test_a_head_is_never_made_up(models, tmp_path):
    folder = tmp_path / "headless"
    shutil.copytree(models("llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "reward"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"the weights do not fit config.json, 1 are missing \(score.weight"):
        reward_model(folder)


# ---------------------------------------------------------------- implicit rewards


def log_probs(folder: Path, rows: Rows, tokens_per_batch: int = 10_000):
    opened = open_policy(Source(str(folder)), numerics())
    return score(opened.network, rows, tokens_per_batch=tokens_per_batch, device=CPU)


def encoded(folder: Path, rows: Sequence[Example], form: Format = FORM, **options: bool) -> Rows:
    opened = open_policy(Source(str(folder)), numerics())
    return completion_rows(rows, form, opened.tokenizer, opened.max_length, **options)


def rewards(folder: Path, *, reference: Path | None = None, free: Any = None):
    """Of the pairs, as the command line scores them."""
    model = RewardModel(Source(str(folder)), reference and Source(str(reference)), free, numerics(), CPU, 90, print)
    return rewards_of(model, pairs(), FORM).values


def plain_log_prob(folder: Path, prompt: str, completion: str, *, end: bool) -> tuple[float, int]:
    """The completion's log-probability and tokens, from one fp32 pass over one row without padding."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    start = len(tokenizer(prompt)["input_ids"])
    tokens = tokenizer(prompt + completion)["input_ids"] + ([tokenizer.eos_token_id] if end else [])
    with torch.no_grad():
        table = model(input_ids=torch.tensor([tokens])).logits[0].float().log_softmax(dim=-1)
    picked = [float(table[place - 1, tokens[place]]) for place in range(start, len(tokens))]
    return sum(picked), len(picked)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_implicit_rewards_equal_plain_passes_with_and_without_a_reference(models, family):
    folder, other, rows = models(family), models(family, seed=1), pairs()
    done = encoded(folder, rows)
    ratios, summed, mean = rewards(folder, reference=other), rewards(folder, free="sum"), rewards(folder, free="mean")
    for row, one in enumerate(rows):
        for option, completion in enumerate(map(FORM.completion, one.completions)):
            own, count = plain_log_prob(folder, FORM.prompt(one.turns), completion, end=True)
            theirs, _ = plain_log_prob(other, FORM.prompt(one.turns), completion, end=True)
            assert summed[row, option] == pytest.approx(own, abs=1e-4)
            assert mean[row, option] == pytest.approx(own / count, abs=1e-5)
            assert ratios[row, option] == pytest.approx(own - theirs, abs=2e-4)
            assert done.completion_tokens[row, option] == count


def test_log_probabilities_do_not_depend_on_batch_size_or_order(models):
    folder, rows = models("llama"), pairs()
    whole = log_probs(folder, encoded(folder, rows))
    for budget in (1, 40, 90):
        assert log_probs(folder, encoded(folder, rows), budget) == pytest.approx(whole, abs=1e-4)
    turned = log_probs(folder, encoded(folder, rows[::-1]), 60)[::-1]
    assert turned == pytest.approx(whole, abs=1e-4)


def test_a_model_is_its_own_reference_at_zero(models):
    assert (rewards(models("llama"), reference=models("llama")) == 0).all()


def test_the_end_token_is_scored_only_where_it_is_asked_for(models):
    folder, rows = models("llama"), pairs()
    with_end, without = encoded(folder, rows), encoded(folder, rows, end=False)
    assert (with_end.completion_tokens == without.completion_tokens + 1).all()
    assert with_end.texts[0][-1] == 0
    assert (log_probs(folder, with_end) < log_probs(folder, without)).all()


def test_whole_texts_and_completions_have_the_same_tokens(models):
    folder, rows = models("llama"), pairs()
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token=END)
    whole, ends = reward_rows(rows, FORM, tokenizer, 64), completion_rows(rows, FORM, tokenizer, 64, end=False)
    assert all((one == other).all() for one, other in zip(whole.texts, ends.texts, strict=True))
    for place, text in enumerate(whole.texts):
        own = tokenizer.decode(text[ends.starts[place] :].tolist())
        assert own == FORM.completion(rows[place // 2].completions[place % 2])


def test_classifiers_and_encoders_have_no_implicit_reward(models):
    for folder in (models("llama", labels=1), models("bert")):
        with pytest.raises(UserError, match="is no causal language model: it has no implicit reward"):
            open_policy(Source(str(folder)), numerics())


# ---------------------------------------------------------------- chat templates


def talking(models, family: str = "llama", template: object = TEMPLATE):
    tokenizer = AutoTokenizer.from_pretrained(models(family), pad_token=END)
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
