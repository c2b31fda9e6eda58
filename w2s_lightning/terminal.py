"""What a person sees in the terminal: the plan, the stages as they run, the table at the end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.benchmarked import sections_shown
from w2s_lightning.cost import Cost, total
from w2s_lightning.errors import printable
from w2s_lightning.metrics.rewardbench import SECTIONS
from w2s_lightning.plan import Plan
from w2s_lightning.stage import Stage

SHORT = 10


def shown(text: str) -> str:
    """Text of others for rich to print: neither markup nor control characters, which a terminal would obey."""
    return escape(printable(text, keep="\n"))


def title(name: Mapping[str, Any]) -> str:
    """A job in words: `facts · weak_to_strong · micro -> small · seed 0`."""
    return f"{name['task']} · {name['paradigm']} · {name['weak']} -> {name['strong']} · seed {name['seed']}"


def with_interval(part: Mapping[str, Any] | None) -> str:
    """`0.812 [.790, .834]`, or a dash."""
    if part is None or part["value"] is None:
        return "-"
    return f"{part['value']:.3f} [{_short(part['low'])}, {_short(part['high'])}]"


def _short(number: float) -> str:
    """`.790`: an end of an interval without its leading zero."""
    return f"{number:.3f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.3f}"


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]], heading: str | None = None) -> Table:
    """A plain table of texts, which are folded where the terminal is narrow."""
    table = Table(title=heading and shown(heading), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(shown(column), overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    return table


def print_result(console: Console, result: Mapping[str, Any]) -> None:
    """The table of all rows, and what it says about the student of record."""
    _print_fitting(console, partial(_rows, result))
    if result["by_difficulty"]:
        console.print(_by_difficulty(result))
    if result.get("benchmark"):
        console.print(_benchmark(result))
    if result.get("best_of"):
        _print_fitting(console, partial(_best_of, result))
    if result.get("votes"):
        _print_fitting(console, partial(_votes, result))
    for line in reading(result):
        console.print(shown(line), soft_wrap=True, highlight=False)


def _print_fitting(console: Console, make: Callable[..., Table]) -> None:
    """A table as `make` makes it for this width; stacked where it has no room."""
    table = make(stacked=False)
    wanted = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.print(table if wanted <= console.width else make(stacked=True))


def _rows(result: Mapping[str, Any], *, stacked: bool) -> Table:
    """The rows; stacked, for a narrow terminal, models stand below their rows and intervals below their figures."""
    table = Table(
        title=shown(title(result["job"])), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for column in _parted(("row", "model"), (f"{result['metric']} [95 %]", "PGR [95 %]"), stacked):
        table.add_column(column, no_wrap=column not in ("row\nmodel", "model"), overflow="fold")
    for column in ("gold", "pseudo"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in result["rows"]:
        style = "bold" if row["name"] == result["student_of_record"] else None
        cells = _parted((row["name"], row["model"]), (with_interval(row), _pgr(row["pgr"])), stacked)
        table.add_row(*(shown(cell) for cell in (*cells, *_labels_seen(row))), style=style)
    return table


def _parted(names: Sequence[str], figures: Sequence[str], stacked: bool) -> list[str]:
    return ["\n".join(names), *map(_broken, figures)] if stacked else [*names, *figures]


def _broken(figure: str) -> str:
    """A figure above its interval."""
    return figure.replace(" [", "\n[")


def _by_difficulty(result: Mapping[str, Any]) -> Table:
    """Accuracy by steps, level or flaw, without intervals, and the student's PGR with them."""
    table = Table(title="accuracy by difficulty", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("row", no_wrap=True)
    for part in result["by_difficulty"]:
        table.add_column(f"{part['difficulty']:g}\n(n={part['n']})", justify="right", overflow="fold")
    for row in result["rows"]:
        cells = [f"{part['accuracy'][row['name']]:.2f}" for part in result["by_difficulty"]]
        table.add_row(shown(row["name"]), *cells)
    pgrs = (shown(_broken(_pgr(part["pgr"]))) for part in result["by_difficulty"])
    table.add_row(f"PGR of {shown(result['student_of_record'])}", *pgrs)
    return table


def _benchmark(result: Mapping[str, Any]) -> Table:
    """Sections (and subsets that RewardBench does not know) x rows, and the student's PGR."""
    found, student = result["benchmark"], result["student_of_record"]
    rows = [row["name"] for row in result["rows"] if "benchmark" in row]
    title = f"{found['place'].rpartition('/')[2]} (task.benchmark): accuracy, a tie is a loss"
    table = Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("section", *rows, "PGR [95 %]", "rows"):
        table.add_column(shown(column), justify="left" if column == "section" else "right", overflow="fold")
    for part in sections_shown(found):
        values = (f"{part['accuracy'][row]['value']:.3f}" for row in rows)
        table.add_row(*(shown(cell) for cell in (part["name"], *values, _pgr(part["pgr"][student]), str(part["n"]))))
    return table


def _best_of(result: Mapping[str, Any], *, stacked: bool) -> Table:
    """Rows, their vote and an oracle x n: accuracy of the best-scored of n samples; PGR at the largest n."""
    set_out = _broken if stacked else str
    found, student = result["best_of"], result["student_of_record"]
    curve, last = found["curve"], found["curve"][-1]
    title = f"best of n by reward, {found['place'].rpartition('/')[2]} (task.best_of): accuracy"
    table = Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("row", no_wrap=True)
    for column in (*(f"n={part['n']}" for part in curve), set_out(f"PGR at {last['n']} [95 %]")):
        table.add_column(shown(column), justify="right", no_wrap=True)
    lines = {name: [part["accuracy"][name] for part in curve] for name in last["accuracy"]}
    lines |= {"maj@n": [part["majority"] for part in curve], "pass@n": [part["pass"] for part in curve]}
    for name, values in lines.items():
        cells = (name, *(f"{value['value']:.3f}" for value in values), set_out(_pgr(last["pgr"].get(name))))
        table.add_row(*(shown(cell) for cell in cells), style="bold" if name == student else None)
    return table


def _votes(result: Mapping[str, Any], *, stacked: bool) -> Table:
    """Rows x one sample, the vote of n of them and the best of n; PGR of both."""
    set_out = _broken if stacked else str
    found = result["votes"]
    first, last = found["curve"][0], found["curve"][-1]
    title = f"samples to each test problem (task.test_samples={found['num_samples']}): accuracy"
    table = Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("row", "one", f"maj@{last['n']}", "PGR", f"pass@{last['n']}", "PGR"):
        table.add_column(column, no_wrap=True)
    for name, one in first["pass"]["accuracy"].items():
        parts = [f"{one['value']:.3f}"]
        for kind in (last["majority"], last["pass"]):
            parts += [f"{kind['accuracy'][name]['value']:.3f}", set_out(_pgr(kind["pgr"].get(name)))]
        table.add_row(*map(shown, (name, *parts)), style="bold" if name == result["student_of_record"] else None)
    return table


def _of_best_of(result: Mapping[str, Any]) -> list[str]:
    """The student as a verifier at the largest n, against the vote; questions that were trained on."""
    found, student = result.get("best_of"), result["student_of_record"]
    if not found:
        return []
    last = found["curve"][-1]
    n, pgr = last["n"], last["pgr"][student]
    own, gain = (with_interval(last[key][student]) for key in ("accuracy", "over_majority"))
    vote = with_interval(last["majority"])
    lines = [f"best of {n} on {found['num_questions']} questions: {student} {own}, maj@{n} {vote}, difference {gain}"]
    if not pgr["defined"]:
        lines.append(f"best of {n}: PGR is undefined: {pgr['reason']}")
    if found["shared_prompts"]:
        lines.append(f"note: {found['shared_prompts']} of {found['num_questions']} sampled questions were trained on")
    return lines


def _of_benchmark(result: Mapping[str, Any]) -> list[str]:
    """Why a section has no PGR, what is missing, and prompts that were trained on."""
    found = result.get("benchmark")
    if not found:
        return []
    pgrs = {part["name"]: part["pgr"][result["student_of_record"]] for part in sections_shown(found)}
    lines = [f"{name}: PGR is undefined: {pgr['reason']}" for name, pgr in pgrs.items() if not pgr["defined"]]
    if len(found["missing"]["sections"]) < len(SECTIONS):
        lost = [*found["missing"]["sections"]]
        lost += [f"{section} without {', '.join(names)}" for section, names in found["missing"]["subsets"].items()]
        lines += [f"not in the benchmark: {'; '.join(lost)}"] if lost else []
    if found["shared_prompts"]:
        lines.append(f"note: {found['shared_prompts']} of {found['num_rows']} benchmark rows have prompts trained on")
    return lines


def reading(result: Mapping[str, Any]) -> list[str]:
    """The result in sentences: PGR, gain over untuned, agreement with the supervisor, notices."""
    pgr = result["pgr"]
    lines = [
        f"PGR {with_interval(pgr)}" + (f" ({pgr['reason']})" if pgr["reason"] else "")
        if pgr["defined"]
        else f"PGR is undefined: {pgr['reason']}",
        f"student - untuned: {with_interval(result['gain_over_untuned'])}",
    ]
    agreement = result["agreement"]
    if agreement["with_supervisor"] is not None:
        right, wrong = agreement["when_supervisor_right"], agreement["when_supervisor_wrong"]
        lines.append(
            f"the student agrees with its supervisor on {with_interval(agreement['with_supervisor'])}: "
            f"{with_interval(right)} where it is right, {with_interval(wrong)} where it is wrong"
        )
    lines += [_selected(one) for one in result["selections"] if one["rule"] == "samples" or one["row"]]
    lines += _outputs(result)
    lines += _of_benchmark(result) + _of_best_of(result)
    lines.append(_what_it_saw(result))
    n = result["student"]["n"]
    lines.append(f"intervals: paired bootstrap over {n} test examples by group, for these trained models")
    lines += [f"CHEAT: {cheat} used hidden gold labels" for cheat in result["cheats"]]
    return [*lines, *(f"note: {notice}" for notice in result["notices"])]


def _selected(selection: Mapping[str, Any]) -> str:
    """What a selection kept and how much of that is right, as hidden gold tells afterwards."""
    if selection["rule"] == "samples":
        n = selection["num_samples"]
        figures = (f"{name} {selection[name]:.3f}" for name in (f"maj@{n}", f"pass@{n}"))
        whose = f"{selection['row']}: " if selection["row"] else ""
        asked = f"{n} samples to each question of {selection['split']}"
        return f"{whose}{asked}: by hidden gold: accuracy {selection['mean_accuracy']:.3f}, {', '.join(figures)}"
    name = selection["rule"]
    kept = f"kept {selection['kept']} of {selection['num_questions']} questions ({selection['kept_share']:.0%})"
    parts = [
        f"{key} {selection[key]:.3f}" for key in ("precision", "recall", "inverted") if selection.get(key) is not None
    ]
    return f"{selection['row']}: {name} {kept}; by hidden gold: {', '.join(parts)}"


def _outputs(result: Mapping[str, Any]) -> list[str]:
    """Reasoning: the student on marked answers alone, and the rows' outputs that came to no answer, by reason."""
    student = next(row for row in result["rows"] if row["name"] == result["student_of_record"])
    if "strict" not in student:
        return []
    strict = student["strict"]
    lines = [f"marked answers alone (strict): student {with_interval(strict)}, PGR {_pgr(strict['pgr'])}"]
    for share, what in _ENDINGS.items():
        there = [f"{row['name']} {row[share]:.1%}" for row in result["rows"] if row.get(share)]
        lines += [f"{what}: {', '.join(there)}"] if there else []
    return lines


_ENDINGS = {
    "truncated_share": "outputs cut off (generation.max_new_tokens)",
    "unparsed_share": "outputs without an answer",
    "timed_out_share": "answers that took too long to compare",
    "too_long_share": "prompts longer than the context (fit.max_length), never answered",
}


def _what_it_saw(result: Mapping[str, Any]) -> str:
    student = next(row for row in result["rows"] if row["name"] == result["student_of_record"])
    seen = student["information"]
    return (
        f"the student saw {seen['gold_seen_by_student']} gold labels and {seen['pseudo_labels']} pseudo-labels "
        f"({seen['gold_upstream']} gold labels upstream), {seen['train_tokens']} tokens"
    )


def _pgr(pgr: Mapping[str, Any] | None) -> str:
    return "" if pgr is None else with_interval(pgr) if pgr["defined"] else "undefined"


def _labels_seen(row: Mapping[str, Any]) -> tuple[str, str]:
    seen = row["information"]
    return str(seen["gold_seen_by_student"] or "-"), str(seen["pseudo_labels"] or "-")


# ---------------------------------------------------------------- the plan on paper


def print_plan(console: Console, plan: Plan, stored: Mapping[str, bool], costs: Mapping[str, Cost]) -> None:
    """Stages in order with what is in the store and what the rest would cost; runs nothing."""
    heading = shown(title(plan.name))
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("kind", no_wrap=True)
    table.add_column("stage", overflow="fold")
    table.add_column("digest", no_wrap=True)
    for column in ("FLOPs", "seconds", "disk", "store"):
        table.add_column(column, justify="right", no_wrap=True)
    for stage in plan.stages:
        there, price = stored[stage.digest], costs[stage.digest]
        figures = ("", "", "") if there else (f"{price.flops:.1e}", f"{price.seconds:.1f}", in_bytes(price.bytes))
        cells = (stage.kind, stage.label, stage.digest[:SHORT], *figures, "there" if there else "missing")
        table.add_row(*(shown(cell) for cell in cells))
    console.print(table)
    missing = [costs[stage.digest] for stage in plan.stages if not stored[stage.digest]]
    price = total(missing)
    console.print(
        f"{len(plan.stages)} stages, {len(plan.stages) - len(missing)} in the store, {len(missing)} to compute: about "
        f"{price.flops:.1e} FLOPs, {price.seconds:.0f} s on this machine, {in_bytes(price.bytes)} of disk",
        highlight=False,
    )
    for notice in plan.notices:
        console.print(f"note: {shown(notice)}")


def in_bytes(count: float) -> str:
    """`1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


class StageLines:
    """Progress of a job's stages: one line a finished stage, a live line for the running one."""

    def __init__(self, console: Console, stages: Sequence[Stage]) -> None:
        self._console = console
        self._total = len(stages)
        self._done = 0
        self._status = console.status("")

    def __enter__(self) -> "StageLines":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def start(self, stage: Stage) -> None:
        """A stage begins."""
        self._done += 1
        self._status.update(self._words(stage))

    def step(self, stage: Stage, done: int, of: int) -> None:
        """A stage has taken `done` of its steps."""
        self._status.update(f"{self._words(stage)} · {done}/{of}")

    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None:
        """A stage is in the store."""
        how = "from the store" if cached else f"{seconds:.1f} s"
        self._console.print(f"{self._words(stage)} · {how}", highlight=False, soft_wrap=True)

    def _words(self, stage: Stage) -> str:
        return shown(f"[{self._done}/{self._total}] {stage.kind:8} {stage.label}")
