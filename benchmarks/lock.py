"""The lock on the embedded worlds: `python -m benchmarks.lock` writes `docs/worlds.lock`, a test holds us to it.

It names the digests of every floor and ceiling of the ladder at seed 0, so a change of a world, of the ladder or of how
baselines are fitted shows. Lock after calibration, commit the claims, and only then train a student.
"""

import json
from pathlib import Path

from benchmarks.calibrate import configured
from w2s_lightning.plan import make_setting
from w2s_lightning.refs import Refs

FILE = Path(__file__).resolve().parent.parent / "docs" / "worlds.lock"
TASKS = ("fact_pairs", "fact_claims", "arithmetic", "arithmetic_pairs", "word_problems")
WEAK = ("nano", "micro", "mini")
STRONG = ("micro", "mini", "small")


def baseline_digests() -> dict[str, dict[str, str]]:
    """Digest of every floor's and ceiling's answers on `test`, by world and model."""
    nowhere = Refs(Path("nowhere"), planning=True)
    found: dict[str, dict[str, str]] = {}
    for task in TASKS:
        world = found.setdefault(task, {})
        for weak in WEAK:
            for strong in STRONG:
                job, _ = configured([f"task={task}", f"model@weak={weak}", f"model@strong={strong}"], seed=0)
                rows = {row.name: row.evaluate.digest for row in make_setting(job, nowhere).common_rows()}
                world[f"floor {weak}"] = rows["floor"]
                world[f"ceiling {strong}"] = rows["ceiling"]
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(baseline_digests(), indent=2, sort_keys=True) + "\n")
    print(f"locked {FILE}")
