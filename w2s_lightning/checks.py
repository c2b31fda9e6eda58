"""What is refused before anything is computed, so that bad data leaves the store untouched. Loads no torch.

The data of a task, files of supervisors and benchmarks are read here once, without a model; which fits the devices can
share is counted here too. A setting is refused by the configuration.

Every process of a fit has one device and the whole model; together they take each step's rows, so a step must divide by
their number. What is learned does not depend on it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from w2s_lightning.config.bind import JobSettings
from w2s_lightning.config.schema import Benchmark, Trainer
from w2s_lightning.config.typed import ALL
from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage
from w2s_lightning.metrics.intervals import FEW_GROUPS, Groups
from w2s_lightning.metrics.pgr import TOO_WIDE, predicted_half_width
from w2s_lightning.plan import Plan
from w2s_lightning.stages import Fit, Pretrain, Supervisor, Task
from w2s_lightning.tasks.example import SPLITS, Splits, trained_on
from w2s_lightning.tasks.supervisor_file import read_answers, read_solutions

_GPUS = Path("/proc/driver/nvidia/gpus")


def check_data(job: JobSettings, plan: Plan) -> tuple[str, ...]:
    """Read everything that the job needs besides models; raise UserError for what cannot be trained or judged on.

    Returns what was counted and dropped, and a warning when PGR's interval will be too wide to tell anything.
    """
    first = plan.rows[0]
    task = first.evaluate.task
    splits: Splits = task.splits(job.seed)
    check_supervisors(plan.stages, task, splits)
    notices = list(splits.notices)
    if first.benchmark is not None:
        rows = first.benchmark.task.rows()
        shared = shared_prompts(splits, rows.groups)
        its = f"{shared} of its {len(rows.pairs)} rows have a prompt that stands"
        refuse_shared(shared, job.benchmark, f"task.benchmark={job.benchmark.benchmark}: {its}")
        notices += rows.notices
    groups = Groups.of([example.group for example in splits.test])
    width = predicted_half_width(floor=0.7, ceiling=0.9, num_examples=len(splits.test), num_groups=groups.num_groups)
    if width > TOO_WIDE:
        few = f"{len(splits.test)} test examples"
        notices.append(f"PGR's interval will be about +-{width:.2f} even at a gap of 0.2: {few}")
    if groups.effective < FEW_GROUPS:
        notices.append(
            f"the test examples say as much as {groups.effective:.0f} groups of equal size (below {FEW_GROUPS}): "
            f"intervals are rough, take test examples from more groups"
        )
    return tuple(notices)


def shared_prompts(splits: Splits, groups: Iterable[str]) -> int:
    """How many of a benchmark's rows (by the group of their prompt) have a prompt of the training splits."""
    known = trained_on(splits)
    return sum(group in known for group in groups)


def refuse_shared(shared: int, settings: Benchmark, whose: str) -> None:
    """Raise UserError where anything is shared with the training splits, and that is not allowed."""
    if shared and not settings.benchmark_overlap:
        raise UserError(
            f"{whose} in the training splits: take other rows, or task.benchmark_overlap=true to have them counted in "
            "the result"
        )


def check_supervisors(stages: Iterable[Stage], task: Task, splits: Splits) -> None:
    """Raise UserError for a supervisor's file that does not answer what the stages ask of it."""
    found = {(one.file.path, one.split): one for stage in stages for one in stage.held(Supervisor)}
    for one in found.values():
        ids = [item.id for item in splits.of(one.split)]
        if task.kind == "reasoning":
            known = {item.id for split in SPLITS for item in splits.of(split)}
            read_solutions(one.file, ids, known=known, parse=task.key.parse)
        else:
            read_answers(one.file, ids, task.class_names)


# ---------------------------------------------------------------- devices


def num_processes(trainer: Trainer) -> int:
    """Processes of a fit: `trainer.devices`, where `auto` means every GPU that there is, or one process without any."""
    return len(chosen) if (chosen := chosen_gpus(trainer)) is not None else int(trainer.devices)


def chosen_gpus(trainer: Trainer) -> tuple[int, ...] | None:
    """GPUs named by number (`trainer.devices="0,2"`) or meant by `auto`; None where only their count is given."""
    devices = str(trainer.devices)
    if devices in ALL:
        return tuple(range(max(1, len(visible_gpus(trainer)))))
    return tuple(int(name) for name in devices.split(",") if name.strip()) if "," in devices else None


def check_devices(stages: Sequence[Stage], trainer: Trainer) -> None:
    """Raise UserError, before anything runs, for a setting or a stage that these devices cannot compute."""
    if trainer.strategy not in ("auto", "ddp"):
        raise UserError(
            f"trainer.strategy={trainer.strategy} is not supported: expected auto or ddp, where every process holds "
            "the whole model (docs/multi_device.md)"
        )
    if trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes}: a fit runs on the devices of one machine, so trainer.num_nodes=1; "
            "a sweep spreads its fits over machines with hydra/launcher=slurm"
        )
    count = num_processes(trainer)
    for stage in stages:
        if not isinstance(stage, Fit | Pretrain):
            continue
        rows = (stage.optimisation if isinstance(stage, Fit) else stage.settings).rows_per_step
        fitting = [number for number in range(1, rows + 1) if rows % number == 0]
        if count not in fitting:
            below = max(number for number in fitting if number < count)
            raise UserError(
                f"{stage.kind} {stage.label}: {rows} rows a step do not divide by {count} processes (trainer.devices). "
                f"Type trainer.devices={below}; {rows} rows divide by {', '.join(map(str, fitting))}"
            )


def visible_gpus(trainer: Trainer) -> list[str]:
    """The names of the GPUs that may be used, found without torch; none where the accelerator is a CPU."""
    if trainer.accelerator not in ("auto", "gpu", "cuda"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number in range(len(list(_GPUS.iterdir())))] if _GPUS.is_dir() else []
