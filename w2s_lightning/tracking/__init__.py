"""Weights & Biases: one run per job, made after the job is done from what the store and `result.json` hold.

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
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

from w2s_lightning.results.claims import key_of
from w2s_lightning.schema import Tracking

FINISH_SECONDS = 60.0
_SECRET = {"key", "apikey", "token", "secret", "password", "passwd", "credentials", "env", "environment"}
_TABLE = ("name", "role", "model", "value", "low", "high", "n", "pgr", "pgr_low", "pgr_high", "information")
_NAME_LENGTH, _TAG_LENGTH = 128, 64

History = Sequence[Mapping[str, Any]]

logger = logging.getLogger(__name__)


def log_job(
    *,
    result: Mapping[str, Any],
    histories: Mapping[str, History],
    config: Mapping[str, Any],
    settings: Tracking,
    folder: Path,
    exit_code: int = 0,
) -> dict[str, str | None]:
    """Mirror a finished job as one wandb run below `folder/wandb`; returns `{"id", "mode", "dir"}`.

    `histories` maps a stage's name to its training curve, rows with a `step`. The mode is what became of it: online,
    offline, disabled or `failed`. Raises nothing, and waits for a silent server `settings.init_timeout`, for a
    failing one two minutes at the most.
    """
    naming = _naming(result, settings)
    about = {**config, "job": result["job"], "cell": cell_of(result)}
    write = partial(_write, result=result, histories=histories)
    return mirror(naming, about, write, settings=settings, folder=folder, exit_code=exit_code)


def cell_of(result: Mapping[str, Any]) -> str:
    """Everything but the seed: what wandb's pages group runs by (`config.cell`)."""
    job = result["job"]
    named = ("task", "paradigm", "model@weak", "model@strong")
    others = sorted(key_of(result.get("overrides") or ()))
    varied = [text for text in others if text.lstrip("+").split("=")[0] not in named]
    return " ".join([job["task"], job["paradigm"], f"{job['weak']}-{job['strong']}", *varied])


def mirror(
    naming: Mapping[str, Any],
    config: Mapping[str, Any],
    write: Callable[[ModuleType, Any], None],
    *,
    settings: Tracking,
    folder: Path,
    exit_code: int = 0,
) -> dict[str, str | None]:
    """Make one wandb run, let `write` fill it, finish it; what `log_job` says of modes and errors holds here."""
    if settings.mode == "disabled" or (settings.mode == "auto" and os.environ.get("WANDB_MODE") == "disabled"):
        return {"id": None, "mode": "disabled", "dir": None}
    try:
        wandb = _import_wandb()
        run, mode = _start(wandb, _mode(wandb, settings), {**naming, "config": _public(config)}, settings, folder)
        try:
            write(wandb, run)
        finally:
            _finish(run, exit_code)
        return {"id": run.id, "mode": mode, "dir": str(Path(run.dir).parent)}
    except Exception as error:
        logger.warning("wandb: this run is not tracked: %s: %s", type(error).__name__, _first_line(error))
        return {"id": None, "mode": "failed", "dir": None}


def _import_wandb() -> ModuleType:
    # Its error reports would go to a server; an unreachable one delays the end of the process by 20 s.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return wandb


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
        logger.warning("wandb: %s", _first_line(error))
    if login is None and settings.mode == "online":
        logger.warning("wandb: tracking.mode=online but not logged in to %s (`wandb login`): going OFFLINE", host)
    return "offline" if login is None else "online"


def _start(
    wandb: ModuleType,
    mode: str,
    shared: Mapping[str, Any],
    settings: Tracking,
    folder: Path,
) -> tuple[Any, str]:
    """The run and the mode it got: offline when the server does not answer in time."""
    folder.mkdir(parents=True, exist_ok=True)
    if mode == "online":
        attempt = secrets.token_hex(4)
        try:
            options = _options(wandb, mode, settings, folder)
            return wandb.init(id=attempt, settings=options, **shared), mode
        except wandb.Error as error:
            logger.warning("wandb: NOT ONLINE, this run stays in %s/wandb: %s", folder, _first_line(error))
            for left in (folder / "wandb").glob(f"run-*-{attempt}"):
                shutil.rmtree(left, ignore_errors=True)
    options = _options(wandb, "offline", settings, folder)
    return wandb.init(id=secrets.token_hex(4), settings=options, **shared), "offline"


def _options(wandb: ModuleType, mode: str, settings: Tracking, folder: Path) -> Any:
    return wandb.Settings(
        mode=mode,
        root_dir=str(folder.absolute()),
        init_timeout=settings.init_timeout,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
        reinit="create_new",  # never another job's run
        host="",
        silent=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        label_disable=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _naming(result: Mapping[str, Any], settings: Tracking) -> dict[str, Any]:
    """wandb's pages group by `group`, then `job_type`: the sweep, then everything but the seed."""
    job, cell = result["job"], cell_of(result)
    tags = (*settings.tags, *(("cheat",) if result["cheats"] else ()))
    return {
        "project": settings.project,
        "entity": settings.entity,
        "job_type": _short(cell, _TAG_LENGTH),
        "group": _short(settings.group or cell),
        "name": _short(f"{cell} s{job['seed']}"),
        "tags": [tag[:_TAG_LENGTH] for tag in tags],
    }


def _short(name: str, length: int = _NAME_LENGTH) -> str:
    """A name as long as wandb allows; long ones that differ at their end stay apart."""
    if len(name) <= length:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: length - 9]} {mark}"


def _public(value: Any) -> Any:
    """The configuration as JSON types, without entries whose name speaks of a secret or the environment."""
    if isinstance(value, Mapping):
        return {str(key): _public(inner) for key, inner in value.items() if not _SECRET & _words(str(key))}
    if isinstance(value, list | tuple):
        return [_public(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _words(key: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()))


def _write(wandb: ModuleType, run: Any, result: Mapping[str, Any], histories: Mapping[str, History]) -> None:
    _replay(run, histories)
    run.log({"rows": wandb.Table(columns=list(_TABLE), data=[_table_row(row) for row in result["rows"]])})
    run.summary.update(dict(_summary(result)))


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


def _table_row(row: Mapping[str, Any]) -> list[Any]:
    pgr = row.get("pgr") or {}
    information = json.dumps(row.get("information"), sort_keys=True)
    flat = {**row, "pgr": pgr.get("value"), "pgr_low": pgr.get("low"), "pgr_high": pgr.get("high")}
    return [{**flat, "information": information}.get(column) for column in _TABLE]


def _summary(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a table of runs is sorted by: `floor`, `floor_low`, `pgr`, `agreement_with_supervisor`, ..."""
    for name in ("untuned", "floor", "student", "ceiling", "pgr", "gain_over_untuned"):
        yield from _figures(name, result[name])
    yield "pgr_defined", result["pgr"]["defined"]
    yield "pgr_reason", result["pgr"]["reason"]
    for name, part in result["agreement"].items():
        yield from _figures(f"agreement_{name}", part)
    yield "metric", result["metric"]
    yield "cheats", ", ".join(map(str, result["cheats"]))
    yield "seconds_computed_now", sum(stage["seconds"] or 0 for stage in result["stages"] if not stage["cached"])


def _figures(name: str, part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping):
        yield name, part["value"]
        yield f"{name}_low", part["low"]
        yield f"{name}_high", part["high"]
    else:
        yield name, part


def _finish(run: Any, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        logger.warning("wandb: not all data was sent in time; later: wandb sync %s", Path(run.dir).parent)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")
