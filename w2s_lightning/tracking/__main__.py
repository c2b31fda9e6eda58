"""`python -m w2s_lightning.tracking workspace`: save a wandb workspace laid out for sweeps; needs a login."""

import argparse
import sys
from collections.abc import Sequence

from w2s_lightning.errors import UserError
from w2s_lightning.tracking.workspace import workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the workspace and print its address; the exit code is 1 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m w2s_lightning.tracking", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="workspace")
    command = commands.add_parser("workspace", help="save a workspace: PGR matrix, arms, curves, grouped by cell")
    command.add_argument("--entity", help="default: yours")
    command.add_argument("--project", default="w2s-lightning")
    command.add_argument("--task", action="append", metavar="NAME", help="whose figures to show (default: facts)")
    given = parser.parse_args(arguments)
    try:
        print(_save(given.entity, given.project, given.task or ("facts",)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _save(entity: str | None, project: str, tasks: Sequence[str]) -> str:
    """The saved workspace's address; raise UserError without a login, or when wandb refuses or does not answer."""
    import wandb
    from wandb.sdk.lib import wbauth

    host = wandb.setup().settings.base_url
    try:
        if wbauth.authenticate_session(host=host, source="w2s", prompt=False, update_session=False) is None:
            raise UserError(f"not logged in to {host}: run `wandb login`")
        own = entity or str(wandb.Api().default_entity)
        return str(workspace(own, project, tasks).save().url)
    except (wandb.Error, OSError) as error:
        raise UserError(f"{host} did not save the workspace: {next(iter(str(error).splitlines()), '')}") from None


if __name__ == "__main__":
    sys.exit(main())
