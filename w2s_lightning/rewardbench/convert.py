"""Turn published comparisons into rows for RewardBench or for training: prompt, chosen, rejected, and whose they are.

    python -m w2s_lightning.rewardbench.convert llmbar FOLDER --out llmbar.jsonl
    python -m w2s_lightning.rewardbench.convert gsm8k example_model_solutions.jsonl --out FOLDER
    python -m w2s_lightning.rewardbench.convert task conf/task/arithmetic_pairs.yaml --out flaws.jsonl

`llmbar`: the files of LLMBar (arXiv 2310.07641) as the RewardBench subsets that they are. `gsm8k`: a right against a
wrong solution to a question, split by question into train.jsonl and test.jsonl for `task=local_preference`, and all
solutions of either part as train_samples.jsonl and test_samples.jsonl for `task.best_of`. Those are *test* questions of
GSM8K: the column `test_of` says so, and a verifier trained on them must not be judged on that test.
`task`: the test pairs of a preference task, in its own subsets: in the embedded world one for each flaw.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.rewardbench.output import write_lines
from w2s_lightning.tasks.answers import GSM8K_KEY
from w2s_lightning.tasks.export import task_from_yaml
from w2s_lightning.tasks.files import Row, read_table
from w2s_lightning.tasks.fingerprint import fingerprint
from w2s_lightning.tasks.local_preference import TEST_OF
from w2s_lightning.tasks.preferences import Pair
from w2s_lightning.tasks.problems import problem_id

LLMBAR = {
    "natural": "llmbar-natural",
    "adver-neighbor": "llmbar-adver-neighbor",
    "adver-GPTInst": "llmbar-adver-GPTInst",
    "adver-GPTOut": "llmbar-adver-GPTOut",
    "adver-manual": "llmbar-adver-manual",
}
"""Stem of a file to the name of its subset."""

_CALCULATOR = re.compile(r"<<.*?>>")
_TEST_SHARE = 4  # one question of so many is for testing
Rows = Iterator[dict[str, Any]]


def llmbar_rows(folder: Path) -> Rows:
    """Rows of the LLMBar files in a folder; raise UserError when there are none, or one is not in their layout."""
    files = [(folder / f"{stem}.json", subset) for stem, subset in LLMBAR.items()]
    there = [(file, subset) for file, subset in files if file.is_file()]
    if not there:
        raise UserError(f"{folder} holds none of LLMBar's files: {', '.join(f'{stem}.json' for stem in LLMBAR)}")
    for file, subset in there:
        for number, row in enumerate(_listed(file), start=1):
            yield _llmbar_row(row, f"{file}: row {number}", subset)


def _llmbar_row(row: Any, place: str, subset: str) -> dict[str, Any]:
    answers = [row.get(f"output_{number}") for number in (1, 2)] if isinstance(row, dict) else []
    if len(answers) < 2 or not all(isinstance(text, str) for text in (row.get("input"), *answers)):
        raise UserError(f"{place}: expected the texts input, output_1 and output_2")
    if row.get("label") not in (1, 2):
        raise UserError(f"{place}: label {row.get('label')!r}, expected 1 or 2, the number of the better output")
    better = row["label"] - 1
    return {"prompt": row["input"], "chosen": answers[better], "rejected": answers[1 - better], "subset": subset}


def _listed(file: Path) -> list[Any]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    if not isinstance(rows, list):
        raise UserError(f"{file}: expected a list of rows")
    return rows


def gsm8k_rows(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Pairs by `train` and `test` from published model solutions of GSM8K's test questions.

    Every right solution of a question against every wrong one, each text once; `failed` counts the wrong ones. Raises
    UserError, with file and line, for rows in another layout.
    """
    made: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for row in read_table(DataFile.at(file)).rows:
        question = row.text("question")
        home = _home(question)
        right, wrong = _judged(row, right=True), _judged(row, right=False)
        pairs = [(one, other) for one in right for other in wrong]
        made[home] += [
            {"prompt": question, "chosen": one, "rejected": other, "failed": len(wrong), TEST_OF: "gsm8k"}
            for one, other in pairs
        ]
    if not all(made.values()):
        raise UserError(f"{file} has too few questions with a right and a wrong solution")
    return made


def gsm8k_samples(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Every model's solution to every question, by `train` and `test` as the pairs are split: samples to pick from."""
    made: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for row in read_table(DataFile.at(file)).rows:
        question = row.text("question")
        made[_home(question)] += [
            {
                "question_id": problem_id(question),
                "number": number,
                "question": question,
                "solution": text,
                "answer": GSM8K_KEY.parse(text),
                "right": right,
                TEST_OF: "gsm8k",
            }
            for number, (text, right) in enumerate(_solutions(row))
        ]
    return made


def task_rows(name: str, pairs: Sequence[Pair]) -> Rows:
    """Rows of a task's pairs, in the subset `name` where they are in none; a prompt of several turns stays a list."""
    for pair in pairs:
        turns = [{"role": turn.role, "content": turn.text} for turn in pair.turns]
        prompt = turns if len(turns) > 1 else turns[0]["content"]
        yield {"prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected, "subset": pair.subset or name}


def _home(question: str) -> str:
    return "test" if int(fingerprint("gsm8k pairs", question), 16) % _TEST_SHARE == 0 else "train"


def _judged(row: Row, *, right: bool) -> list[str]:
    """The different solutions of one kind."""
    return [text for text in dict.fromkeys(text for text, good in _solutions(row) if good is right) if text]


def _solutions(row: Row) -> list[tuple[str, bool]]:
    """Each model's solution without calculator marks, and whether it is right."""
    found = [value for value in row.values.values() if isinstance(value, dict)]
    if not found or not all(isinstance(one.get("solution"), str) and "is_correct" in one for one in found):
        raise UserError(f"{row.place}: expected columns with a solution and is_correct for each model")
    return [(_CALCULATOR.sub("", one["solution"]).strip(), bool(one["is_correct"])) for one in found]


def _convert_llmbar(given: argparse.Namespace) -> str:
    return _written(given.out, list(llmbar_rows(given.source)))


def _convert_task(given: argparse.Namespace) -> str:
    task = task_from_yaml(given.source, [])
    if task.kind != "preference":
        raise UserError(f"{given.source} is a task of kind {task.kind}, expected preference (arithmetic_pairs, ...)")
    return _written(given.out, list(task_rows(task.name, task.splits(seed=0).test)))


def _written(out: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    write_lines(out, rows)
    there = ", ".join(f"{subset} {count}" for subset, count in Counter(row["subset"] for row in rows).items())
    return f"{len(rows)} rows in {out}: {there}"


def _convert_gsm8k(given: argparse.Namespace) -> str:
    made = gsm8k_rows(given.source)
    for name, rows in made.items():
        write_lines(given.out / f"{name}.jsonl", rows)
    counts = ", ".join(
        f"{len(rows)} pairs of {len({row['prompt'] for row in rows})} questions in {given.out / name}.jsonl"
        for name, rows in made.items()
    )
    samples = gsm8k_samples(given.source)
    for name, drawn in samples.items():
        write_lines(given.out / f"{name}_samples.jsonl", drawn)
    counts += "".join(f"\n{len(drawn)} samples in {given.out / name}_samples.jsonl" for name, drawn in samples.items())
    return f"{counts}\nnote: test questions of GSM8K: a verifier trained on them must not be judged on that test set"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints one line for a mistake and returns 1."""
    parser = argparse.ArgumentParser(
        prog="python -m w2s_lightning.rewardbench.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="llmbar|gsm8k|task")
    for name, convert, what in (
        ("llmbar", _convert_llmbar, "the folder of LLMBar's JSON files"),
        ("gsm8k", _convert_gsm8k, "the file of model solutions"),
        ("task", _convert_task, "a preference task's YAML"),
    ):
        command = commands.add_parser(name)
        command.add_argument("source", type=Path, help=what)
        command.add_argument("--out", type=Path, required=True, help="the file (gsm8k: the folder) to write")
        command.set_defaults(convert=convert)
    given = parser.parse_args(arguments)
    try:
        print(given.convert(given))
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
