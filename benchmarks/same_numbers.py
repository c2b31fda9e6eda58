"""Do two checkouts give the same figures? `python -m benchmarks.same_numbers OLD_CHECKOUT [--only PART ...]`.

Runs small jobs in both, through the command line, on this machine, and compares every figure of their results by name,
to 1e-9: rows, PGR, intervals, agreement, verdicts, and of each row's stored answers a mean that moves with any of them.
The command lines below are the old checkout's; `RENAMED` says how the new one writes them, `MOVED` where a figure now
stands. What the old checkout said is kept in the cache, by its commit and the command line, so it runs once.
It goes when the two have been shown to agree: nothing may import it.
"""

import argparse
import csv
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from rich.console import Console

HERE = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-9

# Old words of a command line or a claims file -> new ones, as regular expressions, applied in this order.
RENAMED: tuple[tuple[str, str], ...] = (
    (r"^task\.(text|label|group|difficulty|question|solution|answer)_column=", r"task.reader.\1="),
    (r"^task\.columns\.", "task.reader."),
    (r"^task\.answers=", "task.reader.answers="),
    (r"^task\.(form|prompts)\.", "task.format."),
    (r"^task\.reading\.", "task.source."),
    (r"^task\.subjects=", "task.source.config="),
    (r"paradigm\.reasoning\.control=false", "paradigm.control=never"),
    (r"paradigm\.reasoning\.", "paradigm."),
    (r"(objective|gold\.\w+)\.options\.", r"\1."),
)
# Old names of figures -> new ones, likewise; a figure whose new name is empty is gone on purpose.
MOVED: tuple[tuple[str, str], ...] = ((r"^best_of.*", ""), (r"^(\w+/)?version$", ""))

# ---------------------------------------------------------------- the cells

FACTS = (
    *("task.world.seed=99", "task.world.people=12", "task.world.relations=5", "task.world.values=4"),
    "task.facts={supervise: 14, transfer: 20, validation: 6, test: 20}",
    "task.items={supervise: 96, transfer: 128, validation: 32, test: 160}",
    *("weak.pretrain.steps=150", "weak.pretrain.rows_per_step=8"),
    *("strong.pretrain.steps=600", "strong.pretrain.rows_per_step=8", "strong.layers=1", "strong.width=32"),
    *("fit.evaluations=2", "fit.lr_scale=5"),
)
_SHORT_PROBLEMS = (
    "task.world.bounds=[5]",
    "task.world.grading={steps: [0.6, 0.4], bounds: [1.0]}",
    "task.grading={steps: [0.6, 0.4], bounds: [1.0]}",
    *("model@weak=nano", "model@strong=micro"),
)
PAIRS = (
    *("task=arithmetic_pairs", *_SHORT_PROBLEMS),
    "task.items={supervise: 48, transfer: 64, validation: 16, test: 80}",
    *(f"{m}.pretrain.{key}" for m in ("weak", "strong") for key in ("window=64", "rows_per_step=8", "steps=120")),
    *("fit.lr_scale=20", "fit.evaluations=1"),
)
ARITHMETIC = (
    *("task=arithmetic", *_SHORT_PROBLEMS, "strong.width=32"),
    "task.items={supervise: 32, transfer: 48, validation: 16, test: 60}",
    *("weak.pretrain.steps=300", "strong.pretrain.steps=500"),
    *(f"{m}.pretrain.{key}" for m in ("weak", "strong") for key in ("window=128", "rows_per_step=8", "lr=0.03")),
    *("fit.lr_scale=5", "generation.max_new_tokens=32", "generation.num_samples=4"),
)
WORLDS = {"choice": FACTS, "preference": PAIRS, "reasoning": ARITHMETIC}
IMPLICIT = "fit.readout=implicit"
ONE_ITERATION = ("paradigm.reasoning.iterations=1", "paradigm.reasoning.control=false")
TOKEN_LEVEL = ("paradigm=distillation", "paradigm.reasoning.level=token", "generation.top_log_probs=3")
LOCAL = (
    *("model@weak=local", "model@strong=local"),
    *(f"{m}.path={{files}}/model" for m in ("weak", "strong")),
    *("weak.lr.full=0.003", "strong.lr.full=0.01", "fit.epochs=8", "fit.rows_per_step=8", "fit.max_length=320"),
    *("weak.head_init=zeros", "strong.head_init=zeros"),
)
UNTRAINED_FLOOR = ("paradigm=supervised", "+fit.floor.lr_scale=0")  # so that PGR is defined


@dataclass(frozen=True)
class Cell:
    """One command: `how` it is run decides what is read afterwards. `{files}` stands for the folder of made files."""

    part: str
    name: str
    words: tuple[str, ...]
    how: Literal["job", "killed", "sweep"] = "job"
    own_store: bool = False


def _cells() -> Iterator[Cell]:
    paradigms = ("supervised", "distillation", "self_improvement", "weak_to_strong")
    for kind, world in WORLDS.items():
        for paradigm in paradigms:
            yield Cell("cells", f"{kind} {paradigm}", (*world, f"paradigm={paradigm}"))

    def of(part: str, kind: str, **named: tuple[str, ...]) -> Iterator[Cell]:
        for name, words in named.items():
            yield Cell(part, f"{kind} {name}", (*WORLDS[kind], *words))

    choice = ("logconf", "product", "entropy", "kd", "reverse_kl", "reverse_ce")
    yield from of("objectives", "choice", **{name: (f"objective={name}",) for name in choice})
    yield from of("objectives", "preference", bt=("objective=bt",), margin=("gold.preference.options.margin=0.5",))
    family = ("ipo", "cdpo", "orpo", "simpo")
    yield from of("objectives", "preference", **{o: (IMPLICIT, f"objective={o}") for o in (*family, "wspo")})
    yield from of("objectives", "reasoning", **{o: (f"objective={o}", *ONE_ITERATION) for o in family})
    yield from of("tokens", "reasoning", token_level=TOKEN_LEVEL, lora=(*TOKEN_LEVEL, "fit=lora"))
    yield from of(
        "supervisors",
        "choice",
        two=("paradigm.supervisors=2",),
        filtered=("paradigm.selection=filter", "paradigm.threshold=0.501"),
        weighted=("paradigm.selection=weight",),
        permuted=("paradigm.control=always",),
        random_errors=("paradigm.oracle_random_errors=true",),
    )
    yield from of("supervisors", "preference", two=("paradigm.supervisors=2",), weighted=("paradigm.selection=weight",))
    middle = ("model@middle.m1=nano", "middle.m1.pretrain.steps=60", "middle.m1.pretrain.rows_per_step=8")
    yield from of("middle", "choice", one=middle)
    for kind in WORLDS:
        file = f"{{files}}/supervisor_{kind}.csv"
        words = (f"supervisor.file={file}", f"supervisor.test_file={file}", *(ONE_ITERATION * (kind == "reasoning")))
        yield from of("supervisor_file", kind, both_files=words)
    for kind in WORLDS:
        key = "paradigm.reasoning.start" if kind == "reasoning" else "paradigm.start"
        starts = {start: ("paradigm=self_improvement", f"{key}={start}") for start in _STARTS[kind]}
        yield from of("starts", kind, **starts)
    for kind in ("choice", "preference"):
        yield from of("texts", kind, generative=("fit.generative_epochs=1", "paradigm=supervised"))
    yield from of("texts", "preference", implicit=("fit.generative_epochs=1", IMPLICIT))
    judged = ("task.benchmark={files}/judged.jsonl",)
    yield from of("benchmark", "preference", file=judged, test=("task.benchmark=test",), implicit=(*judged, IMPLICIT))
    yield from _local_cells()
    for kind in WORLDS:
        yield from of("tuning", kind, lora=("fit=lora", *(ONE_ITERATION * (kind == "reasoning"))))
    for kind in ("choice", "preference"):
        yield from of("tuning", kind, probe=("fit=probe", "fit.epochs=4"))
        yield from of("readouts", kind, words=("fit.readout=words",))
    yield from of("readouts", "preference", **{f"implicit {p}": (f"paradigm={p}", IMPLICIT) for p in paradigms})
    yield from of("precision", "choice", bf16=("fit.precision=bf16",), dropout=("fit.dropout=0.1", "fit.labels=hard"))
    yield from of("precision", "preference", bf16=("fit.precision=bf16", IMPLICIT))
    yield from of("precision", "reasoning", bf16=("fit.precision=bf16", "paradigm=supervised"))
    yield from of("judge", "choice", auroc=("task.judge.metric=auroc",), cut=("+fit.floor.max_length=4",))
    votes = ("paradigm=supervised", "task.test_samples=4", "generation.max_new_tokens=12")
    oracle = ("paradigm=self_improvement", "paradigm.reasoning.oracle_gold_filter=true")
    learn = ("paradigm.reasoning.learn=strong", "paradigm.reasoning.pairs_per_question=3", *ONE_ITERATION)
    yield from of("judge", "reasoning", votes=votes, oracle=oracle, learn_strong=learn)
    ddp = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
    for kind in ("choice", "preference"):
        loss = {"choice": "objective=logconf", "preference": IMPLICIT}[kind]
        yield Cell("ddp", f"{kind} on two processes", (*WORLDS[kind], loss, *ddp), own_store=True)
    often = ("trainer.checkpoint_steps=2", "fit.epochs=6", "fit.dropout=0.1")
    yield Cell("resume", "choice killed twice", (*FACTS, "objective=logconf", *often), "killed", own_store=True)
    yield Cell("resume", "reasoning killed twice", (*ARITHMETIC, *often, *ONE_ITERATION), "killed", own_store=True)
    pool = ("hydra.launcher.slots=1", "hydra.launcher.threads=1")
    yield Cell("sweep", "smoke", ("sweeps=smoke", *pool), "sweep", own_store=True)
    claims = "+hydra.sweeper.claims={files}/claims.yaml"
    yield Cell("sweep", "claims", (*FACTS, *pool, claims), "sweep")
    readouts = ("fit.readout=head,implicit", "seed=0,1", "task.benchmark={files}/judged.jsonl")
    yield Cell("sweep", "reward models", (*PAIRS, *pool, *readouts), "sweep")


_STARTS = {
    "choice": ("few_shot", "weak_to_strong"),
    "preference": ("few_shot", "weak_to_strong"),
    "reasoning": ("supervise", "weak_to_strong"),
}


def _local_cells() -> Iterator[Cell]:
    floored = ("task.words=null", *UNTRAINED_FLOOR)
    grouped = ("task.group_column=asked", "task.difficulty_column=hard", "task.words=[no, yes]")
    margins = ("task.columns.margin=margin", "gold.preference.options.margin=data")
    for kind, name, more in (
        ("choice", "grouped", grouped),
        ("choice", "supervised", floored),
        ("preference", "subsets", ("task.columns.subset=subset", "task.benchmark=test", *floored)),
        ("preference", "margins", (*margins, *floored)),
        ("reasoning", "supervised", ("paradigm=supervised", "generation.max_new_tokens=16")),
    ):
        files = tuple(f"task.{part}_file={{files}}/{kind}_{part}.jsonl" for part in ("train", "test"))
        yield Cell("local", f"{kind} {name}", (f"task=local_{kind}", *files, *LOCAL, *more))


CELLS = tuple(_cells())
PARTS = tuple(dict.fromkeys(cell.part for cell in CELLS))

CLAIMS = """
- id: pgr
  quantity: {of: pgr, row: student}
  jobs: []
- id: gap
  quantity: {of: difference, row: ceiling, minus: student}
  jobs: []
- id: loss
  quantity: {of: against, row: student, against: []}
  jobs: [objective=logconf]
- id: left
  quantity: {of: departures, row: permuted_control, chance: 0.5, distance: 0.02}
  jobs: [objective=logconf]
""".replace("  jobs:", "  claim: a line\n  seeds: [0, 1, 2]\n  rule: above\n  threshold: 0.0\n  jobs:")

# ---------------------------------------------------------------- made files


def make_files(old: Path, folder: Path) -> Path:
    """Files that cells read, written once: a tiny model, local data, a benchmark, claims, answers by example id."""
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "claims.yaml").write_text(CLAIMS)
    nouns = [
        f"{one} {other}" for one in ("tea", "snow", "cats", "dogs", "fish", "sea", "day") for other in "abcdefghij"
    ]
    made = {"choice": _choice_row, "preference": _preference_row, "reasoning": _problem_row}
    rows = {kind: [make(n, noun) for n, noun in enumerate(nouns * 2)] for kind, make in made.items()}
    for kind, own in rows.items():
        for part, chosen in (("train", own[:100]), ("test", own[100:])):
            _write_lines(folder / f"{kind}_{part}.jsonl", chosen)
    judged = [_judged_row(n) for n in range(40)]
    _write_lines(folder / "judged.jsonl", judged)
    texts = [json.dumps(row) for own in rows.values() for row in own]
    code = "import sys, json; from pathlib import Path; from tests.models import tiny; "
    code += "tiny.SIZES['max_position_embeddings'] = 512; "
    code += "tiny.make_folder(Path(sys.argv[1]), 'llama', texts=json.load(sys.stdin))"
    subprocess.run(
        [sys.executable, "-c", code, str(folder / "model")],
        input=json.dumps(texts),
        text=True,
        check=True,
        cwd=old,
        env=_environment(old),
    )
    for kind, world in WORLDS.items():
        _write_answers(old, kind, world, folder / f"supervisor_{kind}.csv")
    (folder / "complete").touch()
    return folder


def _choice_row(number: int, noun: str) -> dict[str, Any]:
    label = ("no", "yes")[noun[0] in "ts" or number % 10 == 0]
    return {"text": f"is {noun} {number % 9} ?", "label": label, "asked": f"{noun} {number % 3}", "hard": number % 4}


def _preference_row(number: int, noun: str) -> dict[str, Any]:
    answers = (f"{noun} . yes", f"{noun} {number % 5} . no")
    return {
        "prompt": f"is {noun} {number} ?",
        "chosen": answers[number % 11 == 0],
        "rejected": answers[number % 11 != 0],
        "subset": "xstest-should-refuse" if number % 3 else "mine",
        "margin": 2.0 if number % 3 else 0.5,
    }


def _problem_row(number: int, noun: str) -> dict[str, Any]:
    total = number % 5 + number % 7
    question = f"{noun} {number} has {number % 5} and {number % 7} ?"
    return {"question": question, "solution": f"{number % 5} + {number % 7} = {total}", "answer": str(total)}


def _judged_row(number: int) -> dict[str, str]:
    """A pair of the world's kind that no split of it holds: its numbers are larger."""
    have, lost = 50 + number, number % 5 + 1
    subset = ("llmbar-natural", "llmbar-adver-manual", "math-prm", "of my own")[number % 4]
    right, wrong = (f"{have} - {lost} = {n} . answer {n} ." for n in (have - lost, have + lost))
    prompt = f"q tom has {have} books . loses {lost} . how many ? a"
    return {"prompt": prompt, "chosen": right, "rejected": wrong, "subset": subset}


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _write_answers(old: Path, kind: str, world: tuple[str, ...], path: Path) -> None:
    """Answers to all but `supervise`, of which every third or so is at odds with the others."""
    task = next((word.removeprefix("task=") for word in world if word.startswith("task=")), "facts")
    small = [word.removeprefix("task.") for word in world if word.startswith("task.")]
    splits = [word for split in ("transfer", "validation", "test") for word in ("--split", split)]
    exported = path.with_suffix(".exported.csv")
    command = [sys.executable, "-m", "w2s_lightning.tasks.export", f"conf/task/{task}.yaml", *splits]
    command += ["--seed", "0", "--out", str(exported), *small]
    subprocess.run(command, check=True, cwd=old, env=_environment(old), stdout=subprocess.DEVNULL)
    rows = list(csv.DictReader(exported.read_text().splitlines()))
    with path.open("w", newline="") as stream:
        if kind == "reasoning":
            writer = csv.DictWriter(stream, ("id", "solution"))
            writer.writeheader()
            for row in rows:
                first = re.search(r"has (\d+)", row["question"])
                number = int(first[1]) if first else 0
                writer.writerow({"id": row["id"], "solution": f"{number} + 0 = {number} . answer {number} ."})
            return
        writer = csv.DictWriter(stream, ("id", "label"))
        writer.writeheader()
        names = ("wrong", "right") if kind == "choice" else ("0", "1")
        for row in rows:
            text = row.get("text") or row["option_0"]
            writer.writerow({"id": row["id"], "label": names[len(text) % 3 != 0]})


# ---------------------------------------------------------------- running


def _environment(checkout: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **own, "WANDB_MODE": "disabled", "COLUMNS": "200"}


class Side:
    """One checkout with its store and outputs in a temporary folder; `figures` runs a cell, or remembers it."""

    def __init__(self, checkout: Path, files: Path, scratch: Path, *, renamed: bool, kept: Path | None) -> None:
        self._checkout, self._files, self._scratch, self._kept = checkout, files, scratch, kept
        self._renamed = renamed
        if renamed:  # what a file says is written in old words too
            self._files = scratch / "files"
            shutil.copytree(files, self._files)
            (self._files / "claims.yaml").write_text(renewed(CLAIMS))

    def figures(self, cell: Cell) -> dict[str, float | None] | str:
        """The cell's figures by name, or the last lines of what went wrong."""
        words = [renewed(w) if self._renamed else w for w in cell.words]
        kept = self._kept and self._kept / f"{_slug(cell)}.json"
        if kept and kept.exists():
            content = json.loads(kept.read_text())
            if content["words"] == words:
                return content["figures"]
        place = self._scratch / _slug(cell)
        try:
            found = self._run(cell, [w.replace("{files}", str(self._files)) for w in words], place)
        except RuntimeError as error:
            return str(error)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps({"words": words, "figures": found}, indent=0))
        return found

    def _run(self, cell: Cell, words: list[str], place: Path) -> dict[str, float | None]:
        store = place / "store" if cell.own_store else self._scratch / "store"
        where = [f"paths.store={store}", f"paths.outputs={place}/outputs", "tracking=disabled"]
        threads = [] if cell.how == "sweep" else ["trainer.threads=1"]
        many = ["-m"] if cell.how == "sweep" else []
        command = [sys.executable, "train.py", *many, *words, *where, *threads]
        killed = self._kill_twice(command, store) if cell.how == "killed" else None
        done = subprocess.run(
            command, cwd=self._checkout, env=_environment(self._checkout), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError("\n".join((done.stderr or done.stdout).strip().splitlines()[-4:]))
        found = dict[str, float | None]()
        for file in sorted((place / "outputs").glob("**/result.json")):
            found |= dict(_of_result(json.loads(file.read_text()), store))
        for file in (place / "outputs").glob("**/sweep.json"):
            found |= dict(leaves(json.loads(file.read_text())))
        return found | ({} if killed is None else {"kills": float(killed)})

    def _kill_twice(self, command: list[str], store: Path) -> int:
        """SIGKILL at the first checkpoint of one stage, and, when it goes on, at that of another one."""
        seen = set[Path]()
        for _ in range(2):
            process = subprocess.Popen(
                command,
                cwd=self._checkout,
                env=_environment(self._checkout),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            while process.poll() is None:
                try:
                    new = {path.parent for path in store.glob("**/*.ckpt")} - seen
                except FileNotFoundError:  # a folder that was there a moment ago
                    continue
                if new:
                    seen |= new
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                time.sleep(0.01)
            process.wait()
        return len(seen)


def renewed(text: str) -> str:
    """A command line's word, or a file's text, as the new checkout wants it."""
    for old, new in RENAMED:
        text = re.sub(old, new, text)
    return text


def _slug(cell: Cell) -> str:
    return re.sub(r"\W+", "-", f"{cell.part} {cell.name}")


# ---------------------------------------------------------------- figures by name

NAMED_BY = (*("rule", "row", "round", "name", "task", "paradigm", "weak", "strong", "seed"), "n", "claim", "difficulty")
NO_FIGURES = {"stages", "times", "wandb", "version", "digest", "launched", "overrides", "axes", "started", "seconds"}


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number, flag and gap of a record by its path; parts of a list go by what they call themselves."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in NO_FIGURES:
                yield from leaves(part, f"{name}/{key}".lstrip("/"))
    elif isinstance(value, list):
        used = dict[str, int]()
        for part in value:
            own = _own_name(part) or str(len(used))
            used[own] = used.get(own, 0) + 1
            yield from leaves(part, f"{name}/{own}" + (f"#{used[own]}" if used[own] > 1 else ""))
    elif isinstance(value, bool | int | float) or value is None:
        yield name, None if value is None else float(value)


def _own_name(part: Any) -> str:
    if not isinstance(part, Mapping):
        return ""
    axes = part.get("axes") or {}
    own = [part[key] for key in NAMED_BY if isinstance(part.get(key), str | int | float)]
    return " ".join([*map(str, own), *(f"{key}={axes[key]}" for key in sorted(axes) if key != "seed")])


def _of_result(result: Mapping[str, Any], store: Path) -> Iterator[tuple[str, float | None]]:
    """A job's figures, and one number that tells whether all its rows' stored answers are what they were."""
    readout = [
        word for word in result["overrides"] if word.startswith("fit.readout=")
    ]  # two jobs of one name in a sweep
    job = " ".join([*(str(result["job"][key]) for key in sorted(result["job"])), *readout])
    yield from leaves(result, job)
    for row in result["rows"]:
        for column, mean in _answers(store, row["evaluate"]):
            yield f"{job}/answers/{row['name']}/{column}", mean


def _answers(store: Path, digest: str) -> Iterator[tuple[str, float]]:
    """Of each stored column a sum in which every example has another weight, made from its id."""
    for file in store.glob(f"evaluate/*{digest[:16]}/predictions.parquet"):
        table = pq.read_table(file).sort_by("example_id")
        weights = [int(id[:6], 16) / 16**6 for id in table.column("example_id").to_pylist()]
        for column in sorted(set(table.column_names) & {"probs", "correct", "strict", "solution"}):
            parts = [_number(value) for value in table.column(column).to_pylist()]
            yield column, math.fsum(a * b for a, b in zip(weights, parts, strict=True)) / len(parts)


def _number(value: Any) -> float:
    if isinstance(value, str):
        return int(hashlib.sha256(value.encode()).hexdigest()[:8], 16) / 16**8
    return math.fsum((k + 1) * x for k, x in enumerate(value)) if isinstance(value, list) else float(value or 0)


def moved(name: str) -> str:
    """A figure's new name, empty where it is gone on purpose."""
    for old, new in MOVED:
        name = re.sub(old, new, name)
    return name


@dataclass(frozen=True)
class Comparison:
    """How many figures were compared, the largest difference, and the first names that differ."""

    compared: int
    largest: float
    different: tuple[str, ...]
    new: int


def compare(old: Mapping[str, float | None], new: Mapping[str, float | None]) -> Comparison:
    """Figure by figure; a gap (null) in the old ones may be absent from the new, and anything may be new."""
    largest, different, expected = 0.0, list[str](), set[str]()
    for old_name, was in old.items():
        name = moved(old_name)
        if not name:
            continue
        expected.add(name)
        now = new.get(name)
        if was is None or now is None:
            gap = 0.0 if was is now else math.inf
        else:
            gap = 0.0 if was == now or (math.isnan(was) and math.isnan(now)) else abs(was - now) / max(1.0, abs(was))
        largest = max(largest, gap)
        if not gap <= TOLERANCE:
            different.append(f"{name}: {was} -> {now if name in new else 'absent'}")
    return Comparison(len(expected), largest, tuple(different), len(set(new) - expected))


# ---------------------------------------------------------------- the command


def main(argv: list[str] | None = None) -> int:
    """Print a line a cell; exit code 1 when any differs or fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_numbers", description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument(
        "--only", nargs="+", metavar="PART", help=f"a part, or words of a cell's name; parts: {', '.join(PARTS)}"
    )
    parser.add_argument("--cache", type=Path, default=Path("/tmp/same_numbers"), help="where old figures are kept")
    parser.add_argument("--at-once", type=int, choices=(1, 2), default=2, help="cells that run side by side")
    parser.add_argument("--old-only", action="store_true", help="fill the cache")
    parser.add_argument("--more", action="store_true", help="print every figure that differs")
    asked = parser.parse_args(argv)
    wanted = [c for c in CELLS if not asked.only or any(o == c.part or o in f"{c.part} {c.name}" for o in asked.only)]
    if not wanted:
        parser.error(f"no cell is called {' '.join(asked.only)}; parts: {', '.join(PARTS)}")
    old = asked.old.resolve()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=old, capture_output=True, text=True, check=True).stdout
    kept = asked.cache.resolve() / commit[:12]
    files = make_files(old, kept / "files")
    scratch = Path(os.environ.get("TMPDIR", "/tmp")) / f"same_numbers.{os.getpid()}"
    try:
        sides = [Side(old, files, scratch / "old", renamed=False, kept=kept)]
        sides += [] if asked.old_only else [Side(HERE, files, scratch / "new", renamed=True, kept=None)]
        console = Console(soft_wrap=True)
        console.print(_columns("cell", "equal", "figures", "largest", "first that differs"), markup=False)
        wrong = 0
        with ThreadPoolExecutor(asked.at_once) as pool:
            for cell, found in zip(wanted, pool.map(lambda c: [s.figures(c) for s in sides], wanted), strict=True):
                line = _line(found)
                wrong += line[0] != "yes"
                console.print(_columns(f"{cell.part}: {cell.name}", *line), markup=False, highlight=False)
                if asked.more and len(found) == 2 and not any(isinstance(one, str) for one in found):
                    for one in compare(*found).different:
                        console.print(f"    {one}", markup=False, highlight=False)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    console.print(f"{len(wanted)} cells, {len(wanted) - wrong} of them equal")
    return int(wrong > 0)


def _columns(cell: str, equal: str, figures: str, largest: str, first: str) -> str:
    return f"{cell:40} {equal:6} {figures:>12} {largest:>8}  {first}".rstrip()


def _line(found: list[dict[str, float | None] | str]) -> tuple[str, str, str, str]:
    for side, one in zip(("old", "new"), found, strict=False):
        if isinstance(one, str):
            return "FAILED", "", "", f"{side}: {one}"
    if len(found) == 1:
        return "yes", str(len(found[0])), "", ""
    of = compare(*found)  # type: ignore[arg-type]
    more = f" (and {len(of.different) - 1} more)" if len(of.different) > 1 else ""
    first = of.different[0] + more if of.different else ""
    return "NO" if of.different else "yes", f"{of.compared} (+{of.new} new)", f"{of.largest:.2g}", first


if __name__ == "__main__":
    sys.exit(main())
