"""Evaluate a reward model: `python -m w2s_lightning.rewardbench MODEL --data FILE_OR_HUB [--ref REF]`.

MODEL is a folder in Hugging Face layout (a student of ours: its folder under <store>/fit/), or a hub model. One with a
classification head gives its score; a language model gives log-probabilities of the answers, minus those of --ref, or
its own (--reference-free). DATA is a JSONL or Parquet file with prompt, chosen, rejected, subset, or
allenai/reward-bench, or allenai/pref-test-sets (the prior sets). What it leaves behind is a row a pair (Parquet), the
scores (JSON), and a table in the terminal, where names and texts of others are text, never markup.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.progress import Progress

from w2s_lightning.atomic import write_whole
from w2s_lightning.config.schema import Numerics
from w2s_lightning.content import DataFile
from w2s_lightning.errors import CommandParser, UserError, run_command
from w2s_lightning.identity import canonical
from w2s_lightning.metrics.sections import SECTIONS, judge, length_bias, wins
from w2s_lightning.models.device import tokens_per_batch
from w2s_lightning.refs import Refs
from w2s_lightning.rewardbench.reward_models import (
    RewardModel,
    Rewards,
    form_for,
    rewards_of,
    shared_with_training,
    source_of,
)
from w2s_lightning.show.numbers import interval, shown
from w2s_lightning.show.terminal import print_lines, print_table
from w2s_lightning.tasks.reward_sets import RewardSet, located, read_reward_set

SCORES = "scores.parquet"
SUMMARY = "rewardbench.json"
_SHOWN = 60  # characters of a name


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints one or two lines for a mistake and returns 1."""
    options = _parser().parse_args(arguments)

    def run() -> None:
        console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
        folder = options.out or Path("outputs", "rewardbench", options.model.strip("/").replace("/", "--"))
        summary, pairs = evaluate(options, Refs(folder, planning=False))
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(pairs), folder / SCORES)
        write_whole(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        show(summary, console)
        console.print(shown(", ".join(str(folder / name) for name in (SUMMARY, SCORES))), soft_wrap=True)

    return run_command(run, "nothing was written")


def evaluate(options: argparse.Namespace, refs: Refs) -> tuple[dict[str, Any], dict[str, Any]]:
    """Score what the options ask for: a summary as JSON types, and columns with a row a pair.

    Raises UserError for what cannot be scored.
    """
    if options.ref is not None and options.reference_free is not None:
        raise UserError("--ref and --reference-free exclude each other: give one of them")
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as line:
        task, device = line.add_task(""), _device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))

        def report(path: str, done: int, of: int) -> None:
            line.update(task, description=shown(short(path)), completed=done, total=of)

        model = RewardModel(
            source=source_of(options.model, refs),
            reference=None if options.ref is None else source_of(options.ref, refs),
            reference_free=options.reference_free,
            numerics=Numerics(precision=options.precision, attention=options.attention, max_length=options.max_length),
            device=device,
            tokens_per_batch=options.tokens_per_batch or tokens_per_batch(device),
            report=report,
        )
        return _evaluate(options, refs, model)


def _evaluate(options: argparse.Namespace, refs: Refs, model: RewardModel) -> tuple[dict[str, Any], dict[str, Any]]:
    started = time.perf_counter()
    form = form_for(model.source, options.written)
    data = located(options.data)
    if not isinstance(data, DataFile):
        data = data.resolved(lambda repository, revision: refs.commit("dataset", repository, revision))
    rows = read_reward_set(data, form, tuple(options.split))
    shared = shared_with_training(model.source, rows.groups, allowed=options.allow_overlap)
    found = rewards_of(model, rows.pairs, form)
    pairs, notices = _scored(rows, found), [*rows.notices, *found.notices]
    if found.num_truncated:
        notices.append(
            f"{found.num_truncated} of {len(rows.pairs)} pairs are longer than the model or --max-length allows: "
            "prompts lost their start, and answers that alone are too long their end"
        )
    if shared:
        notices.append(f"{shared} prompts are of the data that the model comes from (--allow-overlap)")
    about = {
        "model": str(model.source),
        "reference": None if model.reference is None else str(model.reference),
        "rewards": found.kind,
        "data": {"place": options.data, **canonical(data)},
        "form": canonical(form),
        "numerics": canonical(model.numerics),
        "shared_prompts": shared,
        "seconds": round(time.perf_counter() - started, 1),
        "versions": {name: version(name) for name in ("torch", "transformers", "w2s-lightning")},
    }
    return {**about, **_judged(rows, pairs), "notices": notices}, pairs


def _scored(rows: RewardSet, found: Rewards) -> dict[str, Any]:
    """A row a pair: both rewards, tokens, and whether the better answer won."""
    better = np.array([pair.label for pair in rows.pairs])[:, None]
    order = np.concatenate([better, 1 - better], axis=1)
    rewards, tokens = np.take_along_axis(found.values, order, 1), np.take_along_axis(found.tokens, order, 1)
    return {
        "place": list(rows.places),
        "example_id": [pair.id for pair in rows.pairs],
        "group": [pair.group for pair in rows.pairs],
        "subset": list(rows.subsets),
        "reward_chosen": rewards[:, 0],
        "reward_rejected": rewards[:, 1],
        "win": wins(rewards[:, 0], rewards[:, 1], rows.places).astype(bool),
        "tokens_chosen": tokens[:, 0],
        "tokens_rejected": tokens[:, 1],
    }


def _judged(rows: RewardSet, pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Overall, sections and subsets with intervals, what is missing, ties, and win rates by the answers' lengths."""
    judged = asdict(judge(pairs["win"], rows.subsets, rows.groups))
    chosen, rejected = [len(pair.chosen) for pair in rows.pairs], [len(pair.rejected) for pair in rows.pairs]
    lengths = length_bias(pairs["win"], chosen, rejected, rows.groups)
    return {
        "num_rows": len(rows.pairs),
        "ties": int((pairs["reward_chosen"] == pairs["reward_rejected"]).sum()),
        **{kind: judged[kind] for kind in ("overall", "sections", "subsets")},
        "other_subsets": judged["others"],
        "missing_sections": judged["missing"]["sections"],
        "missing_subsets": judged["missing"]["subsets"],
        "chosen_is": {name: part and asdict(part) for name, part in lengths.items()},
    }


def show(summary: Mapping[str, Any], console: Console) -> None:
    """The table of overall, sections and subsets, and what has to be said with it."""
    found = [("overall", summary["overall"])]
    for section, score in summary["sections"].items():
        own = [name for name in SECTIONS[section] if name in summary["subsets"]]
        found += [(section, score), *((f"  {name}", summary["subsets"][name]) for name in own)]
    found += [(f"(no section) {name}", part) for name, part in summary["other_subsets"].items()]
    words = {"shorter": "chosen is shorter", "equal": "chosen is as long", "longer": "chosen is longer"}
    found += [(words[name], part) for name, part in summary["chosen_is"].items()]
    rows = [(short(name), interval(part), part["n"]) for name, part in found if part is not None]
    print_table(console, ("", "win rate [95 %]", "rows"), rows, short(summary["model"]), bold="overall")
    print_lines(console, said(summary))


def said(summary: Mapping[str, Any]) -> list[str]:
    """In sentences: how rows were written, what is missing, ties, notices."""
    written = "as plain text" if summary["form"]["chat_template"] is None else "by the model's chat template"
    lines = [f"rewards: {summary['rewards']}; rows written {written}; intervals: bootstrap over prompts"]
    if summary["sections"] and summary["missing_sections"]:
        lines.append(f"missing sections, left out with their weight: {', '.join(summary['missing_sections'])}")
    lines += [
        f"missing in {section}, left out with their weight: {', '.join(names)}"
        for section, names in summary["missing_subsets"].items()
    ]
    if summary["other_subsets"]:
        others = ", ".join(map(short, summary["other_subsets"]))
        lines.append(f"not among RewardBench's subsets, in no section: {others}")
    if summary["ties"]:
        lines.append(f"{summary['ties']} ties, counted as losses")
    return [*lines, *(f"note: {notice}" for notice in summary["notices"])]


def short(name: str) -> str:
    """A name that a data set or a model brought, cut where it is long."""
    return name if len(name) <= _SHOWN else name[:_SHOWN] + "..."


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # no such kind, or none of it here
        raise UserError(f"--device {name}: {str(error).splitlines()[0]} (expected cpu, or cuda on a GPU)") from None


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m w2s_lightning.rewardbench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a folder, or a hub id (id@revision)")
    parser.add_argument("--data", metavar="FILE_OR_HUB", required=True)
    parser.add_argument("--split", action="append", default=[], help="of a hub repository; may be given several times")
    parser.add_argument("--ref", metavar="MODEL", help="reference of a language model")
    parser.add_argument("--reference-free", choices=("sum", "mean"), help="log-probabilities without a reference")
    parser.add_argument("--allow-overlap", action="store_true", help="let in prompts that a fit of ours was trained on")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: outputs/rewardbench/MODEL")
    parser.add_argument("--written", choices=("auto", "chat", "plain"), default="auto", help="how rows are written")
    parser.add_argument("--max-length", type=_count, default=2048, metavar="TOKENS")
    parser.add_argument("--tokens-per-batch", type=_count, metavar="TOKENS", help="default: by device")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: autocast over fp32 weights"
    )
    parser.add_argument("--attention", choices=("sdpa", "eager", "flash_attention_2"), default="sdpa")
    parser.add_argument("--device", help="default: cuda where there is one, else cpu")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
