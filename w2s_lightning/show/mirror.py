"""Weights & Biases: one run a job and one a sweep, made when they are done from what the store and results hold.

wandb mirrors, it is never the record: so a run that fails to start, to sync or to finish costs a warning and nothing
else. Nothing here prompts, and whatever wandb would collect by itself (code, git, machine, arguments) is off. wandb is
imported only by jobs that use it.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

from w2s_lightning.atomic import read_json
from w2s_lightning.config.schema import Tracking

_SECRET = {"key", "apikey", "token", "secret", "password", "passwd", "credentials", "env", "environment"}
_TABLE = ("name", "role", "model", "value", "low", "high", "n", "pgr", "pgr_low", "pgr_high", "information")
_LENGTHS = {"job_type": 64, "group": 128, "name": 128}  # as long as wandb allows
_OPTIONS = {
    "finish_timeout": 60.0,
    "finish_timeout_raises": True,
    "reinit": "create_new",  # never another job's run
    "host": "",
    "silent": True,
    "console": "off",
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "label_disable": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}

History = Sequence[Mapping[str, Any]]

logger = logging.getLogger(__name__)


def mirror(
    naming: Mapping[str, Any],
    config: Mapping[str, Any],
    write: Callable[[ModuleType, Any], None],
    *,
    settings: Tracking,
    folder: Path,
    exit_code: int = 0,
) -> dict[str, str | None]:
    """Make one wandb run below `folder/wandb`, let `write` fill it, finish it; returns `{"id", "mode", "dir"}`.

    `naming` has the run's job_type, group, name and tags. The mode is what became of it: online, offline, disabled or
    `failed`. Raises nothing, and waits for a silent server `settings.init_timeout`, for a failing one two minutes at
    the most.
    """
    if settings.mode == "disabled" or (settings.mode == "auto" and os.environ.get("WANDB_MODE") == "disabled"):
        return {"id": None, "mode": "disabled", "dir": None}
    short = {name: _short(naming[name], _LENGTHS[name]) for name in _LENGTHS}
    shared = {"project": settings.project, "entity": settings.entity, **short, "config": _public(config)}
    try:
        # Its error reports would go to a server; an unreachable one delays the end of the process by 20 s.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        tags = [tag[:64] for tag in (*settings.tags, *naming["tags"])]
        run, mode = _start(wandb, {**shared, "tags": tags}, settings, folder)
        try:
            write(wandb, run)
        finally:
            try:
                run.finish(exit_code=exit_code)
            except TimeoutError:
                logger.warning("wandb: not all data was sent in time; later: wandb sync %s", Path(run.dir).parent)
        return {"id": run.id, "mode": mode, "dir": str(Path(run.dir).parent)}
    except Exception as error:
        logger.warning("wandb: this run is not tracked: %s: %s", type(error).__name__, first_line(error))
        return {"id": None, "mode": "failed", "dir": None}


def _short(name: str, length: int) -> str:
    """A name as long as wandb allows; long ones that differ at their end stay apart."""
    if len(name) <= length:
        return name
    return f"{name[: length - 9]} {hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _mode(wandb: ModuleType, settings: Tracking) -> str:
    """Online or offline, decided without network and without asking."""
    from wandb.sdk.lib import wbauth

    known = wandb.setup().settings
    if settings.mode == "offline" or (settings.mode == "auto" and known.mode != "online"):
        return "offline"
    host = known.base_url
    try:
        login = wbauth.authenticate_session(host=host, source="w2s", prompt=False, update_session=False)
    except wandb.Error as error:
        login = None
        logger.warning("wandb: %s", first_line(error))
    if login is None and settings.mode == "online":
        logger.warning("wandb: tracking.mode=online but not logged in to %s (`wandb login`): going OFFLINE", host)
    return "offline" if login is None else "online"


def _start(wandb: ModuleType, shared: Mapping[str, Any], settings: Tracking, folder: Path) -> tuple[Any, str]:
    """The run and the mode it got: offline when the server does not answer in time."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"root_dir": str(folder.absolute()), "init_timeout": settings.init_timeout, **_OPTIONS}
    if _mode(wandb, settings) == "online":
        attempt = secrets.token_hex(4)
        try:
            return wandb.init(id=attempt, settings=wandb.Settings(mode="online", **options), **shared), "online"
        except wandb.Error as error:
            logger.warning("wandb: NOT ONLINE, this run stays in %s/wandb: %s", folder, first_line(error))
            for left in (folder / "wandb").glob(f"run-*-{attempt}"):
                shutil.rmtree(left, ignore_errors=True)
    offline = wandb.Settings(mode="offline", **options)
    return wandb.init(id=secrets.token_hex(4), settings=offline, **shared), "offline"


def _public(value: Any) -> Any:
    """The configuration as JSON types, without entries whose name speaks of a secret or the environment."""
    if isinstance(value, Mapping):
        words = {key: re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(key)).lower() for key in value}
        harmless = [key for key in value if _SECRET.isdisjoint(re.split(r"[^a-z0-9]+", words[key]))]
        return {str(key): _public(value[key]) for key in harmless}
    if isinstance(value, list | tuple):
        return [_public(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def first_line(error: BaseException) -> str:
    """An error in one line, which need not be a long one."""
    return " ".join(str(error).split())[:200]


# ---------------------------------------------------------------- a job's run


def log_job(
    *,
    result: Mapping[str, Any],
    cell: str,
    histories: Mapping[str, History],
    config: Mapping[str, Any],
    settings: Tracking,
    folder: Path,
    exit_code: int = 0,
) -> dict[str, str | None]:
    """Mirror a finished job; `histories` maps a stage's name to its training curve, rows with a `step`.

    `cell` says everything but the seed: wandb's pages group runs by it (`config.cell`).
    """
    naming = {
        "job_type": cell,
        "group": settings.group or cell,
        "name": f"{cell} s{result['job']['seed']}",
        "tags": ("cheat",) if result["cheats"] else (),
    }

    def write(wandb: ModuleType, run: Any) -> None:
        _replay(run, histories)
        rows = []
        for row in result["rows"]:
            pgr, seen = row.get("pgr") or {}, json.dumps(row.get("information"), sort_keys=True)
            ends = {"pgr": pgr.get("value"), "pgr_low": pgr.get("low"), "pgr_high": pgr.get("high")}
            rows.append([{**row, **ends, "information": seen}.get(column) for column in _TABLE])
        run.log({"rows": wandb.Table(columns=list(_TABLE), data=rows)})
        run.summary.update(dict(_summary(result)))

    about = {**config, "job": result["job"], "cell": cell}
    return mirror(naming, about, write, settings=settings, folder=folder, exit_code=exit_code)


def logged_before(folder: Path, result: Mapping[str, Any], mode: str) -> dict[str, Any] | None:
    """The wandb run of an earlier, equal result in the same mode: a repeated command makes no second run."""
    try:
        before = read_json(folder / "result.json")
        run: dict[str, Any] = before["wandb"]
        same = all(before[key] == result[key] for key in ("digest", "rows", "pgr"))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return run if same and run["mode"] != "disabled" and mode in ("auto", run["mode"]) else None


def _replay(run: Any, histories: Mapping[str, History]) -> None:
    """Log training curves under their stages' names, each against its stage's own step and not wandb's.

    The curves go side by side into the same wandb rows: a fifth of the calls, and fewer rows for its pages to sample.
    """
    for name in histories:
        run.define_metric(f"{name}/step", hidden=True)
        run.define_metric(f"{name}/*", step_metric=f"{name}/step")
    for index, rows in enumerate(zip_longest(*histories.values())):
        line: dict[str, float] = {}
        for name, row in zip(histories, rows, strict=True):
            if row is not None:
                numbers = {key: value for key, value in row.items() if isinstance(value, bool | int | float)}
                line |= {f"{name}/{key}": value for key, value in {"step": index, **numbers}.items()}
        run.log(line)


def _summary(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a table of runs is sorted by: `floor`, `floor_low`, `pgr`, `agreement_with_supervisor`, ..."""
    parts = {name: result[name] for name in ("untuned", "floor", "student", "ceiling", "pgr", "gain_over_untuned")}
    for name, part in (parts | {f"agreement_{name}": part for name, part in result["agreement"].items()}).items():
        if isinstance(part, Mapping):
            yield from ((name, part["value"]), (f"{name}_low", part["low"]), (f"{name}_high", part["high"]))
        else:
            yield name, part
    yield "pgr_defined", result["pgr"]["defined"]
    yield "pgr_reason", result["pgr"]["reason"]
    yield "metric", result["metric"]
    yield "cheats", ", ".join(map(str, result["cheats"]))
    yield "seconds_computed_now", sum(stage["seconds"] or 0 for stage in result["stages"] if not stage["cached"])


# ---------------------------------------------------------------- a sweep's run


def log_sweep(
    content: Mapping[str, Any],
    draw: Callable[[], tuple[Mapping[str, Any], Mapping[str, Any]]],
    group: str,
    *,
    settings: Tracking,
    folder: Path,
) -> dict[str, str | None]:
    """Mirror a sweep as a whole (`sweep.json`'s content) in one group with its jobs' runs; `draw` gives the report's
    figures (Plotly's JSON by name, logged under `figures/...`) and tables (columns and rows, under `tables/...`)."""

    def write(wandb: ModuleType, run: Any) -> None:
        import plotly.io

        figures, tables = draw()
        logged = {media_key(name): wandb.Plotly(plotly.io.from_json(json.dumps(one))) for name, one in figures.items()}
        for name, (columns, rows) in tables.items():
            logged[media_key(name, "tables")] = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        run.log(logged)
        run.summary.update({f"jobs_{state}": count for state, count in content["counts"].items()})

    naming = {"job_type": "sweep", "group": group, "name": f"summary-{group}", "tags": ()}
    about = {"sweep": content["sweep"], "digest": content["digest"], "command": content["command"]}
    return mirror(naming, about, write, settings=settings, folder=folder)


def media_key(name: str, kind: str = "figures") -> str:
    """A figure's or table's name as wandb allows it in keys and file names."""
    return f"{kind}/{re.sub(r'[^A-Za-z0-9/_-]+', '_', name).strip('_')}"
