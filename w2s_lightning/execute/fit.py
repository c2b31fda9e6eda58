"""One model trained on targets of one split: the same steps for every kind of task and read-out.

What differs between kinds is which rows are made of the examples, and which named columns stand beside them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import QuestionWriter, questions_of, rows_of, splits_of, written
from w2s_lightning.data.rows import Numbers, Ragged, Rows, StepData, evaluation_steps, plan
from w2s_lightning.errors import UserError
from w2s_lightning.execute.label import PLACES, SHIFT, every_token, rows_of_pairs
from w2s_lightning.fit.loop import Fitted, Validation, fit
from w2s_lightning.fit.paradigms import Base, module_of, objective_of, reads
from w2s_lightning.identity import Stage
from w2s_lightning.models.device import Resources
from w2s_lightning.models.load import Opened, Source, load_tokenizer, open_model, save
from w2s_lightning.models.networks import adapt, read_as
from w2s_lightning.recipes.refusals import TOKEN_LEVEL, WSPO, ByToken, different
from w2s_lightning.results import stored
from w2s_lightning.stages import BareModel, Fit, Gold, Label, Select, Targets, UnlabelledTexts
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import FINISHED, Example, Turn, trained_on


def compute(stage: Fit, folder: Path, resources: Resources) -> None:
    """Write the stage's model, curve, counts and validation probabilities into `folder`."""
    bare = BareModel(stage.weights, stage.readout, stage.numerics)
    seed = 0 if stage.tuning == "probe" else stage.seed  # a probe's features were drawn with the bare model's seed
    model = open_model(bare, stage.task, resources.store, dropout=stage.dropout, seed=seed)
    rows = _rows(stage, stage.targets, model, resources)
    order = plan(rows.lengths, stage.optimisation.rows_per_step, stage.optimisation.epochs, stage.seed)
    validation = None
    if stage.evaluations > 0 and stage.validation:
        held, steps = _rows(stage, stage.validation, model, resources), evaluation_steps(len(order), stage.evaluations)
        validation = Validation(held, steps=steps, tokens_per_batch=resources.tokens_per_batch)
    says, *_ = reads(objective_of(stage.objective))
    network = read_as(model.network, says)
    merge = adapt(network, stage.lora) if stage.lora is not None else lambda: None
    trained = model.classifier.head if stage.tuning == "probe" else network
    fitted = train(stage, module_of(stage, trained, rows, num_steps=len(order)), rows, order, resources, validation)
    merge()
    keep(stage, network.model, model.tokenizer, folder, _about(stage, validation.rows if validation else (), model))
    counts = {"num_rows": len(rows.ids), "num_steps": len(order), "truncated_share": rows.truncated_share}
    write_fitted(folder, fitted, counts)
    if validation is not None:
        done = [int(row["step"]) for row in validation.rows]
        columns = {
            "step": np.repeat(done, len(validation.data.ids)),
            "example_id": list(validation.data.ids) * len(done),
            "probs": tables.vectors(np.concatenate([probs.numpy() for probs in validation.probs])),
        }
        tables.write(folder / stored.VALIDATION, columns)


def train(
    stage: Stage, module: Base, rows: Rows, order: Numbers, resources: Resources, validation: Validation | None = None
) -> Fitted:
    """Run a fit over the steps in `order` [steps, rows a step]; it goes on from its last checkpoint."""
    return fit(
        module,
        StepData(rows, plan=order, tokens_per_batch=resources.tokens_per_batch),
        label=stage.label,
        trainer=resources.trainer,
        checkpoints=resources.store.checkpoints(stage),
        validation=validation,
        report=resources.report,
    )


def keep(stage: Stage, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, about: str) -> None:
    """Save the model with a short card; beside a fit the prompts that must not judge it as a reward model.

    A head with an output a class carries the classes' names, so that whoever loads it reads answers and no numbers.
    """
    if isinstance(stage, Fit) and stage.readout.kind == "head" and stage.task.layout == "text":
        model.config.id2label = dict(enumerate(stage.task.class_names))
        model.config.label2id = {name: place for place, name in enumerate(stage.task.class_names)}
    save(model, tokenizer, folder / "model", label=stage.label, digest=stage.digest, about=about)
    if isinstance(stage, Fit) and stage.task.kind != "choice":
        groups = sorted(trained_on(splits_of(stage.task, stage.split_seed)))
        tables.write(folder / tables.PROMPTS, {"group_id": groups})


def write_fitted(folder: Path, fitted: Fitted, counts: Mapping[str, object]) -> None:
    """history.jsonl, and metrics.json with `counts`; no clock times, so that equal fits leave equal files."""
    tables.write_lines(folder / tables.HISTORY, fitted.history)
    record = {**counts, "num_tokens": fitted.num_tokens, "final_loss": fitted.final_loss}
    tables.write_json(folder / stored.METRICS, record)


def _about(stage: Fit, passes: Sequence[Mapping[str, float]], model: Opened) -> str:
    """What the model card says: what it was trained on, how well it learned that, what it reads and how to use it."""
    if isinstance(stage.learned, UnlabelledTexts):
        return f"`{stage.name}` after language modelling on the texts of the task `{stage.task.name}`, without labels."
    what = "solutions" if stage.readout.kind == "text" else "labels"
    source = f"gold {what}" if isinstance(stage.learned, Gold) else "a supervisor's answers"
    said = (
        f"`{stage.name}` trained on {source} of the split `{stage.split}` of the task `{stage.task.name}` "
        f"({stage.tuning} tuning, objective `{stage.objective.name}`, seed {stage.seed})."
    )
    agreed = next((row["validation_agreement"] for row in reversed(passes) if "validation_agreement" in row), None)
    if agreed is not None:
        figure = "accuracy on" if isinstance(stage.learned, Gold) else "agreement with its supervisor on"
        said += f"\n\nAt its end, {figure} the validation rows: {agreed:.3f}."
    if stage.task.kind != "choice":
        return f"{said}\n\n{_usage(stage, model.tokenizer)}"
    if stage.readout.kind != "head":
        return said
    template = getattr(getattr(stage.task, "reader", None), "template", None)
    example = "..." if template else splits_of(stage.task, stage.split_seed).of(stage.split)[0].texts[0]
    reads = f"the columns of a row, written as `{template}`" if template else "a text like the one below"
    alone = stage.task.layout == "text"
    labels = ", ".join(f"`{name}`" for name in stage.task.class_names)
    more, gives = ("", f"one of the labels {labels}") if alone else (', function_to_apply="none"', "a score an option")
    return f"""{said}

It reads {reads}, and gives {gives}{"" if alone else ", the highest of which is its answer"}.

{_lines_of_use("text-classification", more, example)}"""


def _usage(stage: Fit, tokenizer: PreTrainedTokenizerBase) -> str:
    """How a reward model scores a conversation, and a language model goes on from a prompt, as each was trained to."""
    task, head = stage.task, stage.readout.kind == "head"
    one = splits_of(task, stage.split_seed).of(stage.split)[0]
    if task.world is None:  # rows of others stay where they are
        one = replace(one, texts=("...",), turns=(Turn("user", "..."),), completions=("...",) * len(one.completions))
    if task.kind == "reasoning":
        text = QuestionWriter(task.format, tokenizer).prompt(one.question)
    else:
        prompt, completions = written([one], task.format, tokenizer)[0]
        text = prompt + completions[0] if head else prompt
    gives = "a conversation and gives its reward" if head else "a prompt and goes on from it"
    kind, more = ("text-classification", ', function_to_apply="none"') if head else ("text-generation", "")
    options = [] if head else ["max_new_tokens=100", "do_sample=False", "return_full_text=False"]
    options += ["add_special_tokens=False"] if task.format.is_chat else []  # the template has them
    return f"""It reads {gives}, written as below.

{_lines_of_use(kind, more, text, *options)}"""


def _lines_of_use(kind: str, more: str, text: str, *options: str) -> str:
    """Three lines of Python that load the model of a folder and show it a text."""
    call = ", ".join([json.dumps(text, ensure_ascii=False), *options])
    return f"""```python
import transformers
model = transformers.pipeline("{kind}", "."{more})  # this folder
print(model({call}))
```"""


# ---------------------------------------------------------------- rows with their targets


def _rows(stage: Fit, targets: Mapping[str, Targets], model: Opened, resources: Resources) -> Rows:
    match targets:
        case {"texts": UnlabelledTexts()}:
            return _texts(stage, model)
        case {"pairs": Select(), "reference": Label() as reference}:
            rows = rows_of_pairs(reference, model, resources.store)
            probs = np.tile(np.array([1, 0], np.float32), (len(rows.ids), 1))  # chosen first
            said = tables.stored_log_probs(reference, rows.ids, resources.store)
            return _preferred(rows, probs, np.ones(len(rows.ids)), said)
        case {"solutions": _, "top_tokens": Label() as teacher}:
            return _taught(stage, teacher, model, resources)
        case {"solutions": solutions}:
            return _solutions(stage, solutions, model, resources)
        case {"labels": labels}:
            beside = {name: one for name, one in targets.items() if isinstance(one, Label) and one is not labels}
            return _labelled(stage, labels, beside, model, resources)
    raise AssertionError(targets)


def _labelled(stage: Fit, labels: Targets, beside: Mapping[str, Label], model: Opened, resources: Resources) -> Rows:
    """Examples with class probabilities: of a choice, or of which completion is the better one."""
    examples = splits_of(stage.task, stage.split_seed).of(labels.split)
    table = tables.read_targets(labels, examples, stage.task, resources.store)
    chosen = tables.with_targets(examples, table, stage.label)
    implicit = stage.readout.kind == "implicit"
    if "features" in beside:
        rows = tables.feature_rows(chosen, beside["features"], resources.store)
    else:
        rows = rows_of(stage.task, chosen, model, implicit=implicit)
    probs, weights = tables.aligned(rows.ids, table, stage.labels, stage.label)
    if "shift" in beside:
        return _preferred(_shifted(beside["shift"], rows, model, resources), probs, weights, None)
    if implicit:
        reference = tables.stored_log_probs(beside["reference"], rows.ids, resources.store)
        return _preferred(rows, probs, weights, reference)
    if stage.objective.options.get("margin") == "data":
        rows = replace(rows, targets={"margins": _margins(stage, rows.ids, examples)})
    return rows.trained_on(weights, probs=probs.astype(np.float32))


def _preferred(
    rows: Rows, probs: NDArray[np.floating], weights: NDArray[np.floating], reference: NDArray[np.float32] | None
) -> Rows:
    """Completions [num_rows, 2] with how much each is preferred, and the reference's summed log-probabilities."""
    given = {} if reference is None else {"reference": reference}
    return rows.trained_on(weights, probs=probs.astype(np.float32), tokens=_tokens(rows), **given)


def _tokens(rows: Rows) -> NDArray[np.float32]:
    """Tokens of every completion; an empty one counts as one, since means divide by it."""
    return np.maximum(rows.completion_tokens, 1).astype(np.float32)


def _margins(stage: Fit, ids: Sequence[str], examples: Sequence[Example]) -> NDArray[np.float32]:
    """By how much the better answer of each pair is better, [num_rows]; raise UserError where the data says not."""
    pairs = {pair.id: pair for pair in examples}
    margins = [pairs[id].margin for id in ids]
    if None in margins:
        raise UserError(
            f"margin=data: {margins.count(None)} of {len(ids)} pairs of {stage.task.name} have no margin "
            "(task.reader.margin names its column)"
        )
    return np.array(margins, dtype=np.float32)


def _shifted(targets: Label, rows: Rows, model: Opened, resources: Resources) -> Rows:
    """The rows with what preference training changed in their supervisor, token by token, and where the student begins.

    The student's log-ratio to itself before training follows that shift (arXiv 2410.18640). All models read the same
    tokens, so both sides must share their vocabulary; no two of them are in memory together.
    """
    refuse_other_vocabulary(targets.source, model.tokenizer, resources.store, WSPO)
    table = tables.read(resources.store.open(targets) / SHIFT)
    order = tables.places(rows.ids, table.column("example_id").to_pylist(), targets.label)
    columns = [table.column(name).to_pylist() for name in PLACES]
    shift: Ragged = [np.array(column[place], dtype=np.float32) for place in order.tolist() for column in columns]
    if [len(one) for one in shift] != rows.completion_tokens.reshape(-1).tolist():
        raise UserError(
            f"{targets.label}: the supervisor's completions were cut where the student's are not: both sides need the "
            "same room, so lower fit.max_length"
        )
    return replace(rows, per_token={"reference": every_token(model, rows, resources), "shift": shift})


def _texts(stage: Fit, model: Opened) -> Rows:
    """Each text of the split's examples as a row of its own, learned from its second token on, without any label.

    What student and ceiling may start from (Burns et al. 2023, arXiv 2312.09390, section 5.2.2): the better and the
    worse completions alike. Pairs are written as an implicit reward reads them, with an end-of-text token; texts of a
    choice task go on (with a verdict), so they have none.
    """
    examples = splits_of(stage.task, stage.split_seed).of(stage.split)
    whole = rows_of(stage.task, examples, model, implicit=stage.task.kind == "preference").one_text_each()
    return _learned(replace(whole, starts=np.ones(len(whole.ids), dtype=np.int64)))


def _solutions(stage: Fit, targets: Targets, model: Opened, resources: Resources) -> Rows:
    """Worked solutions after their questions; only those that were brought to an end are learned."""
    found = tables.read_solutions(targets, stage.task, stage.split_seed, resources.store, finished=True)
    if not found:
        raise UserError(
            f"{stage.label}: no solution is left to train on, since none was brought to an end: give more room "
            "(generation.max_new_tokens), or train longer whoever wrote them (+fit.floor.epochs=...)"
        )
    questions = questions_of(stage.task, stage.split_seed, stage.split)
    written = [(one.id, (one.text,)) for one in found]
    return _learned(QuestionWriter(stage.task.format, model.tokenizer).rows(written, questions, model.max_length))


def _learned(rows: Rows) -> Rows:
    """One completion a row, whose weight counts once per token: a step's loss is the mean over all its tokens, however
    it is split into micro-batches; long completions count for more, as in the usual language-model loss."""
    tokens = _tokens(rows)
    return rows.trained_on(tokens[:, 0], tokens=tokens)


def _taught(stage: Fit, targets: Label, model: Opened, resources: Resources) -> Rows:
    """A teacher's own solutions, token by token: both sides must share their vocabulary."""
    refuse_other_vocabulary(targets.source, model.tokenizer, resources.store, TOKEN_LEVEL)
    writing = QuestionWriter(stage.task.format, model.tokenizer)
    questions = questions_of(stage.task, stage.split_seed, targets.split)
    solutions = tables.read(resources.store.open(targets) / stored.SOLUTIONS).to_pylist()
    prompts = {row["example_id"]: writing.prompt(questions[row["example_id"]]) for row in solutions}
    return taught_rows(
        solutions, prompts, model.tokenizer, special_tokens=writing.special_tokens, max_length=model.max_length
    )


def taught_rows(
    solutions: Sequence[Mapping[str, Any]],
    prompts: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    special_tokens: bool,
    max_length: int,
) -> Rows:
    """A teacher's own tokens, with those that it thought most likely at every place, after a student's prompts.

    Only solutions that were brought to an end and that fit into `max_length`; `num_truncated` are those too long.
    """
    found = [row for row in solutions if row["finish"] in FINISHED and row["tokens"]]
    texts = [prompts[row["example_id"]] for row in found]
    heads = tokenizer(texts, add_special_tokens=special_tokens)["input_ids"] if texts else []
    fitting = [(row, head) for row, head in zip(found, heads, strict=True) if len(head + row["tokens"]) <= max_length]
    if not fitting:
        raise UserError("the teacher finished no solution that fits the student's context: raise fit.max_length")
    rows = Rows(
        ids=tuple(row["example_id"] for row, _ in fitting),
        texts=[np.array([*head, *row["tokens"]], dtype=np.int64) for row, head in fitting],
        texts_per_row=1,
        pad_id=int(tokenizer.pad_token_id),
        num_truncated=len(found) - len(fitting),
        starts=np.array([len(head) for _, head in fitting], dtype=np.int64),
        per_token={
            "top_ids": [np.array(row["top_ids"], dtype=np.int64) for row, _ in fitting],
            "top_log_probs": [np.array(row["top_log_probs"], dtype=np.float32) for row, _ in fitting],
        },
    )
    return _learned(rows)


def refuse_other_vocabulary(
    teacher: Fit | BareModel, tokenizer: PreTrainedTokenizerBase, store: Store, why: ByToken
) -> None:
    """Raise UserError where teacher and student do not share their tokens."""
    if not isinstance(teacher, Fit):
        return
    other = load_tokenizer(Source(str(store.open(teacher) / "model")))
    if other.get_vocab() != tokenizer.get_vocab():
        raise different(teacher.name, len(other), f"the student {len(tokenizer)}", why)
