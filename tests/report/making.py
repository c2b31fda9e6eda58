"""Makes sweeps on disk for tests of the report: store, results and sweep.json as the real ones are, answers by chance.

Ledger and groups are written by the sweep's own code, so that what the report reads is what a sweep writes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.report.reading import Page
from w2s_lightning.identity import digest
from w2s_lightning.metrics.pgr import pgr_of_job
from w2s_lightning.metrics.rates import part_rates, rates
from w2s_lightning.report.writing import Reporter
from w2s_lightning.results.groups import ARMS, SeedGroups, job_row
from w2s_lightning.results.stored import VERSIONS, StoreReader
from w2s_lightning.store import Manifest, Store
from w2s_lightning.sweep.sweep_file import write

FEW = 200  # resamples
SKILL = {"untuned": 0.5, "floor": 0.62, "student": 0.76, "ceiling": 0.92, "teacher": 0.9}
PARAMS = {"nano": 6_000, "micro": 11_000, "mini": 19_000, "small": 117_000}


@dataclass
class Made:
    """What to make. `texts(i)` gives an example's texts, `states` the state of jobs that are not done, by number."""

    root: Path
    task: str = "fact_pairs"
    name: str = "size_pairs"
    weak: Sequence[str] = ("nano", "micro")
    strong: Sequence[str] = ("small",)
    paradigms: Sequence[str] = ("weak_to_strong",)
    seeds: Sequence[int] = (0, 1, 2)
    num_examples: int = 80
    num_options: int = 2
    kind: str = "choice"
    skill: Mapping[str, float] = field(default_factory=lambda: dict(SKILL))
    states: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)
    logs: Mapping[int, str] = field(default_factory=dict)  # their texts
    class_names: Sequence[str] = ("wrong", "right")
    texts: Callable[[int], list[str]] = lambda i: [f"ann likes tea{i} . bob wears hat{i % 7} so"]
    solutions: Callable[[int], str] | None = None
    notices: Sequence[str] = ()
    subsets: Sequence[str] = ()
    axes: Sequence[Mapping[str, str]] = ({},)
    verdicts: Sequence[Mapping[str, Any]] = ()
    with_examples: bool = True

    def __post_init__(self) -> None:
        self.store, self.outputs = self.root / "store", self.root / "outputs"
        Store.at(self.store)
        self.reader = StoreReader(self.store)
        self.folder = self.root  # until it is written

    def write(self) -> Path:
        """Write everything; returns the sweep's folder."""
        varied = product(self.paradigms, self.axes, self.weak, self.strong, self.seeds)
        cells = [dict(zip(("paradigm", "axes", "weak", "strong", "seed"), values, strict=True)) for values in varied]
        jobs = [self._job(number, {"task": self.task, **cell}) for number, cell in enumerate(cells)]
        states = [job["state"] for job in jobs]
        counts = {state: states.count(state) for state in ("done", "failed", "running", "waiting")}
        content = {
            "version": 1,
            "sweep": self.name,
            "digest": digest({"name": self.name, "task": self.task}),
            "command": f"python train.py -m sweeps={self.name}",
            "counts": {"jobs": len(jobs), **counts, "inverted": 0, "repeated": 0},
            "jobs": jobs,
            "groups": SeedGroups(self.reader.required_answers).rows(jobs),
            "times": {"started": "2026-01-01T00:00:00+00:00", "launched": {}, "seconds": 61.0},
            **({"verdicts": list(self.verdicts)} if self.verdicts else {}),
        }
        self.folder = self.outputs / "sweeps" / f"{self.name.replace('/', '_')}-{content['digest'][:16]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.folder, content)
        for job in jobs:
            if job["log"]:
                (self.folder / job["log"]).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / job["log"]).write_text(self.logs[jobs.index(job)])
        return self.folder

    # ------------------------------------------------------------ jobs

    def _job(self, number: int, cell: Mapping[str, Any]) -> dict[str, Any]:
        words = {key: cell[key] for key in ("task", "paradigm", "weak", "strong", "seed")}
        own = {"model@weak": cell["weak"], "model@strong": cell["strong"], "paradigm": cell["paradigm"]}
        axes = {**own, **cell["axes"], "seed": str(cell["seed"])}
        overrides = [f"{key}={value}" for key, value in axes.items()]
        key, state, rows = digest({"job": overrides, **words}), self.states.get(number, "done"), self._rows(cell)
        evaluates = {row["role"]: row["evaluate"] for row in rows}
        arms = {arm: evaluates.get(arm) for arm in ARMS}
        folder = f"{self.task}-{number:04}-{key[:16]}"
        result = self._result(words, key, overrides, rows) if state == "done" else None
        if result is not None:
            self._write_job(self.outputs / folder, result)
        about = {"digest": key, "folder": folder, "state": state, "reason": self.reasons.get(number)}
        log = f"jobs/{folder}/log.txt" if number in self.logs else None
        about |= {"log": log, "metric": "accuracy", "arms": arms}
        return job_row(words, axes, overrides, result, **about, benchmark_arms=arms if self.subsets else None)

    def _result(
        self, words: Mapping[str, Any], key: str, overrides: Sequence[str], rows: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        self.reader.refresh()
        tables = {row["name"]: self.reader.required_answers(row["evaluate"]) for row in rows}
        about = tables["student"]
        scores = rates({n: t.correct for n, t in tables.items()}, about.groups, resamples=FEW)
        parts = {name: asdict(scores.interval(name)) for name in tables}
        pgr = asdict(pgr_of_job(scores))
        supervisor = "teacher" if words["paradigm"] == "distillation" else "floor"
        right = tables[supervisor].correct > 0
        agreed = part_rates(
            about.agrees(tables[supervisor]), [right | True, right, ~right], about.groups, resamples=FEW
        )
        keys = ("with_supervisor", "when_supervisor_right", "when_supervisor_wrong")
        stages = {stage["digest"]: stage for row in rows for stage in row.pop("stages")}
        return {
            "version": 1,
            "job": words,
            "digest": key,
            "metric": "accuracy",
            "student_of_record": "student",
            "supervisor": supervisor,
            **{arm: parts[arm] for arm in ARMS},
            "pgr": pgr,
            "gain_over_untuned": asdict(scores.difference("student", "untuned")),
            "agreement": {k: asdict(one) if one else None for k, one in zip(keys, agreed, strict=True)},
            "rows": [{**row, **parts[row["name"]], "pgr": pgr if row["name"] == "student" else None} for row in rows],
            "cheats": [],
            "notices": list(self.notices),
            "stages": list(stages.values()),
            "overrides": list(overrides),
            "wandb": {"id": None, "mode": "disabled", "dir": None},
        }

    def _write_job(self, folder: Path, result: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(result))
        job = result["job"]
        strong = {"name": job["strong"], "params": PARAMS.get(str(job["strong"]), 1000)}
        paths = {"store": str(self.store), "outputs": str(self.outputs)}
        config = {"seed": job["seed"], "strong": strong, "weak": {"name": job["weak"]}, "fit": {"epochs": 2}}
        (folder / "config.yaml").write_text(yaml.safe_dump({**config, "paths": paths}))
        if self.with_examples:
            self._write_examples(folder / "examples.parquet")

    def _write_examples(self, path: Path) -> None:
        count = self.num_examples
        gold = self._gold()
        columns: dict[str, Any] = {
            "split": ["test"] * count + ["validation"] * count,
            "example_id": [f"{i:016x}" for i in range(count)] + [f"v{i:015x}" for i in range(count)],
            "group_id": [f"g{i // 2}" for i in range(count)] * 2,
            "gold": gold * 2,
            "texts": [self.texts(i) for i in range(count)] * 2,
            "difficulty": [float(i % 9) for i in range(count)] * 2,
        }
        written = [self.solutions(i) if self.solutions is not None else None for i in range(count)]
        columns["solution"] = pa.array(written * 2, pa.string())
        about = {"task": self.task, "kind": self.kind, "class_names": list(self.class_names)}
        pq.write_table(pa.table(columns).replace_schema_metadata({"w2s": json.dumps(about)}), path)

    # ------------------------------------------------------------ stages

    def _gold(self) -> list[int]:
        return [i % self.num_options for i in range(self.num_examples)]

    def _rows(self, cell: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Untuned, floor, student, ceiling, and a teacher where one teaches; the stages behind each."""
        weak, strong, seed = ({name: cell[name]} for name in ("weak", "strong", "seed"))
        data = {key: value for key, value in cell["axes"].items() if key.startswith("task.")}
        own = {
            "untuned": strong,
            "floor": weak | seed | data,
            "student": {"paradigm": cell["paradigm"], **cell["axes"], **weak, **strong, **seed},
            "ceiling": strong | seed | data,
        }
        if cell["paradigm"] == "distillation":
            own["teacher"] = {**strong, **seed, "teacher": True}
        return [self._row(role, cell, identity) for role, identity in own.items()]

    def _row(self, role: str, cell: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
        model = cell["weak"] if role == "floor" else cell["strong"]
        base = {"task": self.task, "role": role, **identity}
        stages = []
        source: dict[str, Any] = {"type": "BareModel", "of": base}
        if role != "untuned":
            fit = {"kind": "fit", "version": VERSIONS["fit"], **base, "optimisation": {"epochs": 2.0}}
            stages.append(self._stage(fit, f"{model}-{self.task}-{role}-s{cell['seed']}", self._fit_files))
            source = {"stage": digest(fit)}
        label = {"kind": "label", "version": VERSIONS["label"], "source": source}
        evaluate = {
            "kind": "evaluate",
            "version": VERSIONS["evaluate"],
            "answers": {"stage": digest(label)},
            "task": {"name": self.task},
        }
        stages.append(self._stage(label, f"{model}-{role}-test", lambda folder, key: None))
        stages.append(self._stage(evaluate, f"{model}-{role}-test", lambda f, k: self._evaluate_files(f, k, role)))
        gold, pseudo = {"floor": 2000, "ceiling": 3000, "teacher": 2000}.get(role, 0), role == "student"
        information = {"gold_seen_by_student": gold, "gold_upstream": 2000 * pseudo, "pseudo_labels": 3000 * pseudo}
        information |= {"train_tokens": 48_000 if role != "untuned" else 0, "sampled_tokens": 0}
        row = {"name": role, "role": role, "model": model, "information": information}
        judged = {"benchmark": digest(evaluate)} if self.subsets else {}
        if self.kind == "reasoning":
            judged |= {"strict": {"value": 0.125 + 0.25 * cell["seed"]}, "truncated_share": 0.03, "unparsed_share": 0.5}
        return {**row, **judged, "evaluate": digest(evaluate), "stages": stages}

    def _stage(self, record: Mapping[str, Any], label: str, fill: Callable[[Path, str], None]) -> dict[str, Any]:
        key = digest(record)
        folder = self.store / str(record["kind"]) / f"{label.replace('/', '_')}-{key[:16]}"
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "stage.json").write_text(json.dumps(record))
            fill(folder, key)
            seal(folder, key)
        return {"kind": record["kind"], "label": label, "digest": key, "cached": False, "seconds": 1.5}

    def _fit_files(self, folder: Path, key: str) -> None:
        rng = np.random.default_rng(int(key[:8], 16))
        steps = range(2, 102, 2)
        rows = [
            {"step": s, "fraction": s / 100, "lr": 1e-4, "loss": 0.7 - 0.004 * s + rng.normal(0, 0.01)} for s in steps
        ]
        marks = (25, 50, 75, 100)
        rows += [{"step": s, "validation_loss": 0.5, "validation_agreement": 0.6 + s / 400} for s in marks]
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        gold = np.array(self._gold())
        probs = [self._probs(gold, rng.random(len(gold)) < 0.6 + s / 400, rng) for s in marks]
        ids = [f"v{i:015x}" for i in range(self.num_examples)]
        columns = {"step": np.repeat(marks, len(ids)), "example_id": ids * len(marks)}
        pq.write_table(pa.table({**columns, "probs": np.concatenate(probs).tolist()}), folder / "validation.parquet")
        (folder / "metrics.json").write_text(json.dumps({"num_rows": 2000, "num_tokens": 48_000}))

    def _evaluate_files(self, folder: Path, key: str, role: str) -> None:
        rng = np.random.default_rng(int(key[:8], 16))
        gold = np.array(self._gold())
        right = rng.random(len(gold)) < self.skill[role]
        probs = self._probs(gold, right, rng)
        answer, count = probs.argmax(axis=1), range(self.num_examples)
        columns: dict[str, Any] = {
            "example_id": [f"{i:016x}" for i in count],
            "group_id": [f"g{i // 2}" for i in count],
        }
        columns |= {"gold": gold, "prediction": answer, "correct": answer == gold, "probs": probs.tolist()}
        columns["difficulty"] = [float(i % 9) for i in count]
        if self.kind == "reasoning":
            del columns["probs"]
            columns |= {"gold": [str(one) for one in gold], "prediction": [str(one) for one in answer]}
        if self.solutions is not None:
            columns["solution"] = [self.solutions(i) for i in range(self.num_examples)]
        if self.subsets:
            columns["subset"] = [self.subsets[i // 2 % len(self.subsets)] for i in range(self.num_examples)]
        pq.write_table(pa.table(columns), folder / "predictions.parquet")
        (folder / "metrics.json").write_text(json.dumps({"accuracy": 0.5}))

    def _probs(self, gold: Any, right: Any, rng: Any) -> Any:
        answer = np.where(right, gold, (gold + 1) % self.num_options)
        sure = 0.55 + 0.4 * rng.random(len(gold))
        probs = np.repeat(((1 - sure) / (self.num_options - 1))[:, None], self.num_options, axis=1)
        probs[np.arange(len(gold)), answer] = sure
        return probs


def seal(folder: Path, key: str) -> None:
    """Write an artifact's manifest (anew) without waiting for the disk."""
    (folder / "manifest.json").unlink(missing_ok=True)
    about = {"seconds": 1.5, "peak_memory_bytes": 5 * 10**8, "host": "vm", "finished_at": "2026-01-01T00:00:00+00:00"}
    with patch("w2s_lightning.store.manifest.sync"):
        Manifest.write(folder, key, about)


def small(root: Path, **more: Any) -> Made:
    """A written sweep of two seeds of one pair, 40 examples each, where nothing else is said."""
    made = Made(root, **{"weak": ("nano",), "num_examples": 40, "seeds": (0, 1), **more})
    made.write()
    return made


def written(made: Made) -> Page:
    """The page of a sweep as it now is."""
    return Page(Reporter(made.folder).write().page)


def reseal(folder: Path) -> None:
    """A manifest for what the test has changed in an artifact."""
    seal(folder, json.loads((folder / "manifest.json").read_text())["digest"])
