"""The tasks of `conf/task/*.yaml`, read by `tasks.export`, which merges overrides as Hydra does in a tenth of its time.

`test_task_files.py` holds that what comes out is the same.
"""

from pathlib import Path
from typing import Any

from w2s_lightning.tasks.export import task_from_yaml

CONF = Path(__file__).resolve().parents[2] / "conf" / "task"


def task(name: str, *overrides: str) -> Any:
    """The task of `conf/task/<name>.yaml`; overrides without the `task.` prefix."""
    return task_from_yaml(CONF / f"{name}.yaml", overrides)
