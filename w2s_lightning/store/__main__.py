"""`python -m w2s_lightning.store ls|verify|gc`: what is there, what is damaged, what nothing refers to.

A result refers to every stage it was made from, ancestors included (`result.json`, `stages[].digest`). Whatever
is younger than the keeping time stays, since the result of a running job is not written yet.
"""

import argparse
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

from rich.console import Console

from w2s_lightning.atomic import read_json
from w2s_lightning.errors import CommandParser, UserError, run_command
from w2s_lightning.identity import SHORT
from w2s_lightning.show.numbers import size
from w2s_lightning.show.terminal import print_lines, print_table
from w2s_lightning.store.artifacts import Store, inode_of
from w2s_lightning.store.disk import LEASES, QUARANTINE, WORK, is_ours, make_folder, writable
from w2s_lightning.store.lease import LEASE_SECONDS
from w2s_lightning.store.manifest import MANIFEST, Damaged, Manifest

DAY = 86400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 for a user's mistake or damage that is still there."""
    options = _parser().parse_args(arguments)

    def run() -> int:
        console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
        store = Store(options.store)
        if not is_ours(store.root):
            raise UserError(f"there is no store at {store.root}: name its folder with --store DIR")
        return int(options.command(store, options, console))

    return run_command(run, "the store is whole: the same command starts again")


def _parser() -> CommandParser:
    shared = CommandParser(add_help=False)
    default = os.environ.get("W2S_STORE") or "store"
    shared.add_argument("--store", default=default, metavar="DIR", help="default: $W2S_STORE, else 'store'")
    parser = CommandParser(prog="python -m w2s_lightning.store", description=__doc__)
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
        print_lines(console, [f"the store {store.root} is empty"])
    return 0


def artifact_folders(store: Store) -> Iterator[Path]:
    """Everything that lies where artifacts lie, damaged or not."""
    for kind in sorted(store.root.glob("*/")):
        if not kind.name.startswith("."):
            yield from sorted(path for path in kind.iterdir() if not path.name.startswith("."))


def verify_artifacts(store: Store, options: argparse.Namespace, console: Console) -> int:
    """`verify`: re-read every byte; `--repair` moves damaged artifacts into quarantine."""
    count = damaged = 0
    for folder in artifact_folders(store):
        count += 1
        before = inode_of(folder)
        if (damage := damage_of(folder)) is None:
            continue
        damaged += 1
        print_lines(console, [f"damaged: {folder.relative_to(store.root)}: {damage}"])
        if options.repair:
            store.quarantine(folder, before, damage)
    moved = ", moved to .quarantine" if options.repair and damaged else ""
    print_lines(console, [f"{count} artifacts, {damaged} damaged{moved}"])
    return 1 if damaged and not options.repair else 0


def damage_of(folder: Path) -> str | None:
    """What is wrong with an artifact after re-reading every byte; None when nothing is."""
    try:
        manifest = Manifest.read(folder)
        manifest.glance(folder)
        for name, entry in manifest.files.items():
            entry.verify(folder / name)
    except Damaged as damage:
        return str(damage)
    named = folder.name.rpartition("-")[2] == manifest.digest[:SHORT]
    return None if named else f"folder name and {MANIFEST} name different stages"


def collect_garbage(store: Store, options: argparse.Namespace, console: Console) -> int:
    """`gc`: list, or with `--delete` remove, what no result refers to."""
    keep = referenced(Path(options.outputs).expanduser())
    total = 0
    items = list(garbage(store, keep, options.keep_days * DAY))
    for path, reason in items:
        there = sum(stat.st_size for stat in _stats_in(path) if not S_ISDIR(stat.st_mode))
        total += there
        print_lines(console, [f"{size(there):>9}  {path.relative_to(store.root)}  ({reason})"])
        if options.delete:
            delete(store, path)
    done = "removed" if options.delete else "would be removed (add --delete)"
    print_lines(console, [f"{len(items)} items, {size(total)} {done}; {len(keep)} stages are referred to"])
    return 0


def referenced(outputs: Path) -> set[str]:
    """Digests of all stages that a `result.json` below `outputs` names; raises UserError without any."""
    found: set[str] = set()
    results = sorted(outputs.rglob("[r]esult.json"))  # a pattern finds links to nothing too
    if not results:
        raise UserError(f"no result.json below {outputs}: name the folder of your results with --outputs DIR")
    for path in results:
        try:
            digests = [stage["digest"] for stage in read_json(path)["stages"]]
            if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests):
                raise ValueError("a digest is none")
            found.update(digests)
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not readable as a result: mend or delete it, then repeat") from None
    return found


def garbage(store: Store, keep: set[str], keep_seconds: float) -> Iterator[tuple[Path, str]]:
    """Unreferenced artifacts, abandoned work, quarantine and stale leases, all older than `keep_seconds`; and why.

    Links stay, and what they lead to: somebody put them there.
    """
    now = time.time()
    for folder in artifact_folders(store):
        if folder.is_symlink() or folder.parent.is_symlink():
            continue
        digest_of = None
        with suppress(Damaged):
            digest_of = Manifest.read(folder).digest
        if digest_of not in keep and folder.lstat().st_mtime < now - keep_seconds:
            yield folder, "no result refers to it"
    for place, reason in ((WORK, "abandoned work"), (QUARANTINE, "quarantine"), (LEASES, "stale lease")):
        for path in (store.root / place).glob("*"):
            lease = store.root / LEASES / path.name
            live = any(now - stat.st_mtime < 10 * LEASE_SECONDS for stat in _stats_in(lease))
            newest = max((stat.st_mtime for stat in _stats_in(path)), default=now)
            if newest < now - keep_seconds and not live and not path.is_symlink():
                yield path, reason


def _stats_in(path: Path) -> Iterator[os.stat_result]:
    """Of a file or folder and all that lies in it; links are not followed, what vanishes meanwhile is left out."""
    for inside in (path, *path.rglob("*")):
        with suppress(FileNotFoundError):
            yield inside.lstat()


def delete(store: Store, path: Path) -> None:
    """Remove by rename first, so that nobody sees half an artifact."""
    with writable(store.root):
        target = make_folder(store.root, WORK) / f"trash-{secrets.token_hex(8)}"
        path.rename(target)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()


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
