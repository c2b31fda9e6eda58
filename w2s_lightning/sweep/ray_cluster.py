"""A batch through Ray: a task for each job, with the resources of its kind of stage.

The launcher of hydra-ray-launcher wants cloudpickle<3 and boto3, gives a whole batch up when one worker dies, and
leaves the others running. Here every task has its own end, and a fresh worker process.
"""

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from w2s_lightning.errors import UserError
from w2s_lightning.sweep.attempt import Record, failure
from w2s_lightning.sweep.errands import errands_of, returned, settings_for, settings_of
from w2s_lightning.sweep.remote import Errand, run_program

logger = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that a stopped task may take to end


def connect(config: DictConfig) -> None:
    """Join the cluster; raise UserError when there is none."""
    import ray

    if ray.is_initialized():
        return
    address = str(settings_of(config)["address"])
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    before = signal.getsignal(signal.SIGTERM)  # which Ray takes for itself: without a word, and without stopping tasks
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"no Ray cluster at hydra.launcher.address={address} ({said}): start one with "
            "`ray start --head`, name its host:port, or let hydra.launcher.address=local use this machine alone"
        ) from None


def _knock(address: str) -> None:
    """Raise OSError when nobody listens at host:port, where Ray itself would try for ten minutes."""
    if found := re.fullmatch(r"([\w.-]+):(\d+)", address):
        socket.create_connection((found[1], int(found[2])), timeout=PATIENCE).close()


def launch(config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run a batch and wait for its end; one return a job, in its order. Whatever interrupts it stops the tasks."""
    import ray

    connect(config)
    settings, errands = settings_of(config), errands_of(config, jobs, first)
    task = ray.remote(max_calls=1, max_retries=0)(run_program)
    for kind in dict.fromkeys(errand.kind for errand in errands):
        _tell_what_no_node_has(settings_for(settings, kind))
    running: dict[Any, int] = {}
    records: dict[int, Record] = {}
    try:
        for number, errand in enumerate(errands):
            running[_submit(task, errand, settings_for(settings, errand.kind))] = number
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            records[running.pop(done)] = _record_of(done)
    except BaseException:
        with suppress(Exception):  # what interrupted it is what counts
            _stop(list(running))
        raise
    return returned(jobs, [records[number] for number in range(len(jobs))])


def _submit(task: Any, errand: Errand, settings: Mapping[str, Any]) -> Any:
    threads = {"OMP_NUM_THREADS": str(max(1, int(settings["num_cpus"])))}
    own = replace(errand, environment={**errand.environment, **threads})
    memory = settings["mem_gb"]
    return task.options(
        name=errand.kind,
        num_cpus=settings["num_cpus"],
        num_gpus=settings["num_gpus"],
        memory=memory and int(memory * 2**30),
        resources=settings["resources"] or None,
    ).remote(own)


def _tell_what_no_node_has(settings: Mapping[str, Any]) -> None:
    """Ray waits for ever, without a word, for a node that could take a task: an autoscaler may start one."""
    import ray

    nodes: list[Any] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = {"CPU": settings["num_cpus"], "GPU": settings["num_gpus"], **(settings["resources"] or {})}
    if not any(all(node.get(name, 0) >= (count or 0) for name, count in wanted.items()) for node in nodes):
        asked = ", ".join(f"{name} {count:g}" for name, count in wanted.items() if count)
        logger.warning("no node of the Ray cluster has %s now: waiting for one (hydra.launcher.num_cpus, ...)", asked)


def _record_of(done: Any) -> Record:
    import ray

    try:
        record: Record = ray.get(done)
        return record
    except ray.exceptions.RayError as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        return failure(f"{type(error).__name__}: {said[0] if said else 'no word'}", type(error).__name__)


def _stop(running: list[Any]) -> None:
    import ray

    for one in running:
        ray.cancel(one)
    ray.wait(running, num_returns=len(running), timeout=PATIENCE)
    for one in running:
        ray.cancel(one, force=True)
