"""One weak-to-strong job (`python train.py --help`, `run=plan`), or many (`python train.py -m sweeps=size_pairs`)."""

import sys
from pathlib import Path
from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal
from typing import Any

# Not in a sweep's own processes, which import this file, nor behind a shell's `&`, where Ctrl-C is ignored.
if __name__ == "__main__" and "w2s_lightning" not in sys.modules and getsignal(SIGINT) is default_int_handler:
    signal(SIGINT, SIG_DFL)  # Ctrl-C during the imports ends it at once; `main` takes it back

try:
    import hydra
except ModuleNotFoundError:
    sys.exit(f"error: hydra is not installed for {sys.executable}: run .venv/bin/python train.py, or `make demo` first")
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from w2s_lightning.config.loader import Loader
from w2s_lightning.config.mistakes import refusal, refuse_words
from w2s_lightning.errors import run_command

CONF = Path(__file__).resolve().parent / "conf"
FAILED: list[Any] = []


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def train(cfg: DictConfig) -> Any:
    """One job, from the composed configuration, bound here, to a plain record of what became of it in `job.run`."""
    from w2s_lightning import job
    from w2s_lightning.config import bind
    from w2s_lightning.sweep.axes import refuse_a_grid

    own = HydraConfig.get()

    def work() -> None:
        refuse_a_grid(own)
        bound = bind.build(cfg, own.runtime.choices, own.overrides.task)
        job.run(job.Request(*bound, OmegaConf.to_yaml(cfg, resolve=True), tuple(own.overrides.task)))

    if (record := job.attempt(work))["status"] == "failed" and own.mode == RunMode.RUN:
        FAILED.append(record)
    return record


def main() -> int:
    """Run; a user's mistake is one or two lines and exit code 1."""
    Loader.install()
    kept = "finished stages and checkpoints are kept: the same command goes on from here"

    def work() -> None:
        refuse_words(sys.argv[1:], CONF)
        train()

    return run_command(work, kept, mistakes=(Exception,), told=lambda error: refusal(error, CONF)) or int(bool(FAILED))


if __name__ == "__main__":
    sys.exit(main())
