"""Do the tests notice when a line that matters goes wrong? `python -m benchmarks.planted_faults [NAME ...]`.

Plants one fault at a time in a copy of this checkout and runs the test files that must fail then. A fault is text that
stands exactly once in the package, and what takes its place: where it lies is looked up, so files may move.
`--checkout DIR` tries another checkout. Exit code 1 when a fault is missed or no longer fits the code.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
MARKERS = "not slow and not network and not gpu and not slurm and not ray and not browser"


@dataclass(frozen=True)
class Fault:
    """What goes wrong, the text that is replaced, what replaces it, and the names of the test files that must fail."""

    name: str
    right: str
    wrong: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        "PGR is divided by the ceiling, not by the gap",
        "(scores.values[at[2]] - scores.values[at[1]]))",
        "(scores.values[at[2]]))",
        ("test_pgr",),
    ),
    Fault(
        "PGR is defined although the gap's interval reaches 0",
        "if gap.low <= _ROUNDING else None",
        "if gap.value <= _ROUNDING else None",
        ("test_pgr",),
    ),
    Fault(
        "seeds take the quantile of the normal distribution",
        "seed_part = t_quantile(self.num_seeds - 1, confidence)",
        "seed_part = t_quantile(10**9, confidence)",
        ("test_pgr",),
    ),
    Fault(
        "the residual counts twice in a variance over seeds and groups",
        "example_variance=max(row + column - residual, row, column) - seed_part",
        "example_variance=row + column - seed_part",
        ("test_pgr",),
    ),
    Fault(
        "examples are drawn one by one, not by group",
        "_, index = np.unique(np.asarray(group_ids), return_inverse=True)",
        "index = np.arange(len(np.asarray(group_ids)))",
        ("test_pgr", "test_rates"),
    ),
    Fault(
        "Holm's correction is none",
        "np.arange(len(given), 0, -1)",
        "np.ones(len(given))",
        ("test_rates",),
    ),
    Fault(
        "AUROC gives a tie to nobody",
        "np.cumsum(negative, axis=1) - negative / 2",
        "np.cumsum(negative, axis=1) - negative",
        ("test_choice_metrics",),
    ),
    Fault(
        "a tie of two rewards is won",
        "outcome: FloatArray = (better > worse)",
        "outcome: FloatArray = (better >= worse)",
        ("test_rewardbench", "test_sections"),
    ),
    Fault(
        "logconf cuts at the other class's quantile",
        "torch.quantile(first, probs[:, 1].mean()",
        "torch.quantile(first, probs[:, 0].mean()",
        ("test_objectives",),
    ),
    Fault(
        "distillation lacks the square of its temperature",
        "return temperature**2 * (",
        "return (",
        ("test_objectives",),
    ),
    Fault(
        "DPO has no reference",
        "scaled = beta * _gap(own - before)",
        "scaled = beta * _gap(own)",
        ("test_objectives",),
    ),
    Fault(
        "wspo is summed over tokens, not averaged",
        "- 2 * beta * products + wanted) / tokens",
        "- 2 * beta * products + wanted)",
        ("test_objectives", "test_weak_shift"),
    ),
    Fault(
        "a row's weight is ignored",
        "return (losses * batch.weights).sum() / batch.total_weight",
        "return losses.sum() / batch.total_weight",
        ("test_modules",),
    ),
    Fault(
        "each micro-batch is an average of its own",
        "return Batch(answers, targets, step.weights[rows], total_weight, fraction)",
        "return Batch(answers, targets, step.weights[rows], step.weights[rows].sum(), fraction)",
        ("test_modules",),
    ),
    Fault(
        "every micro-batch drops the same units",
        "return ((seed * 1_000_003 + step) * 1_009 + micro)",
        "return ((seed * 1_000_003 + step) * 1_009)",
        ("test_modules",),
    ),
    Fault(
        "a warm-up starts with a step of rate 0",
        "return settings.lr * (step + 1) / (warmup + 1)",
        "return settings.lr * step / (warmup + 1)",
        ("test_modules",),
    ),
    Fault(
        "a fit goes on one step too late",
        'self.position = state["position"]',
        'self.position = state["position"] + 1',
        ("test_steps", "test_checkpoints"),
    ),
    Fault(
        "lengths are sorted over the whole fit, not within shuffled windows",
        "return steps[generator.permutation(len(steps))]",
        "return steps",
        ("test_steps", "test_frozen"),
    ),
    Fault(
        "a network is read at its first token",
        "last = mask.sum(dim=1) - 1  # rows are padded on the right",
        "last = mask.sum(dim=1) * 0",
        ("test_read_outs",),
    ),
    Fault(
        "long texts lose their end",
        'tokenizer.truncation_side = "left"',
        'tokenizer.truncation_side = "right"',
        ("test_load",),
    ),
    Fault(
        "a completion's end is not learned",
        "ending = [int(eos_id)] if end and eos_id is not None else []",
        "ending = list[int]()",
        ("test_rows", "test_log_probs", "test_completions"),
    ),
    Fault(
        "a fit's identity is without its seed",
        '"version": self.version, **canonical_fields(self)}',
        '"version": self.version, **{k: v for k, v in canonical_fields(self).items() if k != "seed"}}',
        ("test_plan", "test_identity"),
    ),
    Fault(
        "a stored file's sha256 is not compared",
        "if found != self.sha256:",
        "if len(found) != len(self.sha256):",
        ("test_store",),
    ),
    Fault(
        "a plan does not compare the size of a stored file",
        "if stat.st_size != self.size:",
        "if stat.st_size < 0:",
        ("test_store",),
    ),
    Fault(
        "an artifact is found whatever its identity says",
        "if manifest.digest != stage.digest:",
        "if False:",
        ("test_store",),
    ),
    Fault(
        "examples of one question fall on both sides of a split",
        "return sorted(examples, key=lambda item: (order[item.group], item.id))",
        "return sorted(examples, key=lambda item: fingerprint(*key, item.id))",
        ("test_splitting", "test_split"),
    ),
    Fault(
        "test questions stay in the training splits",
        "kept = [item for item in train if item.group not in shared]",
        "kept = list(train)",
        ("test_splitting", "test_split"),
    ),
    Fault(
        "a filter keeps the unsure targets",
        "kept = np.flatnonzero(table.confidence >= threshold)",
        "kept = np.flatnonzero(table.confidence <= threshold)",
        ("test_selection",),
    ),
    Fault(
        "supervisors are averaged by position",
        "return table.take(np.array([place[id] for id in first.ids], dtype=np.int64))",
        "return table",
        ("test_selection",),
    ),
    Fault(
        "two outputs without an answer agree",
        "if one.answer is not None and one.answer == partner[one.id].answer",
        "if one.answer == partner[one.id].answer",
        ("test_selection",),
    ),
    Fault(
        "an unsure majority makes pairs",
        "if confidence < keep_from:",
        "if confidence < keep_from / 2:",
        ("test_selection",),
    ),
    Fault(
        "a ratio is its first number",
        "if _GOES_ON.match(after):",
        "if False:",
        ("test_final_answer",),
    ),
    Fault(
        "half of a matrix's row separator goes",
        'lambda found: found[1] or " ", re.sub',
        'lambda found: " ", re.sub',
        ("test_math_answer",),
    ),
    Fault(
        "the clock of a comparison hangs on the wall",
        "signal.ITIMER_PROF, seconds",
        "signal.ITIMER_REAL, seconds",
        ("test_math_answer",),
    ),
    Fault(
        "a cut-off sample is the worse side of a pair",
        "!= is_chosen and sample.is_whole]",
        "!= is_chosen]",
        ("test_selection",),
    ),
    Fault(
        "a cut-off solution is right by its last number",
        'one.text if one.is_whole else ""',
        "one.text",
        ("test_final_answer", "test_votes"),
    ),
    Fault(
        "the samples of a question are one sample",
        "digest([seed, example_id, number])",
        "digest([seed, example_id])",
        ("test_decoding", "test_frozen"),
    ),
    Fault(
        "top-p leaves out the token that reaches the share",
        "last = (reached < top_p).sum(dim=-1, keepdim=True)",
        "last = (reached < top_p).sum(dim=-1, keepdim=True).sub(1).clamp_min(0)",
        ("test_decoding",),
    ),
    Fault(
        "a text goes on behind its first stop string",
        "return text[: min(found)], kept",
        "return text[: max(found)], kept",
        ("test_decoding",),
    ),
    Fault(
        "an answer is the first number of a solution",
        "last = numbers[-1]",
        "last = numbers[0]",
        ("test_final_answer",),
    ),
    Fault(
        "the ceiling learns from supervise",
        'return self.fit_gold(self.strong, "transfer", role="ceiling")',
        'return self.fit_gold(self.strong, "supervise", role="ceiling")',
        ("test_plan",),
    ),
    Fault(
        "a failed stage leaves what needs it waiting",
        'self.states[other.key] = "blocked"',
        'self.states[other.key] = "waiting"',
        ("test_unit_states",),
    ),
)


def places(checkout: Path, text: str) -> list[Path]:
    """The files of the package that hold the text, one for each time."""
    files = sorted((checkout / "w2s_lightning").rglob("*.py"))
    return [path for path in files for _ in range(path.read_text().count(text))]


def tests_of(checkout: Path, fault: Fault) -> list[str]:
    """Those of the fault's test files that are there."""
    found = [path for name in fault.tests for path in sorted((checkout / "tests").rglob(f"{name}.py"))]
    return [str(path.relative_to(checkout)) for path in found]


def failures(checkout: Path, tests: list[str], seconds: float) -> str:
    """What the test files' first failure is called, empty where all pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", MARKERS, *tests]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the clock after {seconds:g} s"
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return "" if done.returncode == 0 else (failed or [f"NO FAILED TEST: {done.stdout[-300:]}{done.stderr[-300:]}"])[0]


def tried(checkout: Path, fault: Fault, seconds: float) -> str:
    """`caught by TEST`, or what is wrong with the tests or with the fault."""
    found, tests = places(checkout, fault.right), tests_of(checkout, fault)
    if len(found) != 1 or not tests:
        return f"DOES NOT FIT: the text stands {len(found)} times, {len(tests)} of its test files are there"
    original = found[0].read_text()
    try:
        found[0].write_text(original.replace(fault.right, fault.wrong))
        failed = failures(checkout, tests, seconds)
    finally:
        found[0].write_text(original)
    return "MISSED" if not failed else failed if failed.startswith("NO FAILED") else f"caught by {failed}"


def copied(checkout: Path, place: Path) -> Path:
    """What git knows of the checkout, as it lies there, and what it does not ignore."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=checkout, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and ((checkout / name).is_file() or (checkout / name).is_symlink()):  # conf/sweeps is a link
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, place / name, follow_symlinks=False)
    return place


def chosen(names: list[str]) -> list[Fault]:
    """The faults whose names hold one of these words; all without any."""
    return [fault for fault in FAULTS if not names or any(name in fault.name for name in names)]


def main(argv: list[str] | None = None) -> int:
    """Print a line a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_faults", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="words of a fault's name (default: all faults)")
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("--seconds", type=float, default=300, help="the longest that a fault's tests may take")
    asked = parser.parse_args(argv)
    caught = 0
    with tempfile.TemporaryDirectory() as folder:
        checkout = copied(asked.checkout.resolve(), Path(folder) / "checkout")
        faults = chosen(asked.names)
        sound = sorted({test for fault in faults for test in tests_of(checkout, fault)})
        if failed := failures(checkout, sound, 10 * asked.seconds):
            print(f"error: without any fault these tests fail already: {failed}", file=sys.stderr)
            return 1
        for fault in faults:
            outcome = tried(checkout, fault, asked.seconds)
            print(f"{fault.name}: {outcome}", flush=True)
            caught += outcome.startswith("caught")
    print(f"{caught} of {len(faults)} faults are caught")
    return int(caught < len(faults))


if __name__ == "__main__":
    sys.exit(main())
