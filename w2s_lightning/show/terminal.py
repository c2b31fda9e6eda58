"""What a job prints: progress while it runs, and the result as tables and sentences.

Every table goes through `print_table`, which fits it to the terminal; nothing of a data set is obeyed by it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from w2s_lightning.identity import Stage
from w2s_lightning.metrics.sections import SECTIONS, WEIGHED
from w2s_lightning.show.numbers import (
    DASH,
    ONE_SEED,
    below_zero,
    interval,
    job_title,
    number,
    shown,
)

_KEY = re.compile(r" (?=[\w.@]+=)")
_ENDINGS = {
    "truncated_share": "outputs cut off (generation.max_new_tokens)",
    "unparsed_share": "outputs without an answer",
    "timed_out_share": "answers that took too long to compare",
    "too_long_share": "prompts longer than the context (fit.max_length), never answered",
}

Result = Mapping[str, Any]


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    heading: str | None = None,
    *,
    bold: str | None = None,
    folded: int = 1,
) -> None:
    """A table of texts; `bold` names the row that stands out.

    Where the terminal has no room, the first `folded` columns stand below one another, intervals below their figures
    and `key=value` words in lines of their own; what is too long even so is wrapped and never cut.
    """
    lines = [[str(cell) for cell in row] for row in rows]
    table = _table(columns, lines, heading, bold)
    if console.measure(table, options=console.options.update(max_width=1000)).maximum > console.width:
        heads, *cells = (["\n".join(line[:folded]), *line[folded:]] for line in ([*columns], *lines))
        stacked = [[_KEY.sub("\n", cell.replace(" [", "\n[")) for cell in line] for line in cells]
        table = _table([heads[0], *(head.replace(" [", "\n[") for head in heads[1:])], stacked, heading, bold)
        table.columns[0].no_wrap = folded == 1  # what a row is called stays whole
    console.print(table)


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]], heading: str | None, bold: str | None) -> Table:
    title = None if heading is None else shown(heading)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, column in enumerate(columns):
        figures = place > 0 and all(re.fullmatch(r"[-\d]\S*", line[place]) for line in lines)
        table.add_column(shown(column), justify="right" if figures else "left", overflow="fold")
    for line in lines:
        style = "bold" if bold is not None and line[0].split("\n")[0] == bold else None
        table.add_row(*map(shown, line), style=style)
    return table


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Sentences as they are, however wide the terminal is."""
    for line in lines:
        console.print(shown(line), highlight=False, soft_wrap=True)


def print_result(console: Console, result: Result) -> None:
    """The table of all rows, what stands beside it, and what it says about the student of record."""
    student, rows = result["student_of_record"], result["rows"]
    columns = ("row", "model", f"{result['metric']} [95 %]", "PGR [95 %]", "gold", "pseudo")
    cells = []
    for row in rows:
        pgr = interval(row["pgr"]) if row["pgr"] else ""
        seen = (row["information"][name] or DASH for name in ("gold_seen_by_student", "pseudo_labels"))
        cells.append((row["name"], row["model"], interval(row), pgr, *seen))
    print_table(console, columns, cells, job_title(result["job"]), bold=student, folded=2)
    if parts := result["by_difficulty"]:
        names = [row["name"] for row in rows]
        lines = []
        for part in parts:
            values = (number(part["accuracy"][name], 2) for name in names)
            lines.append((f"{part['difficulty']:.4g}", part["n"], *values, interval(part["pgr"], 2)))
        print_table(console, ["difficulty", "n", *names, "PGR [95 %]"], lines, "accuracy by difficulty")
    if found := result.get("benchmark"):
        judged = [row["name"] for row in rows if "benchmark" in row]
        sections = []
        for part in sections_shown(found):
            values = (number(part["accuracy"][row]["value"]) for row in judged)
            sections.append((part["name"], *values, interval(part["pgr"][student]), part["n"]))
        title = f"{found['place'].rpartition('/')[2]} (task.benchmark): accuracy, a tie is a loss"
        print_table(console, ["section", *judged, "PGR [95 %]", "rows"], sections, title)
    if votes := result.get("votes"):
        _print_votes(console, votes, student)
    print_lines(console, _sentences(result))


def sections_shown(benchmark: Result) -> list[Result]:
    """Parts of a benchmark that a table has room for: sections, subsets that are in none, overall last."""
    order = ("section", "subset", "overall")
    parts = [part for part in benchmark["parts"] if part["kind"] != "subset" or part["name"] not in WEIGHED]
    return sorted(parts, key=lambda part: order.index(part["kind"]))


def _print_votes(console: Console, votes: Result, student: str) -> None:
    """Rows x one sample, the vote of n of them and the best of n; PGR of both."""
    first, last = votes["curve"][0], votes["curve"][-1]
    rows = []
    for name, one in first["pass"]["accuracy"].items():
        cells = [number(one["value"])]
        for kind in (last["majority"], last["pass"]):
            pgr = interval(kind["pgr"][name]) if name in kind["pgr"] else ""
            cells += [number(kind["accuracy"][name]["value"]), pgr]
        rows.append((name, *cells))
    title = f"samples to each test problem (task.test_samples={votes['num_samples']}): accuracy"
    columns = ("row", "one", f"maj@{last['n']}", "PGR", f"pass@{last['n']}", "PGR")
    print_table(console, columns, rows, title, bold=student)


# ---------------------------------------------------------------- in sentences


def _sentences(result: Result) -> Iterator[str]:
    """PGR, gain over untuned, agreement with the supervisor, what was selected and seen, notices."""
    pgr, agreement, rows = result["pgr"], result["agreement"], result["rows"]
    reason = f" ({pgr['reason']})" if pgr["reason"] else ""
    yield f"PGR {interval(pgr)}{reason}" if pgr["defined"] else f"PGR is undefined: {pgr['reason']}"
    best = result.get("gain_over_best_untuned") or {"row": "untuned", **result["gain_over_untuned"]}
    of_all = "" if best["row"] == "untuned" else " (the best untuned read-out)"
    ends = ": it ends below the untuned model" if below_zero(best) else ""
    yield f"student - {best['row']}{of_all}: {interval(best)}{ends}"
    if of_all:
        over = " (over an untrained head)" if best["row"] == "untuned_words" else ""
        yield f"student - untuned{over}: {interval(result['gain_over_untuned'])}"
    untuned, ceiling = result.get("untuned"), result.get("ceiling")
    if untuned and ceiling and ceiling["low"] <= untuned["high"]:
        yield (
            f"the strong model learned little from gold labels (ceiling {interval(ceiling)}, untuned "
            f"{interval(untuned)}), so PGR is about an untrained ceiling: try more fit.epochs, another strong.lr"
        )
    if agreement["with_supervisor"] is not None and agreement["with_supervisor"]["low"] == 1:
        yield "the student gives its supervisor's answer to every test example"
    elif agreement["with_supervisor"] is not None:
        right, wrong = interval(agreement["when_supervisor_right"]), interval(agreement["when_supervisor_wrong"])
        yield (
            f"the student agrees with its supervisor on {interval(agreement['with_supervisor'])}: "
            f"{right} where it is right, {wrong} where it is wrong"
        )
    yield from (_selected(one) for one in result["selections"] if one["rule"] == "samples" or one["row"])
    student = next(row for row in rows if row["name"] == result["student_of_record"])
    if "strict" in student:
        strict = student["strict"]
        yield f"marked answers alone (strict): student {interval(strict)}, PGR {interval(strict['pgr'])}"
        told = [row for row in rows if "worked_share" in row]
        worked = (f"{row['name']} {row['worked_share']:.0%} ({number(row['right_given_worked'], 2)})" for row in told)
        yield f"worked out (and of that right): {', '.join(worked)}"
        for share, what in _ENDINGS.items():
            if there := [f"{row['name']} {row[share]:.1%}" for row in rows if row.get(share)]:
                yield f"{what}: {', '.join(there)}"
    if found := result.get("benchmark"):
        yield from _of_benchmark(found, result["student_of_record"])
    seen = student["information"]
    yield (
        f"the student saw {seen['gold_seen_by_student']} gold labels and {seen['pseudo_labels']} pseudo-labels "
        f"({seen['gold_upstream']} gold labels upstream), {seen['train_tokens']} tokens"
    )
    n = result["student"]["n"]
    yield f"intervals: paired bootstrap over {n} test examples by group, for these trained models; {ONE_SEED}"
    yield from (f"CHEAT: {cheat} used hidden gold labels" for cheat in result["cheats"])
    yield from (f"note: {notice}" for notice in result["notices"])


def _selected(selection: Result) -> str:
    """What a selection kept and how much of that is right, as hidden gold tells afterwards."""
    whose = f"{selection['row']}: " if selection["row"] else ""
    if selection["rule"] == "samples":
        n = selection["num_samples"]
        figures = ", ".join(f"{name} {number(selection[name])}" for name in (f"maj@{n}", f"pass@{n}"))
        asked = f"{n} samples to each question of {selection['split']}"
        return f"{whose}{asked}: by hidden gold: accuracy {number(selection['mean_accuracy'])}, {figures}"
    kept = f"kept {selection['kept']} of {selection['num_questions']} questions ({selection['kept_share']:.0%})"
    known = [name for name in ("precision", "recall", "inverted") if selection.get(name) is not None]
    parts = ", ".join(f"{name} {number(selection[name])}" for name in known)
    return f"{whose}{selection['rule']} {kept}; by hidden gold: {parts}"


def _of_benchmark(found: Result, student: str) -> Iterator[str]:
    """Why a section has no PGR, what is missing, and prompts that were trained on."""
    for part in sections_shown(found):
        if not (pgr := part["pgr"][student])["defined"]:
            yield f"{part['name']}: PGR is undefined: {pgr['reason']}"
    missing = found["missing"]
    if len(missing["sections"]) < len(SECTIONS):
        lost = [*missing["sections"], *(f"{name} without {', '.join(own)}" for name, own in missing["subsets"].items())]
        if lost:
            yield f"not in the benchmark: {'; '.join(lost)}"
    if found["shared_prompts"]:
        yield f"note: {found['shared_prompts']} of {found['num_rows']} benchmark rows have prompts trained on"


# ---------------------------------------------------------------- progress


class StageProgress:
    """Progress of a job's stages; a context, in which the live line is shown."""

    def __init__(self, console: Console, stages: Sequence[Stage]) -> None:
        self._console = console
        self._total = len(stages)
        self._done = 0
        self._status = console.status("")

    def __enter__(self) -> "StageProgress":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def start(self, stage: Stage) -> None:
        """A stage begins: a log, which has no live line, is told so."""
        self._done += 1
        self._status.update(self._named(stage))
        if not self._console.is_terminal:
            print_lines(self._console, [f"{self._named(stage)} · begins"])

    def step(self, stage: Stage, done: int, of: int) -> None:
        """A stage has taken `done` of its steps."""
        self._status.update(f"{self._named(stage)} · {done}/{of}")

    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None:
        """A stage is in the store."""
        how = "from the store" if cached else f"{seconds:.1f} s"
        self._console.print(f"{self._named(stage)} · {how}", highlight=False, soft_wrap=True)

    def _named(self, stage: Stage) -> str:
        return shown(f"[{self._done}/{self._total}] {stage.kind:8} {stage.label}")


class LaunchProgress:
    """Progress of a sweep: one line a finished launch, a live line with the names of the running ones."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        self._running: list[str] = []
        self.status = console.status("")

    def start(self, name: str) -> None:
        """A launch has begun."""
        self._running.append(name)
        self._show_running()

    def finish(self, name: str, how: str) -> None:
        """It has ended, and how."""
        self._running.remove(name)
        self._done += 1
        self._console.print(shown(f"[{self._done}/{self._total}] {name} · {how}"), highlight=False, soft_wrap=True)
        self._show_running()

    def _show_running(self) -> None:
        more = f" and {len(self._running) - 3} more" if len(self._running) > 3 else ""
        self.status.update(shown(f"running: {', '.join(self._running[:3])}{more}"))
