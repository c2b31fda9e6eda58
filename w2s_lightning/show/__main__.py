"""`python -m w2s_lightning.show workspace`: save a wandb workspace laid out for sweeps; needs a login."""

import argparse
import sys
from collections.abc import Sequence

from w2s_lightning.errors import run_command
from w2s_lightning.show.workspace import save


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the workspace and print its address; the exit code is 1 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m w2s_lightning.show", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="workspace")
    command = commands.add_parser("workspace", help="save a workspace: PGR matrix, arms, curves, grouped by cell")
    command.add_argument("--entity", help="default: yours")
    command.add_argument("--project", default="w2s-lightning")
    command.add_argument("--task", action="append", metavar="NAME", help="whose figures to show (default: facts)")
    given = parser.parse_args(arguments)
    return run_command(lambda: print(save(given.entity, given.project, given.task or ("facts",))))


if __name__ == "__main__":
    sys.exit(main())
