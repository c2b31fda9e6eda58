"""Train and score one weak-to-strong job, or plan it: `python train.py --help`, `python train.py run=plan`.

With -m many jobs: `python train.py -m sweeps=size_pairs`. This file knows Hydra and what a mistake looks like in the
terminal; `w2s_lightning/job.py` knows what a job is.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from w2s_lightning.errors import UserError
from w2s_lightning.mistakes import refusal

CONF = Path(__file__).resolve().parent / "conf"
FAILED: list[Any] = []


def compute(*arguments: Any) -> Sequence[Any]:
    """Compute missing stages; torch is imported here, once something is missing."""
    from w2s_lightning.execute import run

    return run(*arguments)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def train(cfg: DictConfig) -> Any:
    """One job, from the composed configuration to a plain record of what became of it."""
    from w2s_lightning.sweep import attempt, one

    record = attempt.attempt(lambda: one.run(cfg, HydraConfig.get(), compute))
    attempt.show(record)
    if record["status"] == "failed" and HydraConfig.get().mode == RunMode.RUN:
        FAILED.append(record)
    return record


def main() -> int:
    """Run; a user's mistake is one or two lines and exit code 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of a printed stack trace
    try:
        train()
        return int(bool(FAILED))
    except (HydraException, UserError, ValueError) as error:
        text = refusal(error, CONF)
    except KeyboardInterrupt:
        text = "stopped; finished stages and checkpoints are kept: the same command goes on from here"
    print(f"error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
