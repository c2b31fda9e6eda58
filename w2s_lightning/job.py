"""One bound job to its result: plan, compute what the store lacks, score, keep, show.

Loads no torch unless the store lacks something.
"""

import importlib
import json
import resource
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import yaml
from rich.console import Console

from w2s_lightning.atomic import below, folder_name, write_whole
from w2s_lightning.checks import check_data, check_devices, num_processes, refuse_shared
from w2s_lightning.config.bind import JobSettings, Runtime
from w2s_lightning.config.typed import ALL
from w2s_lightning.cost import HERE, Cost, cost, rate_of, stated_parameters, too_large
from w2s_lightning.errors import UserError, printable
from w2s_lightning.identity import SHORT, Stage
from w2s_lightning.plan import Plan, make_plan
from w2s_lightning.refs import UNRESOLVED, UNRESOLVED_TOLD, Refs
from w2s_lightning.results.claims import cell_of
from w2s_lightning.results.information import source_of
from w2s_lightning.results.job_result import histories, make_result
from w2s_lightning.results.texts import write_texts
from w2s_lightning.show.mirror import log_job, logged_before
from w2s_lightning.show.numbers import shown, split_sizes
from w2s_lightning.show.planned import print_plan
from w2s_lightning.show.terminal import StageProgress, print_lines, print_result
from w2s_lightning.stages import Fit
from w2s_lightning.store import Artifact, Damaged, Store
from w2s_lightning.tasks.example import SPLITS


@dataclass(frozen=True)
class Request:
    """What the command line asked for: the bound configuration, as YAML text, and the overrides that led to it."""

    job: JobSettings
    runtime: Runtime
    config: str
    overrides: tuple[str, ...]


class Record(TypedDict):
    """What became of a job or stage, plain enough to cross processes: exceptions with constructors of their own do not.

    `type` and `traceback` name the exception, `message` is for people; all three are empty when it is done.
    """

    status: Literal["done", "failed"]
    type: str
    message: str
    traceback: str
    seconds: float
    peak_memory_bytes: int


def attempt(work: Callable[[], Any]) -> Record:
    """Do it, tell how it went, and print a failure to stderr. A user's mistake has no traceback; Ctrl-C passes."""
    started = time.monotonic()
    record = Record(status="done", type="", message="", traceback="", seconds=0.0, peak_memory_bytes=0)
    try:
        work()
    except Exception as error:
        mistake = isinstance(error, UserError) or getattr(error, "strerror", None) is not None  # the disk's
        said = str(error) if mistake else f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        trace = "" if mistake else traceback.format_exc()
        record |= {"status": "failed", "type": type(error).__name__, "message": said, "traceback": trace}
        print(printable(f"{trace}error: {said}", keep="\n"), file=sys.stderr)
    return record | {"seconds": round(time.monotonic() - started, 3), "peak_memory_bytes": peak_memory()}


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(request: Request, console: Console | None = None) -> dict[str, Any] | None:
    """Plan, compute, score, keep, show: the content of `result.json`, or None for a plan or single stages."""
    job, runtime, console = request.job, request.runtime, console or Console()
    planning = runtime.run.mode == "plan"
    if job.set_by_task and runtime.run.only is None:
        told = f"task {job.task.name} sets {', '.join(job.set_by_task)} (conf/for_task)"
        console.print(shown(told), soft_wrap=True)
    plan = make_plan(job, Refs(Path(runtime.paths.store), planning=planning))
    store = Store.at(Path(runtime.paths.store), create=False)
    if planning:
        check_devices(plan.stages, runtime.trainer)
        show_plan(console, plan, store, request)
        return None
    while True:
        try:
            done = compute(plan, store, request, console)
            if runtime.run.only is not None:
                return None
            result = score(plan, store, request, done)
            folder = keep(plan, store, request, result)
        except Damaged:  # it lies in quarantine now, so the next round computes it again
            continue
        print_result(console, result)
        print_lines(console, places(plan, store, runtime, folder))
        return result


def compute(plan: Plan, store: Store, request: Request, console: Console) -> list[dict[str, Any]]:
    """Compute what the store lacks, after the checks; what became of every stage."""
    runtime = request.runtime
    stages = wanted(plan, runtime)
    missing = [stage for stage in stages if not store.has(stage)]
    made: dict[str, Artifact] = {}
    if missing:
        check_devices(missing, runtime.trainer)
        if runtime.run.only is None:  # whoever asks for single stages (a sweep) has checked the data of all
            splits = plan.rows[0].evaluate.task.splits(request.job.seed)
            print_lines(console, [split_sizes({split: len(splits.of(split)) for split in SPLITS})])
            print_lines(console, (f"note: {notice}" for notice in (*plan.notices, *check_data(request.job, plan))))
        execute = importlib.import_module("w2s_lightning.execute")  # only now is torch imported
        execute.check_device(runtime.trainer)
        store = Store.at(store.root)  # before hours are spent, what could not be written to later
        if runtime.run.only is None:
            with _writing(folder := folder_of(plan, runtime)):
                folder.mkdir(parents=True, exist_ok=True)
        with StageProgress(console, missing) as lines:
            artifacts = execute.run(missing, store, runtime.trainer, lines)
        made = {stage.digest: artifact for stage, artifact in zip(missing, artifacts, strict=True)}
    elif runtime.run.only is None:
        print_lines(console, [f"all {len(stages)} stages are read from the store: nothing is computed"])
    records = []
    for stage in stages:
        artifact = made.get(stage.digest)
        about = {"kind": stage.kind, "label": stage.label, "digest": stage.digest}
        seconds = round(artifact.seconds, 3) if artifact else 0.0
        records.append({**about, "cached": artifact is None or artifact.cached, "seconds": seconds})
    return records


def score(plan: Plan, store: Store, request: Request, done: list[dict[str, Any]]) -> dict[str, Any]:
    """The job's result from stored answers; UserError where a benchmark shares prompts that may not be shared.

    `check_data` refuses that too, but not where an earlier job that was allowed it left every stage in the store.
    """
    result = {**make_result(plan, store, done), "overrides": list(request.overrides)}
    shared = (result["benchmark"] or {}).get("shared_prompts", 0)
    refuse_shared(shared, request.job.benchmark, f"task.benchmark: {shared} of its prompts stand")
    return result


def folder_of(plan: Plan, runtime: Runtime) -> Path:
    """A job's folder, named by its digest: the same job lands in the same place."""
    words = plan.name
    name = f"{words['task']}-{words['paradigm']}-{words['weak']}-{words['strong']}-s{words['seed']}"
    return below(Path(runtime.paths.outputs), f"{folder_name(name)}-{plan.digest[:SHORT]}")


def places(plan: Plan, store: Store, runtime: Runtime, folder: Path) -> Iterator[str]:
    """What a user wants next: the result, the line that loads the student with its tokenizer, the page."""
    yield f"result:  {folder / 'result.json'}"
    student = source_of(next(row for row in plan.rows if row.name == plan.student_of_record))
    if isinstance(student, Fit):
        model = Path(runtime.paths.store) / store.path(student).relative_to(store.root) / "model"
        what = "text-classification" if student.readout.kind == "head" else "text-generation"
        yield f'student: transformers.pipeline("{what}", {json.dumps(str(model), ensure_ascii=False)})'
    outputs = () if runtime.paths.outputs == "outputs" else ("--outputs", runtime.paths.outputs)
    yield f"report:  {shlex.join(['python', '-m', 'w2s_lightning.report', '--open', *outputs])}"


def show_plan(console: Console, plan: Plan, store: Store, request: Request) -> None:
    """`run=plan`: stages, what is stored, what the rest costs here or on `run.accelerator`."""
    job, rate = request.job, rate_of(request.runtime.run.accelerator)
    rate = rate if rate is HERE else rate.together
    stored = {stage.digest: store.has(stage) for stage in plan.stages}
    stated = stated_parameters((job.weak, job.strong, *job.middle))
    costs: dict[str, Cost] = {stage.digest: cost(stage, stated, rate) for stage in plan.stages}
    print_plan(console, plan, stored, costs, rate)
    told, devices = too_large(plan.stages, stated, rate), request.runtime.trainer.devices
    if rate is not HERE and str(devices) not in ALL and rate.count != num_processes(request.runtime.trainer):
        told.append(
            f"this is the time of {rate.name}, and the job uses trainer.devices={devices}: to use them all, type "
            f"trainer=ddp trainer.devices={rate.count}"
        )
    if any(UNRESOLVED in json.dumps(stage.record()) for stage in plan.stages):
        told.append(UNRESOLVED_TOLD)
    print_lines(console, (f"note: {one}" for one in told))


def wanted(plan: Plan, runtime: Runtime) -> tuple[Stage, ...]:
    """All stages of the job, or with `run.only` the stages it names and what they stand on."""
    if runtime.run.only is None:
        return plan.stages
    only = runtime.run.only
    goals = [plan.stage(wanted) for wanted in ((only,) if isinstance(only, str) else only)]
    needed = {stage.digest for goal in goals for stage in (goal, *goal.ancestors())}
    return tuple(stage for stage in plan.stages if stage.digest in needed)


def keep(plan: Plan, store: Store, request: Request, result: dict[str, Any]) -> Path:
    """Mirror to wandb, write `result.json` and what belongs to it; the folder they lie in."""
    runtime, task = request.runtime, plan.rows[0].evaluate.task
    folder = folder_of(plan, runtime)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    result["wandb"] = logged_before(folder, result, runtime.tracking.mode) or log_job(
        result=result,
        cell=cell_of(result),
        histories=histories(plan, store),
        config=yaml.safe_load(request.config) or {},
        settings=runtime.tracking,
        folder=folder,
    )
    with _writing(folder):
        write_texts(folder, task, task.splits(plan.name["seed"]))
        write_whole(folder / "config.yaml", request.config)
        write_whole(folder / "result.json", json.dumps(result, indent=2) + "\n")
    return folder


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn a failing write of the job's own files into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror or error}): make room, or choose another place with "
            "paths.outputs=DIR; what was computed is in the store"
        ) from None
