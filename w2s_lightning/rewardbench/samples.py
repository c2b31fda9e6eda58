"""Draw solutions to a reasoning task's test questions, for reward models to pick from (`task.best_of`).

    python -m w2s_lightning.rewardbench.samples JOB --row floor --n 16 --out samples.jsonl

JOB is the folder of a finished reasoning job (`outputs/...`), `--row` one of its rows, whose model is asked in the same
way as there but n times, at a temperature. The samples are a stage like any other: drawn once, resumed when stopped.
The file has one row a sample: question_id, number, group, question, solution, answer, right.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.config import Job, Runtime, reread
from w2s_lightning.data import tables
from w2s_lightning.data.solutions import SOLUTIONS, problems_of
from w2s_lightning.errors import UserError
from w2s_lightning.execute import run
from w2s_lightning.plan import in_order, make_plan
from w2s_lightning.refs import Refs
from w2s_lightning.result.best_of import MAJORITY, PASS, by_question
from w2s_lightning.rewardbench.output import write_lines
from w2s_lightning.schema import GenerationSettings
from w2s_lightning.stage import Stage
from w2s_lightning.stages import Solve
from w2s_lightning.store import Store
from w2s_lightning.tasks.suggest import did_you_mean

ENDINGS = (".jsonl", ".parquet")
Rows = list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints one or two lines for a mistake and returns 1."""
    given = _parser().parse_args(arguments)
    try:
        if given.out.suffix not in ENDINGS:
            raise UserError(f"--out {given.out}: expected a file that ends in {' or '.join(ENDINGS)}")
        job, runtime = job_at(given.job)
        store = Store.at(Path(runtime.paths.store))
        stage = sampling(job, Refs(Path(runtime.paths.store), on_paper=False), given.row, given.n, given.temperature)
        run(in_order([stage]), store, runtime.trainer, _Lines())
        rows = rows_of(stage, store)
        write(rows, given.out)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(said(rows, given.out))
    return 0


def job_at(folder: Path) -> tuple[Job, Runtime]:
    """The configuration of a finished job; raise UserError where there is none."""
    try:
        paradigm = json.loads((folder / "result.json").read_text())["job"]["paradigm"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder} is no finished job's folder: run `python train.py task=arithmetic` first") from None
    return reread(folder / "config.yaml", str(paradigm))


def sampling(job: Job, refs: Refs, row: str, n: int | None, temperature: float | None) -> Solve:
    """The stage that asks a row's model `n` times (None: as often, or as warm, as the job's `generation` says)."""
    found = {one.name: one.evaluate.answers for one in make_plan(job, refs).rows}
    if row not in found:
        raise UserError(f"--row {row}: the job has no such row: {did_you_mean(row, found)}")
    answers = found[row]
    if not isinstance(answers, Solve):
        raise UserError(f"--row {row}: no model writes solutions there: give a row of a reasoning job that has a model")
    own = job.generation
    if n is not None and n < 1:
        raise UserError(f"--n {n}: expected 1 or more samples a question")
    warm = own.temperature if temperature is None else temperature
    if warm <= 0:
        raise UserError(f"temperature {warm:g} gives the same solution every time: use --temperature 1")
    settings: GenerationSettings = replace(own, num_samples=n or own.num_samples, temperature=warm, top_log_probs=0)
    return replace(answers, generation=settings, seed=job.seed)


def rows_of(stage: Solve, store: Store) -> Rows:
    """The drawn samples in the order of the questions, judged as the task judges its test."""
    problems = {one.id: one for one in problems_of(stage.task, 0).of(stage.split)}
    drawn = tables.read(store.open(stage) / SOLUTIONS).to_pylist()
    verdicts = stage.task.grade([problems[one["example_id"]].answer for one in drawn], [one["text"] for one in drawn])
    return [
        {
            "question_id": one["example_id"],
            "number": one["number"],
            "group": problems[one["example_id"]].group,
            "question": problems[one["example_id"]].question,
            "solution": one["text"],
            "answer": verdict.answer,
            "right": verdict.flexible,
        }
        for one, verdict in zip(drawn, verdicts, strict=True)
    ]


def write(rows: Rows, out: Path) -> None:
    """One row a sample, as JSONL or Parquet by the ending."""
    if out.suffix == ".parquet":
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), out)
    else:
        write_lines(out, rows)


def said(rows: Rows, out: Path) -> str:
    """How many there are, and what their vote and an oracle make of them."""
    names = [(row["question_id"], row["group"]) for row in rows]
    answers, right = ([row[name] for row in rows] for name in ("answer", "right"))
    questions = by_question(names, answers, right, {})
    n = min(len(one.right) for one in questions)
    credits = [one.credit(n) for one in questions]
    means = {name: sum(credit[name] for credit in credits) / len(credits) for name in (MAJORITY, PASS)}
    figures = ", ".join(f"{name.replace('n', str(n))} {value:.3f}" for name, value in means.items())
    return f"{len(rows)} samples of {len(questions)} questions in {out}: {sum(right) / len(rows):.3f} right, {figures}"


class _Lines:
    """A line for each stage that is not in the store yet."""

    def start(self, stage: Stage) -> None:
        pass

    def step(self, stage: Stage, done: int, of: int) -> None:
        pass

    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None:
        if not cached:
            print(f"{stage.kind} {stage.label} · {seconds:.1f} s", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m w2s_lightning.rewardbench.samples",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("job", type=Path, metavar="JOB", help="the folder of a finished reasoning job")
    parser.add_argument("--row", required=True, help="whose model: floor, untuned, ceiling, ...")
    parser.add_argument("--n", type=int, metavar="N", help="samples a question; default: the job's generation")
    parser.add_argument("--temperature", type=float, help="default: the job's generation")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSONL or Parquet")
    return parser


if __name__ == "__main__":
    sys.exit(main())
