"""Calibrate an embedded world and its ladder: `python -m benchmarks.calibrate task=fact_pairs`.

Floor, ceiling and untuned of every size on `validation`: no student is ever trained here, and the test set is never
looked at. Seeds 100 to 104 are kept for this (claims are decided on seeds 0 to 4), and with each of them the ladder is
pretrained anew, from seeds 0 to 4: what a world must show, it must show with any of them. `models=small` and
`seeds=100,101` look at less; all other words are overrides of the job.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import open_dict
from rich.console import Console
from rich.table import Table

from w2s_lightning.config.bind import JobSettings, Runtime, build
from w2s_lightning.execute import run
from w2s_lightning.identity import Stage
from w2s_lightning.plan import make_setting
from w2s_lightning.recipes.setting import UNTUNED_SHOWN, Setting
from w2s_lightning.refs import Refs
from w2s_lightning.results.stored import read_solutions, read_targets
from w2s_lightning.show.terminal import StageProgress
from w2s_lightning.stages import Gold, Label
from w2s_lightning.store import Store

CONF = Path(__file__).resolve().parent.parent / "conf"
MODELS = ("nano", "micro", "mini", "small")
SEEDS = range(100, 105)

Scores = Mapping[tuple[int, str], Mapping[str, float]]
"""By seed and model: untuned, floor, ceiling."""


def configured(overrides: Sequence[str], seed: int) -> tuple[JobSettings, Runtime]:
    """The project's configuration with the given overrides at one seed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*overrides, f"seed={seed}"], return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    with open_dict(cfg):
        del cfg["hydra"]
    return build(cfg, choices)


def answered(setting: Setting) -> dict[str, Label]:
    """What is asked of one model, which is both weak and strong here: its answers to `validation`."""
    shown = None
    if setting.writes:
        shown = setting.shown(Gold("supervise"), UNTUNED_SHOWN)
    words = "words" if setting.task.kind == "choice" else None  # a fresh head knows nothing yet
    return {
        "untuned": setting.answers(setting.bare(setting.strong, words), "validation", shown),
        "floor": setting.answers(setting.floor(), "validation"),
        "ceiling": setting.answers(setting.ceiling(), "validation"),
    }


def accuracy(label: Label, seed: int, store: Store) -> float:
    """How often the answers to `validation` are right."""
    examples = {one.id: one for one in label.task.splits(seed).validation}
    if label.mode == "solutions":
        written = read_solutions(store, label)
        verdicts = label.task.key.grade([str(examples[one.id].gold) for one in written], [one.text for one in written])
        return float(np.mean([verdict.flexible for verdict in verdicts]))
    table = read_targets(store, label)
    gold = np.array([examples[id].label for id in table.ids])
    return float(np.mean(table.probs.argmax(axis=1) == gold))


def calibrated(overrides: Sequence[str], models: Sequence[str], seeds: Sequence[int], console: Console) -> Scores:
    """Every model's figures at every seed, computed where the store lacks them."""
    found = {}
    for seed in seeds:
        for model in models:
            pretrained = [f"{side}.pretrain.seed={seed - SEEDS.start}" for side in ("weak", "strong")]
            pair = [f"model@weak={model}", f"model@strong={model}", *pretrained]
            job, runtime = configured([*pair, *overrides], seed)
            store = Store.at(Path(runtime.paths.store))
            labels = answered(make_setting(job, Refs(store.root, planning=False)))
            wanted = {stage.digest: stage for label in labels.values() for stage in (*_below(label), label)}
            missing = [stage for stage in wanted.values() if not store.has(stage)]
            started = time.process_time()
            with StageProgress(console, missing) as lines:
                run(missing, store, runtime.trainer, lines)
            found[seed, model] = {row: accuracy(label, seed, store) for row, label in labels.items()}
            told = ", ".join(f"{row} {value:.3f}" for row, value in found[seed, model].items())
            console.print(f"seed {seed}, {model}: {told}; {time.process_time() - started:.1f} s of processor time")
    return found


def _below(stage: Stage) -> list[Stage]:
    """All that a stage stands on, parents first."""
    return [one for parent in stage.parents() for one in (*_below(parent), parent)]


def shown_table(scores: Scores, models: Sequence[str], seeds: Sequence[int], title: str) -> Table:
    """Seeds by models, and by how much each model beats the next smaller one."""
    table = Table(title=title)
    for column in ("row", *models, *(f"{large} - {small}" for small, large in pairwise(models))):
        table.add_column(column)
    for row in ("untuned", "floor", "ceiling"):
        for seed in seeds:
            own = [scores[seed, model][row] for model in models]
            table.add_row(f"{row} {seed}", *(f"{v:.3f}" for v in own), *(f"{b - a:+.3f}" for a, b in pairwise(own)))
        means = [float(np.mean([scores[seed, model][row] for seed in seeds])) for model in models]
        margins = [f"{b - a:+.3f}" for a, b in pairwise(means)]
        table.add_row(f"{row} mean", *(f"{mean:.3f}" for mean in means), *margins, end_section=True)
    return table


def rules(scores: Scores, models: Sequence[str], seeds: Sequence[int]) -> dict[str, bool]:
    """What a world must show with every seed."""

    def every(row: str, model: str) -> list[float]:
        return [scores[seed, model][row] for seed in seeds]

    largest, found = models[-1], dict[str, bool]()
    found[f"every ceiling of {largest} at least 0.95"] = min(every("ceiling", largest)) >= 0.95
    for small, large in pairwise(models):
        margin = min(b - a for a, b in zip(every("ceiling", small), every("ceiling", large), strict=True))
        found[f"{large} beats {small} by 0.03 (ceilings, least {margin:+.3f})"] = margin >= 0.03
        gap = min(b - a for a, b in zip(every("floor", small), every("ceiling", large), strict=True))
        found[f"a gap of 0.10 from {small} to {large} (least {gap:+.3f})"] = gap >= 0.10
    return found


def main() -> int:
    """Print the table and the rules."""
    asked = dict(word.split("=", 1) for word in sys.argv[1:] if word.startswith(("models=", "seeds=")))
    overrides = [word for word in sys.argv[1:] if not word.startswith(("models=", "seeds="))]
    models = asked.get("models", ",".join(MODELS)).split(",")
    seeds = [int(seed) for seed in asked["seeds"].split(",")] if "seeds" in asked else list(SEEDS)
    console = Console(width=160)
    scores = calibrated(overrides, models, seeds, console)
    console.print(shown_table(scores, models, seeds, " ".join(["calibration", *overrides])))
    decided = rules(scores, models, seeds)
    for rule, passed in decided.items():
        console.print(f"{'pass' if passed else 'FAIL'}: {rule}")
    return int(not all(decided.values()))


if __name__ == "__main__":
    sys.exit(main())
