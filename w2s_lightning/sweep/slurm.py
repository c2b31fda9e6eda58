"""A batch through Slurm: an array for each kind of stage, with its own resources, submitted by submitit.

submitit waits by asking Slurm's accounts, which many clusters do not keep, and the launcher of hydra-submitit-launcher
gives a whole batch up when one process of it dies. So here a job that has left the queue has ended: its record is read
if it left one, and all others go on.
"""

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from w2s_lightning.errors import UserError
from w2s_lightning.sweep.attempt import Record, failure
from w2s_lightning.sweep.errands import errands_of, returned, settings_for, settings_of
from w2s_lightning.sweep.remote import Errand, run_program

MOST = 1000  # jobs of an array that Slurm takes unless told otherwise (MaxArraySize)
PATIENCE = 20.0  # seconds that Slurm may take to answer
_OWN = ("_target_", "environment", "poll_seconds", "options")  # settings that are not submitit's
_COMMON = ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")  # submitit's own names, the others are Slurm's
_HINTS = {"TIMEOUT": "timeout_min", "OUT_OF_MEMORY": "mem_gb"}
_HOPELESS = {"PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints"}

logger = logging.getLogger(__name__)


def check() -> None:
    """Raise UserError when Slurm does not answer here."""
    try:
        done = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=PATIENCE)
    except FileNotFoundError:
        raise UserError("hydra/launcher=slurm starts from a machine with Slurm's commands: no scontrol here") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"Slurm has not answered for {PATIENCE:g} s (scontrol ping)") from None
    if done.returncode != 0 or "UP" not in done.stdout:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"Slurm does not answer (scontrol ping): {said[-1] if said else 'no word'}")


def launch(config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Submit a batch and wait for its end; one return a job, in its order. Whatever interrupts it cancels the jobs."""
    settings, errands = settings_of(config), errands_of(config, jobs, first)
    folder = Path(str(config.hydra.sweep.dir)).absolute() / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    submitted: dict[int, Any] = {}
    logging.getLogger("submitit").setLevel(logging.ERROR)
    try:
        for kind in dict.fromkeys(errand.kind for errand in errands):
            own = [number for number, errand in enumerate(errands) if errand.kind == kind]
            for start in range(0, len(own), MOST):
                part = own[start : start + MOST]
                found = _submit(folder, settings_for(settings, kind), kind, [errands[number] for number in part])
                submitted |= zip(part, found, strict=True)
        records = _wait(folder, submitted, errands, settings["poll_seconds"])
    except BaseException:
        _cancel(submitted.values())
        raise
    return returned(jobs, [records[number] for number in range(len(jobs))])


def _submit(folder: Path, settings: Mapping[str, Any], kind: str, errands: Sequence[Errand]) -> list[Any]:
    import submitit

    executor = submitit.AutoExecutor(cluster="slurm", folder=folder)
    given = {key: value for key, value in settings.items() if key not in _OWN and value not in (None, 0, [])}
    named = {key if key in _COMMON else f"slurm_{key}": value for key, value in given.items()}
    executor.update_parameters(
        name=kind, nodes=1, tasks_per_node=1, slurm_additional_parameters=dict(settings["options"]), **named
    )
    threads = {"OMP_NUM_THREADS": str(settings["cpus_per_task"])} if settings["cpus_per_task"] else {}
    own = [replace(errand, environment={**errand.environment, **threads}) for errand in errands]
    try:
        found: list[Any] = executor.map_array(run_program, own)
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        said = [line for line in str(error).splitlines() if "error:" in line]
        raise UserError(f"Slurm refused the {kind} jobs: {said[-1] if said else error}") from None
    return found


def _wait(folder: Path, submitted: Mapping[int, Any], errands: Sequence[Errand], pause: float) -> dict[int, Record]:
    records: dict[int, Record] = {}
    told: set[str] = set()
    gone: set[int] = set()  # left the queue at the last look: a file of another node may come a moment later
    while len(records) < len(submitted):
        queued = _queued()
        _tell_of_the_hopeless([(queued or {}).get(job.job_id, "") for job in submitted.values()], told)
        there = set(os.listdir(folder))  # which also makes a shared file system look again
        for number, job in submitted.items():
            if number in records or queued is None or job.job_id in queued:
                continue
            if job.paths.result_pickle.name in there:
                records[number] = _record_of(job)
            elif number in gone:
                records[number] = failure(_end_of(job.job_id, errands[number].kind), "Killed")
            gone.add(number)
        if len(records) < len(submitted):
            time.sleep(pause)
    return records


def _queued() -> dict[str, str] | None:
    """This user's jobs that have not ended, with why they wait; None when Slurm gives no answer, as busy ones do."""
    try:
        done = subprocess.run(
            ["squeue", "--me", "--noheader", "--array", "--format=%A|%F|%K|%r"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    found: dict[str, str] = {}
    for own, whole, index, reason in (line.split("|") for line in done.stdout.splitlines()):
        found |= {own: reason, f"{whole}_{index}": reason}
    return found


def _tell_of_the_hopeless(reasons: Iterable[str], told: set[str]) -> None:
    """Slurm may take what it can never start, and hold it without a word."""
    for reason in set(reasons) & _HOPELESS - told:
        logger.warning("Slurm cannot start some jobs as they were asked for (%s): see hydra.launcher", reason)
        told.add(reason)


def _record_of(job: Any) -> Record:
    error = job.exception()
    if error is None:
        record: Record = job.results()[0]
        return record
    return failure(str(error).strip().splitlines()[-1], type(error).__name__)


def _end_of(job_id: str, kind: str) -> str:
    """Why a job ended that left no record, as long as Slurm remembers it."""
    done = subprocess.run(["scontrol", "show", "job", "--oneliner", job_id], capture_output=True, text=True)
    found = re.search(r"JobState=(\w+).* ExitCode=(\d+):(\d+)", done.stdout)
    if found is None:
        return f"its Slurm job {job_id} ended without a word, and Slurm has forgotten why"
    state, code, number = found[1], int(found[2]), int(found[3])
    number = number or max(0, code - 128)  # a shell tells a signal so
    how = signal.Signals(number).name if number in set(signal.Signals) else f"exit code {code}"
    setting = _HINTS.get(state)
    more = f": raise hydra.launcher.stages.{kind}.{setting}" if setting else ""
    return f"its Slurm job {job_id} ended without a word: {state}, {how}{more}"


def _cancel(jobs: Any) -> None:
    ids = sorted({job.job_id.split("_")[0] for job in jobs})
    if ids:
        subprocess.run(["scancel", *ids], check=False)
