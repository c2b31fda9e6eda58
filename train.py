"""Train and score one weak-to-strong job, or plan it: `python train.py --help`, `python train.py run=plan`.

This file knows Hydra and what a mistake looks like in the terminal; `w2s_lightning/job.py` knows what a job is.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from w2s_lightning.errors import UserError
from w2s_lightning.mistakes import hydra_refusal

CONF = Path(__file__).resolve().parent / "conf"
FAILURES: list[str] = []


def compute(*arguments: Any) -> Sequence[Any]:
    """Compute missing stages; torch is imported here, once something is missing."""
    from w2s_lightning.execute import run

    return run(*arguments)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def train(cfg: DictConfig) -> None:
    """One job, from the composed configuration to its result."""
    from rich.console import Console

    from w2s_lightning import config, job

    hydra_config = HydraConfig.get()
    try:
        settings, runtime = config.build(cfg, hydra_config.runtime.choices)
        text = OmegaConf.to_yaml(cfg, resolve=True)
        job.run(job.Request(settings, runtime, text, tuple(hydra_config.overrides.task)), compute, Console())
    except UserError as error:
        FAILURES.append(str(error))


def main() -> int:
    """Run; a user's mistake is one or two lines and exit code 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of a printed stack trace
    try:
        train()
    except HydraException as error:
        FAILURES.append(hydra_refusal(error, CONF))
    except KeyboardInterrupt:
        FAILURES.append("stopped; finished stages and checkpoints are kept: the same command goes on from here")
    for failure in FAILURES:
        print(f"error: {failure}", file=sys.stderr)
    return int(bool(FAILURES))


if __name__ == "__main__":
    sys.exit(main())
