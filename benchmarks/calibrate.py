"""Calibrate an embedded world on floor, ceiling and untuned alone: `python -m benchmarks.calibrate task=facts`.

No student is ever trained here. Seeds 100 to 104 are kept for this; the claims are decided on seeds 0 to 4. What the
run must show is written in `docs/design.md` under "Calibrate, lock, then look" and printed again as pass or fail.
"""

import sys
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import open_dict
from rich.console import Console
from rich.table import Table

from w2s_lightning.config.bind import JobSettings, Runtime, build
from w2s_lightning.execute import run
from w2s_lightning.identity import Stage
from w2s_lightning.plan import make_setting, stages_of
from w2s_lightning.recipes.recipe import ResultRow
from w2s_lightning.refs import Refs
from w2s_lightning.results.scored import score_answers
from w2s_lightning.results.stored import read_answers
from w2s_lightning.show.terminal import StageProgress
from w2s_lightning.store import Store

CONF = Path(__file__).resolve().parent.parent / "conf"
SEEDS = range(100, 105)


def choice_rules(untuned: float, floor: float, ceiling: float) -> dict[str, bool]:
    """What a choice world must show on average."""
    return {
        "untuned at least 0.05 below the floor": untuned <= floor - 0.05,
        "floor within 0.60 to 0.85": 0.60 <= floor <= 0.85,
        "ceiling at least 0.92": ceiling >= 0.92,
        "gap at least 0.10": ceiling - floor >= 0.10,
    }


def reasoning_rules(untuned: float, floor: float, ceiling: float) -> dict[str, bool]:
    """What a reasoning world must show on average; chance is near 0 there, and demonstrations bring out a part."""
    return {
        "untuned (few-shot) at least 0.05 below the ceiling": untuned <= ceiling - 0.05,
        "floor within 0.20 to 0.60": 0.20 <= floor <= 0.60,
        "ceiling at least 0.80": ceiling >= 0.80,
        "gap at least 0.20": ceiling - floor >= 0.20,
    }


def preference_rules(untuned: float, floor: float, ceiling: float) -> dict[str, bool]:
    """What a preference world must show on average; an untuned implicit reward knows likely answers from unlikely."""
    return {
        "untuned below the ceiling": untuned < ceiling,
        "floor within 0.60 to 0.85": 0.60 <= floor <= 0.85,
        "ceiling at least 0.90": ceiling >= 0.90,
        "gap at least 0.10": ceiling - floor >= 0.10,
    }


RULES = {"choice": choice_rules, "reasoning": reasoning_rules, "preference": preference_rules}


def configured(overrides: list[str], seed: int) -> tuple[JobSettings, Runtime]:
    """The project's configuration with the given overrides at one seed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*overrides, f"seed={seed}"], return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    with open_dict(cfg):
        del cfg["hydra"]
    return build(cfg, choices)


def baselines(overrides: list[str], seed: int) -> tuple[tuple[ResultRow, ...], Store, Runtime]:
    """untuned, floor and ceiling of one seed, computed where the store lacks them."""
    job, runtime = configured(overrides, seed)
    store = Store.at(Path(runtime.paths.store))
    rows = make_setting(job, Refs(Path(runtime.paths.store), planning=False)).common_rows()
    missing: list[Stage] = [stage for stage in stages_of(rows) if not store.has(stage)]
    with StageProgress(Console(stderr=True), missing) as lines:
        run(missing, store, runtime.trainer, lines)
    return rows, store, runtime


def main() -> int:
    """Print the means over the calibration seeds and the rules."""
    overrides = sys.argv[1:]
    values: dict[str, list[float]] = {}
    for seed in SEEDS:
        rows, store, _ = baselines(overrides, seed)
        kind = rows[0].evaluate.task.kind
        scores = score_answers({row.name: (read_answers(store, row.evaluate),) for row in rows})
        for row in rows:
            values.setdefault(row.name, []).append(scores.interval(row.name).value)
    table = Table(title=" ".join(["calibration", *overrides]))
    for column in ("row", "mean", "per seed"):
        table.add_column(column)
    for name, found in values.items():
        table.add_row(name, f"{np.mean(found):.3f}", " ".join(f"{v:.3f}" for v in found))
    Console().print(table)
    untuned, floor, ceiling = (float(np.mean(values[name])) for name in ("untuned", "floor", "ceiling"))
    rules = RULES[kind](untuned, floor, ceiling)
    for rule, passed in rules.items():
        print(f"{'pass' if passed else 'FAIL'}: {rule}")
    return int(not all(rules.values()))


if __name__ == "__main__":
    sys.exit(main())
