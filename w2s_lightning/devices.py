"""How many processes share a fit, and which fits cannot be shared. Loads no torch.

Every process has one device and the whole model; together they take each step's rows, so a step must divide by their
number. What is learned does not depend on it.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from w2s_lightning.config.schema import Trainer
from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage
from w2s_lightning.stages import Fit, Pretrain

_GPUS = Path("/proc/driver/nvidia/gpus")
ALL = ("auto", "-1")


def num_processes(trainer: Trainer) -> int:
    """Processes of a fit: `trainer.devices`, where `auto` means every GPU that there is, or one process without any."""
    return len(chosen) if (chosen := chosen_gpus(trainer)) is not None else int(trainer.devices)


def chosen_gpus(trainer: Trainer) -> tuple[int, ...] | None:
    """GPUs named by number (`trainer.devices="0,2"`) or meant by `auto`; None where only their count is given.

    Raises UserError for something else than a count, numbers, or `auto`.
    """
    devices = str(trainer.devices)
    if devices in ALL:
        return tuple(range(max(1, len(visible_gpus(trainer)))))
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if not names or not all(name.isdigit() for name in names) or devices == "0" or len(names) > len(set(names)):
        raise UserError(f"trainer.devices={devices}: expected how many (2), which GPUs ('0,2'), or auto")
    return tuple(int(name) for name in names) if "," in devices else None


def check(stages: Sequence[Stage], trainer: Trainer) -> None:
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
