"""Worked solutions as they are stored, read, asked for and trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data import tables
from w2s_lightning.data.choices import splits_of
from w2s_lightning.data.rows import Rows, encode_completions
from w2s_lightning.errors import UserError
from w2s_lightning.generate.samples import Prompt, Sample
from w2s_lightning.selection import Pair, Pairs, Solutions
from w2s_lightning.stages import Gold, Label, Select, Shown, Supervisor, Targets
from w2s_lightning.store import Store
from w2s_lightning.tasks.draws import permutation
from w2s_lightning.tasks.example import Example, Solution, Split, Splits
from w2s_lightning.tasks.supervisor_file import read_solutions as read_file
from w2s_lightning.tasks.task import Task

SOLUTIONS = "solutions.parquet"
PAIRS = "pairs.parquet"
FINISHED = ("eos", "stop")


def problems_of(task: Task, seed: int) -> Splits:
    """The task's problems, remembered with the examples of all other tasks."""
    found: Any = splits_of(task, seed)
    return found


# ---------------------------------------------------------------- reading


def read_solutions(targets: Targets, task: Task, seed: int, store: Store) -> tuple[Solution, ...]:
    """The solutions that targets stand for, on the problems of job seed `seed`; parents must be in the store.

    What a model did not bring to an end has no answer.
    """
    match targets:
        case Gold(split=split):
            return tuple(Solution(one.id, one.solution, one.answer) for one in problems_of(task, seed).of(split))
        case Supervisor(split=split, file=file):
            ids = [one.id for one in problems_of(task, seed).of(split)]
            return read_file(file, ids, known=None, parse=task.key.parse)  # `checks` knows the job's seed
        case Label() | Select():
            table = tables.read(store.open(targets) / SOLUTIONS)
            columns = (table.column(name).to_pylist() for name in ("example_id", "text", "answer"))
            return tuple(Solution(*row) for row in zip(*columns, strict=True))
    raise AssertionError(targets)


def read_finished(targets: Targets, task: Task, seed: int, store: Store) -> tuple[Solution, ...]:
    """`read_solutions` without those that were cut off: learning to stop in the middle helps nobody."""
    found = read_solutions(targets, task, seed, store)
    if not isinstance(targets, Label):
        return found
    ends = tables.read(store.open(targets) / SOLUTIONS).column("finish").to_pylist()
    return tuple(one for one, end in zip(found, ends, strict=True) if end in FINISHED)


def read_pairs(stage: Select, store: Store) -> tuple[Pair, ...]:
    """The pairs of a select stage, without the answers."""
    return tuple(
        Pair(
            row["example_id"],
            Solution(row["example_id"], row["chosen"], None),
            Solution(row["example_id"], row["rejected"], None),
            row["confidence"],
            row["weak_is_chosen"],
        )
        for row in tables.read(store.open(stage) / PAIRS).to_pylist()
    )


# ---------------------------------------------------------------- writing


def write_samples(folder: Path, samples: Sequence[Sample], task: Task) -> None:
    """solutions.parquet: one row a sample, sorted by problem and number; token columns where top tokens were drawn."""
    ordered = sorted(samples, key=lambda sample: (sample.id, sample.number))
    columns: dict[str, object] = {
        "example_id": [sample.id for sample in ordered],
        "number": [sample.number for sample in ordered],
        "text": [sample.text for sample in ordered],
        "answer": pa.array(
            [task.key.parse(sample.text) if sample.finish in FINISHED else None for sample in ordered], pa.string()
        ),
        "finish": [sample.finish for sample in ordered],
        "num_drawn": [sample.num_drawn for sample in ordered],
    }
    if any(sample.top_ids is not None for sample in ordered):
        columns["tokens"] = [list(sample.tokens) for sample in ordered]
        columns["top_ids"] = [[list(row) for row in sample.top_ids or ()] for sample in ordered]
        columns["top_log_probs"] = [[list(row) for row in sample.top_log_probs or ()] for sample in ordered]
    tables.write(folder / SOLUTIONS, columns)


def write_selected(folder: Path, made: Solutions | Pairs, num_questions: int) -> None:
    """solutions.parquet or pairs.parquet, and how many of the questions are left."""
    if isinstance(made, Pairs):
        kept, rows = {pair.id for pair in made.pairs}, len(made.pairs)
        skipped: Mapping[str, int] = made.skipped
        tables.write(folder / PAIRS, _pair_columns(made.pairs))
    else:
        kept, rows, skipped = {one.id for one in made}, len(made), {}
        columns = {
            "example_id": [one.id for one in made],
            "text": [one.text for one in made],
            "answer": pa.array([one.answer for one in made], pa.string()),
        }
        tables.write(folder / SOLUTIONS, columns)
    counts = {"num_questions": num_questions, "kept": len(kept), "kept_share": len(kept) / num_questions}
    tables.write_json(folder / tables.METRICS, {**counts, "num_rows": rows, "skipped": dict(skipped)})


def _pair_columns(pairs: Sequence[Pair]) -> dict[str, object]:
    return {
        "example_id": [pair.id for pair in pairs],
        "chosen": [pair.chosen.text for pair in pairs],
        "rejected": [pair.rejected.text for pair in pairs],
        "chosen_answer": pa.array([pair.chosen.answer for pair in pairs], pa.string()),
        "rejected_answer": pa.array([pair.rejected.answer for pair in pairs], pa.string()),
        "confidence": [pair.confidence for pair in pairs],
        "weak_is_chosen": [pair.weak_is_chosen for pair in pairs],
    }


# ---------------------------------------------------------------- prompts and rows


class Writing:
    """How a task's questions are put to one model: plain text, or its chat template."""

    def __init__(self, task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
        self._task = task
        self._tokenizer = tokenizer
        self._template = _template(task, tokenizer) if task.format.is_chat else None

    @property
    def special_tokens(self) -> bool:
        """Whether the tokenizer adds its own; a chat template has them already."""
        return self._template is None

    def prompt(self, question: str, shown: Sequence[tuple[str, str]] = ()) -> str:
        """What the model is to go on from."""
        if self._template is None:
            return self._task.format.prompt(self._task.format.asked(question, shown))
        text = self._tokenizer.apply_chat_template(
            self._task.format.messages(question, shown),
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        return str(text)

    def completion(self, solution: str) -> str:
        """What the model is trained to go on with, but for the end-of-text token."""
        text = solution.strip()
        return self._task.format.completion(text) if self._template is None else text

    def prompts(self, problems: Sequence[Example], shown: Sequence[tuple[str, str]]) -> list[Prompt]:
        """One prompt a problem."""
        return [Prompt(problem.id, self.prompt(problem.question, shown)) for problem in problems]

    def rows(self, written: Sequence[tuple[str, Sequence[str]]], questions: Mapping[str, str], max_length: int) -> Rows:
        """(problem id, M solutions) as rows; the end-of-text token belongs to every solution."""
        return encode_completions(
            [id for id, _ in written],
            [self.prompt(questions[id]) for id, _ in written],
            [[self.completion(text) for text in texts] for _, texts in written],
            tokenizer=self._tokenizer,
            max_length=max_length,
            special_tokens=self.special_tokens,
            end=True,
        )


def _template(task: Task, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of the wanted chat template; raise UserError for a tokenizer without it."""
    wanted, there = task.format.chat_template, tokenizer.chat_template
    named = {"default": there} if there is None or isinstance(there, str) else there
    found = named.get(wanted)
    if not found:
        names = ", ".join(sorted(name for name, text in named.items() if text)) or "none at all"
        raise UserError(
            f"task.format.chat_template={wanted}: this model's tokenizer has {names}: take plain text "
            "(task.format.chat_template=null) or an instruction-tuned model"
        )
    return str(found)


def questions_of(task: Task, seed: int, split: Split) -> dict[str, str]:
    """Questions of a split by problem id."""
    return {one.id: one.question for one in problems_of(task, seed).of(split)}


def demonstrations(shown: Shown | None, task: Task, store: Store) -> list[tuple[str, str]]:
    """The worked examples of a prompt: solutions with an answer, drawn by the split's seed.

    Raises UserError when there are too few.
    """
    if shown is None:
        return []
    questions = questions_of(task, shown.split_seed, shown.solutions.split)
    found = [one for one in read_solutions(shown.solutions, task, shown.split_seed, store) if one.answer is not None]
    if len(found) < shown.count:
        raise UserError(
            f"{shown.count} demonstrations are wanted, and only {len(found)} solutions to the split "
            f"`{shown.solutions.split}` hold an answer: show fewer, or give more room (generation.max_new_tokens)"
        )
    order = permutation(len(found), "demonstrations", shown.split_seed)[: shown.count]
    return [(questions[found[place].id], found[place].text) for place in order]
