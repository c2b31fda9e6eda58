"""JSON and YAML files of jobs, read once and again when they change; a broken one is a fault, not an end."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from w2s_lightning.results.job_result import VERSION
from w2s_lightning.results.stored import Fault

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEEDED = {"job", "rows", "pgr", "digest", "student_of_record", "stages"}
_OF_ROW = {"name", "role", "model", "value", "low", "high", "information", "evaluate"}
_OF_STAGE = {"kind", "label", "digest", "cached", "seconds"}


class Files:
    """Results and configurations by path; `faults` are those of the last reading."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._kept: dict[Path, tuple[int, Any]] = {}

    def result(self, folder: Path) -> Mapping[str, Any] | None:
        """A job's result; None without one, or with one that cannot be read as a result."""
        file = folder / "result.json"
        found: Mapping[str, Any] | None = self._read(file, json.loads)
        if found is None:
            return None
        if not _is_result(found):
            self.faults.append(Fault("damaged", _where(file), "it is no result of a job: run the job again"))
            return None
        if found.get("version") != VERSION:
            detail = f"written in version {found.get('version')} of results, now {VERSION}: run the job again"
            self.faults.append(Fault("older", _where(file), detail))
        return found

    def config(self, folder: Path) -> dict[str, Any]:
        """A job's configuration as `{"fit.epochs": 2, ...}`, empty without one."""
        file = folder / "config.yaml"
        found = self._read(file, lambda text: yaml.load(text, Loader=_LOADER))
        return dict(flat(found)) if isinstance(found, dict) else {}

    def _read(self, file: Path, parse: Callable[[str], Any]) -> Any:
        try:
            stamp = file.stat().st_mtime_ns
        except OSError:
            return None
        if file not in self._kept or self._kept[file][0] != stamp:
            try:
                self._kept[file] = (stamp, parse(file.read_text()))
            except (OSError, ValueError, yaml.YAMLError) as error:
                detail = f"it cannot be read: {str(error).splitlines()[0]}"
                self.faults.append(Fault("damaged", _where(file), detail))
                return None
        return self._kept[file][1]


def _is_result(found: Any) -> bool:
    """Whether everything that the pages read is there."""
    if not isinstance(found, dict) or not found.keys() >= _NEEDED:
        return False
    parts = ((found["rows"], _OF_ROW), (found["stages"], _OF_STAGE))
    return all(isinstance(one, dict) and one.keys() >= needed for many, needed in parts for one in many)


def _where(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted key."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
