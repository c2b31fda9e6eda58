"""`python -m w2s_lightning.store ls|verify|gc`: what is there, what is damaged, what nothing refers to."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from w2s_lightning.errors import UserError, run_command
from w2s_lightning.identity import SHORT
from w2s_lightning.show.numbers import shown, size
from w2s_lightning.show.terminal import print_table
from w2s_lightning.store.artifacts import Store, inode_of
from w2s_lightning.store.disk import is_ours
from w2s_lightning.store.garbage import artifact_folders, damage_of, delete, garbage, referenced, size_of
from w2s_lightning.store.manifest import Damaged, Manifest

DAY = 86400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 for a user's mistake or damage that is still there."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)

    def run() -> int:
        store = Store(options.store)
        if not is_ours(store.root):
            raise UserError(f"there is no store at {store.root}: name its folder with --store DIR")
        return int(options.command(store, options, console))

    return run_command(run, "the store is whole: the same command starts again")


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    default = os.environ.get("W2S_STORE") or "store"
    shared.add_argument("--store", default=default, metavar="DIR", help="default: $W2S_STORE, else 'store'")
    parser = argparse.ArgumentParser(prog="python -m w2s_lightning.store", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="ls|verify|gc")
    ls = commands.add_parser("ls", parents=[shared], help="list finished stages")
    ls.set_defaults(command=list_artifacts)
    verify = commands.add_parser("verify", parents=[shared], help="hash every file; exit code 1 on damage")
    verify.add_argument("--repair", action="store_true", help="move what is damaged to .quarantine")
    verify.set_defaults(command=verify_artifacts)
    gc = commands.add_parser("gc", parents=[shared], help="list what no result refers to")
    gc.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of results")
    gc.add_argument("--keep-days", type=_days, default=1.0, metavar="N", help="keep what is younger")
    gc.add_argument("--delete", action="store_true", help="remove it, not just list it")
    gc.set_defaults(command=collect_garbage)
    return parser


def list_artifacts(store: Store, options: argparse.Namespace, console: Console) -> int:
    """`ls`: a table of artifacts."""
    rows = []
    for folder in artifact_folders(store):
        bytes_there, seconds = "-", "damaged"
        with suppress(Damaged):
            manifest = Manifest.read(folder)
            bytes_there, seconds = size(manifest.size), f"{manifest.seconds:.1f}"
        label, _, short = folder.name.rpartition("-")
        age = _age(time.time() - folder.lstat().st_mtime)
        rows.append((folder.parent.name, label, short[:SHORT], bytes_there, age, seconds))
    if rows:
        print_table(console, ("kind", "label", "digest", "size", "age", "seconds"), rows)
    else:
        _say(console, f"the store {store.root} is empty")
    return 0


def verify_artifacts(store: Store, options: argparse.Namespace, console: Console) -> int:
    """`verify`: re-read every byte; `--repair` moves damaged artifacts into quarantine."""
    count = damaged = 0
    for folder in artifact_folders(store):
        count += 1
        before = inode_of(folder)
        if (damage := damage_of(folder)) is None:
            continue
        damaged += 1
        _say(console, f"damaged: {folder.relative_to(store.root)}: {damage}")
        if options.repair:
            store.quarantine(folder, before, damage)
    moved = ", moved to .quarantine" if options.repair and damaged else ""
    _say(console, f"{count} artifacts, {damaged} damaged{moved}")
    return 1 if damaged and not options.repair else 0


def collect_garbage(store: Store, options: argparse.Namespace, console: Console) -> int:
    """`gc`: list, or with `--delete` remove, what no result refers to."""
    keep = referenced(Path(options.outputs).expanduser())
    total = 0
    items = list(garbage(store, keep, options.keep_days * DAY))
    for item in items:
        there = size_of(item.path)
        total += there
        _say(console, f"{size(there):>9}  {item.path.relative_to(store.root)}  ({item.reason})")
        if options.delete:
            delete(store, item.path)
    done = "removed" if options.delete else "would be removed (add --delete)"
    _say(console, f"{len(items)} items, {size(total)} {done}; {len(keep)} stages are referred to")
    return 0


def _say(console: Console, text: str) -> None:
    console.print(shown(text), soft_wrap=True)


def _days(text: str) -> float:
    days = float(text)
    if not days >= 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return days


def _age(seconds: float) -> str:
    for unit, length in (("d", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
