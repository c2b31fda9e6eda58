"""`python -m w2s_lightning`: which commands there are."""

import sys
from collections.abc import Sequence

from w2s_lightning.errors import UserError, did_you_mean, run_command

COMMANDS = {
    "python train.py": "one job: floor, student and ceiling of a pair, and PGR (--help lists the settings)",
    "python train.py run=plan": "what a job would compute, what is stored, what the rest costs",
    "python train.py -m sweeps=NAME": "many jobs (sweeps/*.yaml)",
    "python -m w2s_lightning.report": "results as one HTML page, or in the terminal (--text)",
    "python -m w2s_lightning.store": "what the store holds; verify it, remove what nothing refers to (ls, verify, gc)",
    "python -m w2s_lightning.results.claims": "verdicts on hypotheses that were written down beforehand",
    "python -m w2s_lightning.rewardbench": "score any reward model",
    "python -m w2s_lightning.tasks.export": "examples for a person or an API to label",
    "python -m w2s_lightning.show": "save a wandb workspace for sweeps",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the commands; a word after it is a mistake."""
    words = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        if words and words[0] not in ("-h", "--help"):
            names = [name.rpartition("w2s_lightning.")[2] for name in COMMANDS if "w2s_lightning." in name]
            raise UserError(
                f"`python -m w2s_lightning` takes no words: {did_you_mean(words[0], names)} "
                "(as in `python -m w2s_lightning.store ls`; a job is `python train.py`)"
            )
        width = max(map(len, COMMANDS))
        for name, what in COMMANDS.items():
            print(f"{name:{width}}  {what}")

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
