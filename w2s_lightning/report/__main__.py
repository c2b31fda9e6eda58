"""`python -m w2s_lightning.report`: the dashboard as one HTML file, or in the terminal with --text."""

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from w2s_lightning.errors import CommandParser, UserError, run_command
from w2s_lightning.report.sources import Library, Wanted
from w2s_lightning.report.views import Pages
from w2s_lightning.report.writing import CLAIMS, claim_texts, shown_pages, write_page
from w2s_lightning.show.matrix import print_matrices
from w2s_lightning.show.numbers import interval, saw, shown, size
from w2s_lightning.show.terminal import print_lines, print_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or print the dashboard; the exit code is 1 for a user's mistake."""
    given = _parser().parse_args(arguments)

    def run() -> None:
        wanted, out = _wanted(given)
        claims = claim_texts(given.claims)
        if given.text:
            _print_pages(Console(highlight=False), shown_pages(Library(), wanted, claims)[0])
            return
        written = write_page(Library(), wanted, out, claims)
        told = [f"report: {written.page} ({size(written.size)})"]
        if written.rows is not None:
            told.append(f"rows:   {written.rows} ({written.num_rows:,} answers)")
        print_lines(Console(), told)
        if given.open:
            webbrowser.open(written.page.absolute().as_uri())

    return run_command(run)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m w2s_lightning.report", description=__doc__)
    what = "a sweep's folder; may be given several times (default: everything below --outputs)"
    parser.add_argument("folder", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--sweep", type=Path, action="append", default=[], metavar="DIR", help=what)
    parser.add_argument("--store", type=Path, metavar="DIR", help="the store (default: the one that the jobs name)")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), metavar="DIR", help="jobs and sweeps")
    parser.add_argument("--claims", type=Path, default=CLAIMS, metavar="FILE", help="the claims in words")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in that folder")
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    parser.add_argument("--text", action="store_true", help="print overview and paradigms instead")
    return parser


def _wanted(given: argparse.Namespace) -> tuple[Wanted, Path]:
    store = given.store or (Path(os.environ["W2S_STORE"]) if os.environ.get("W2S_STORE") else None)
    if given.folder:
        flag = "--sweep" if Path(given.folder[0], "sweep.json").is_file() else "--outputs"
        raise UserError(f"a folder goes with a flag: type `python -m w2s_lightning.report {flag} {given.folder[0]}`")
    sweeps = tuple({folder.resolve(): folder for folder in given.sweep}.values())
    for folder in sweeps:
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: sweeps lie in outputs/sweeps/<name>-<digest>")
    place = sweeps[0] if len(sweeps) == 1 else given.outputs
    return Wanted(sweeps, None if sweeps else given.outputs, store), given.out or place / "report.html"


# ---------------------------------------------------------------- in the terminal, for people on a login node


def _print_pages(console: Console, found: Sequence[Pages]) -> None:
    """Print every section."""
    for pages in found:
        section, over = pages.section, pages.overview
        console.print(f"[bold]{shown(section.title)}[/bold]", soft_wrap=True)
        faults = (f"{fault.kind}: {fault.where}: {fault.detail}" for fault in pages.faults)
        print_lines(console, [section.question, over.progress, *faults, *over.remarks])
        print_matrices(console, [group.row for group in section.groups])
        if over.claims:
            columns = ("verdict", "as_claimed", "text", "figure", "p", "seeds")
            said = [[one[name] or one["claim"] for name in columns] for one in over.claims]
            print_table(console, ("verdict", "as claimed", "claim", "value [95 %]", "p", "per seed"), said, "claims")
        for pair, blocks in pages.blocks.items():
            rows = [(row["row"], row["model"], interval(row), saw(row)) for block in blocks for row in block.rows]
            print_table(console, ("row", "model", f"{section.metric} [95 %]", "trained on"), rows, pair, folded=2)
            print_lines(console, [f"  {sentence}" for block in blocks for _, sentence in block.tests])


if __name__ == "__main__":
    sys.exit(main())
