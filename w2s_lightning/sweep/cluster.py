"""Units through a launcher of Hydra's kind, wave after wave: Slurm and Ray (ours), or whichever else is installed.

A wave is a batch of jobs that do not need one another, and a launcher returns when its whole batch has ended. Some say
little about what failed or raise for all when one did: so after each wave the store decides, and other nodes' files may
take a while to be seen here.

The launchers of hydra-submitit-launcher and hydra-ray-launcher give a whole batch up when one process of it dies. Here
every job has its own end, in a fresh process, and what interrupts the sweep stops its jobs.
"""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from w2s_lightning.errors import UserError, handling
from w2s_lightning.job import Record
from w2s_lightning.sweep.axes import own_words
from w2s_lightning.sweep.process import Program, run_program
from w2s_lightning.sweep.units import LOG, Unit, UnitStates, failure

SETTLING = 60.0  # seconds that a shared file system may take to show what another node has written
PATIENCE = 20.0  # seconds that Slurm may take to answer, a stopped task of Ray to end
MOST = 1000  # jobs of an array that Slurm takes unless told otherwise (MaxArraySize)
_EXTRAS = {"SlurmLauncher": ("slurm", "submitit", "slurm"), "RayLauncher": ("ray_cluster", "ray", "ray")}
_OURS = ("_target_", "environment", "poll_seconds", "options", "stages")  # settings that are not submitit's
_COMMON = ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")  # submitit's own names, the others are Slurm's
_HINTS = {"TIMEOUT": "timeout_min", "OUT_OF_MEMORY": "mem_gb"}
_HOPELESS = {"PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints"}

logger = logging.getLogger(__name__)


def run_waves(states: UnitStates, launcher: Launcher, overrides: Callable[[Unit], list[str]]) -> None:
    """Launch every wave's units whose needs are met."""
    index = 0
    for wave in states.units.waves():
        batch = [unit for unit in wave if states.start(unit)]
        records: list[Record] = []
        missing = failure("the launcher returned nothing for it", "NoReturn")
        try:
            if batch:
                returned = launcher.launch([overrides(unit) for unit in batch], initial_job_idx=index)
                records = [_record_of(one) for one in returned][: len(batch)]
        except Exception as error:
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            missing = failure(said, type(error).__name__)
        index += len(batch)
        until = time.monotonic() + SETTLING
        for unit, record in zip(batch, [*records, *[missing] * (len(batch) - len(records))], strict=True):
            while record["status"] == "done" and not states.arrived(unit):
                if time.monotonic() > until:
                    why = "it ended well, but its outputs are not here: is paths.store the same folder on every node?"
                    record = failure(why, "NoOutputs", record["seconds"])
                    break
                time.sleep(1.0)
            states.end(unit, record)


def _record_of(returned: JobReturn) -> Record:
    value = returned._return_value
    if returned.status == JobStatus.COMPLETED and isinstance(value, dict) and "status" in value:
        record: Record = value  # type: ignore[assignment]
        return record
    return failure(f"{type(value).__name__}: {value}", type(value).__name__)


# ---------------------------------------------------------------- our launchers


def check_extra(target: str) -> None:
    """Raise UserError when a launcher of ours needs a package that is not installed."""
    name, package, extra = _EXTRAS.get(target.rpartition(".")[2], ("", "", ""))
    if package and find_spec(package) is None:
        raise UserError(f"the launcher {name} needs an extra: pip install 'w2s-lightning[{extra}]'")


def connect(config: DictConfig) -> None:
    """Raise UserError when a launcher's package is missing or its cluster does not answer."""
    settings = _settings_of(config)
    check_extra(settings["_target_"])
    if settings["_target_"].endswith("SlurmLauncher"):
        _ping_slurm()
    else:
        _join_ray(settings)


def launch(config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run a batch and wait for its end; one return a job, in its order, with its record as value.

    A job tells its kind of stage as `hydra.job.name` and its place as `hydra.sweep.subdir`.
    """
    settings = _settings_of(config)
    environment = {name: os.environ[name] for name in settings["environment"] if name in os.environ}
    folder, path, here = Path(str(config.hydra.sweep.dir)), Path(sys.argv[0]).resolve(), Path.cwd()
    parser = OverridesParser.create()
    programs = []
    by_kind: dict[str, dict[str, Any]] = {}
    for number, words in enumerate(jobs, first):
        told = {o.key_or_group: str(o.value()) for o in parser.parse_overrides(list(words))}
        place = Path(told.get("hydra.sweep.dir", folder)) / told.get("hydra.sweep.subdir", f"jobs/{number}")
        kind, own = told.get("hydra.job.name", "job"), (*own_words(config), *(w for w in words if w[:6] != "hydra."))
        # What a kind of stage asks for: the launcher's settings, but for those that `stages.KIND` sets.
        changed = ((settings["stages"] or {}).get(kind) or {}).items()
        asked = by_kind[kind] = settings | {key: value for key, value in changed if value is not None}
        cores = asked.get("cpus_per_task", asked.get("num_cpus"))
        threads = {} if cores is None else {"OMP_NUM_THREADS": str(max(1, int(cores)))}
        programs.append(Program(kind, path, own, here, (place / LOG).absolute(), {**environment, **threads}))
    if settings["_target_"].endswith("SlurmLauncher"):
        records = _through_slurm((folder / "slurm").absolute(), programs, by_kind, settings["poll_seconds"])
    else:
        records = _through_ray(programs, by_kind)
    return [
        JobReturn(overrides=list(words), status=JobStatus.COMPLETED, _return_value=records[number])
        for number, words in enumerate(jobs)
    ]


def _settings_of(config: DictConfig) -> dict[str, Any]:
    settings: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    return dict(settings)


# ---------------------------------------------------------------- Slurm


def _ping_slurm() -> None:
    try:
        done = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=PATIENCE)
    except FileNotFoundError:
        raise UserError("hydra/launcher=slurm starts from a machine with Slurm's commands: no scontrol here") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"Slurm has not answered for {PATIENCE:g} s (scontrol ping)") from None
    if done.returncode != 0 or "UP" not in done.stdout:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"Slurm does not answer (scontrol ping): {said[-1] if said else 'no word'}")


def _through_slurm(
    folder: Path, programs: Sequence[Program], by_kind: Mapping[str, Mapping[str, Any]], pause: float
) -> dict[int, Record]:
    """An array for each kind of stage, submitted by submitit."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("submitit").setLevel(logging.ERROR)
    submitted: dict[int, Any] = {}
    try:
        for kind, settings in by_kind.items():
            own = [number for number, program in enumerate(programs) if program.kind == kind]
            for start in range(0, len(own), MOST):
                part = own[start : start + MOST]
                found = _submit_array(folder, settings, kind, [programs[number] for number in part])
                submitted |= zip(part, found, strict=True)
        return _wait_for_slurm(folder, submitted, programs, pause)
    except BaseException:
        if ids := sorted({job.job_id.split("_")[0] for job in submitted.values()}):
            subprocess.run(["scancel", *ids], check=False)
        raise


def _submit_array(folder: Path, settings: Mapping[str, Any], kind: str, programs: Sequence[Program]) -> list[Any]:
    import submitit

    executor = submitit.AutoExecutor(cluster="slurm", folder=folder)
    given = {key: value for key, value in settings.items() if key not in _OURS and value not in (None, 0, [])}
    named = {key if key in _COMMON else f"slurm_{key}": value for key, value in given.items()}
    executor.update_parameters(
        name=kind, nodes=1, tasks_per_node=1, slurm_additional_parameters=dict(settings["options"]), **named
    )
    try:
        found: list[Any] = executor.map_array(run_program, programs)
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        said = [line for line in str(error).splitlines() if "error:" in line]
        raise UserError(f"Slurm refused the {kind} jobs: {said[-1] if said else error}") from None
    return found


def _wait_for_slurm(
    folder: Path, submitted: Mapping[int, Any], programs: Sequence[Program], pause: float
) -> dict[int, Record]:
    """Records of all jobs. submitit would ask Slurm's accounts, which many clusters do not keep: here a job that has
    left the queue has ended, and its record is read if it left one."""
    records: dict[int, Record] = {}
    told: set[str] = set()
    gone: set[int] = set()  # left the queue at the last look: a file of another node may come a moment later
    while len(records) < len(submitted):
        queued = _queued_in_slurm()
        reasons = {(queued or {}).get(job.job_id, "") for job in submitted.values()}
        for reason in reasons & _HOPELESS - told:  # Slurm may take what it can never start, and hold it without a word
            logger.warning("Slurm cannot start some jobs as they were asked for (%s): see hydra.launcher", reason)
            told.add(reason)
        there = set(os.listdir(folder))  # which also makes a shared file system look again
        for number, job in submitted.items():
            if number in records or queued is None or job.job_id in queued:
                continue
            if job.paths.result_pickle.name in there:
                error = job.exception()
                said = failure(str(error).strip().splitlines()[-1], type(error).__name__) if error else None
                records[number] = said or job.results()[0]
            elif number in gone:
                records[number] = failure(_end_in_slurm(job.job_id, programs[number].kind), "Killed")
            gone.add(number)
        if len(records) < len(submitted):
            time.sleep(pause)
    return records


def _queued_in_slurm() -> dict[str, str] | None:
    """This user's jobs that have not ended, with why they wait; None when Slurm gives no answer, as busy ones do."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%A|%F|%K|%r"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    found: dict[str, str] = {}
    for own, whole, index, reason in (line.split("|") for line in done.stdout.splitlines()):
        found |= {own: reason, f"{whole}_{index}": reason}
    return found


def _end_in_slurm(job_id: str, kind: str) -> str:
    """Why a job ended that left no record, as long as Slurm remembers it."""
    done = subprocess.run(["scontrol", "show", "job", "--oneliner", job_id], capture_output=True, text=True)
    found = re.search(r"JobState=(\w+).* ExitCode=(\d+):(\d+)", done.stdout)
    if found is None:
        return f"its Slurm job {job_id} ended without a word, and Slurm has forgotten why"
    state, code, number = found[1], int(found[2]), int(found[3])
    number = number or max(0, code - 128)  # a shell tells a signal so
    how = signal.Signals(number).name if number in set(signal.Signals) else f"exit code {code}"
    more = f": raise hydra.launcher.stages.{kind}.{_HINTS[state]}" if state in _HINTS else ""
    return f"its Slurm job {job_id} ended without a word: {state}, {how}{more}"


# ---------------------------------------------------------------- Ray


def _join_ray(settings: Mapping[str, Any]) -> None:
    import ray

    if ray.is_initialized():
        return
    address = str(settings["address"])
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    try:
        if found := re.fullmatch(r"([\w.-]+):(\d+)", address):  # Ray itself would try for ten minutes
            socket.create_connection((found[1], int(found[2])), timeout=PATIENCE).close()
        with handling(signal.SIGTERM, signal.default_int_handler):  # which Ray takes for itself, and stops no task
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"no Ray cluster at hydra.launcher.address={address} ({said}): start one with "
            "`ray start --head`, name its host:port, or let hydra.launcher.address=local use this machine alone"
        ) from None


def _through_ray(programs: Sequence[Program], by_kind: Mapping[str, Mapping[str, Any]]) -> dict[int, Record]:
    """A task a job, with the resources of its kind of stage."""
    import ray

    task = ray.remote(max_calls=1, max_retries=0)(run_program)
    nodes: list[Any] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for settings in by_kind.values():  # Ray waits without a word for a node that could: an autoscaler may start one
        wanted = {"CPU": settings["num_cpus"], "GPU": settings["num_gpus"], **(settings["resources"] or {})}
        if not any(all(node.get(name, 0) >= (count or 0) for name, count in wanted.items()) for node in nodes):
            asked = ", ".join(f"{name} {count:g}" for name, count in wanted.items() if count)
            logger.warning(
                "no node of the Ray cluster has %s now: waiting for one (hydra.launcher.num_cpus, ...)", asked
            )
    running: dict[Any, int] = {}
    records: dict[int, Record] = {}
    try:
        for number, program in enumerate(programs):
            settings = by_kind[program.kind]
            own = task.options(
                name=program.kind,
                num_cpus=settings["num_cpus"],
                num_gpus=settings["num_gpus"],
                memory=settings["mem_gb"] and int(settings["mem_gb"] * 2**30),
                resources=settings["resources"] or None,
            ).remote(program)
            running[own] = number
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            number = running.pop(done)
            try:
                records[number] = ray.get(done)
            except ray.exceptions.RayError as error:
                said = next((line.strip() for line in str(error).splitlines() if line.strip()), "no word")
                records[number] = failure(f"{type(error).__name__}: {said}", type(error).__name__)
        return records
    except BaseException:
        with suppress(Exception):  # what interrupted it is what counts
            for one in running:
                ray.cancel(one)
            _, left = ray.wait(list(running), num_returns=len(running), timeout=PATIENCE)
            for one in left:  # Ray 2.60 may abort when a task that has just ended is cancelled by force
                ray.cancel(one, force=True)
        raise
