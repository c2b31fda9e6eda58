"""A result in sentences."""

from collections.abc import Mapping
from typing import Any

from w2s_lightning.metrics.rewardbench import SECTIONS
from w2s_lightning.results.benchmarked import sections_shown
from w2s_lightning.terminal.words import pgr_words, with_interval

_ENDINGS = {
    "truncated_share": "outputs cut off (generation.max_new_tokens)",
    "unparsed_share": "outputs without an answer",
    "timed_out_share": "answers that took too long to compare",
    "too_long_share": "prompts longer than the context (fit.max_length), never answered",
}


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
    lines += _of_benchmark(result)
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
    lines = [f"marked answers alone (strict): student {with_interval(strict)}, PGR {pgr_words(strict['pgr'])}"]
    for share, what in _ENDINGS.items():
        there = [f"{row['name']} {row[share]:.1%}" for row in result["rows"] if row.get(share)]
        lines += [f"{what}: {', '.join(there)}"] if there else []
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


def _what_it_saw(result: Mapping[str, Any]) -> str:
    student = next(row for row in result["rows"] if row["name"] == result["student_of_record"])
    seen = student["information"]
    return (
        f"the student saw {seen['gold_seen_by_student']} gold labels and {seen['pseudo_labels']} pseudo-labels "
        f"({seen['gold_upstream']} gold labels upstream), {seen['train_tokens']} tokens"
    )
