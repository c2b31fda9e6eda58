"""Turns Hydra's, OmegaConf's and pydantic's complaints into one or two lines: what, where, and the nearest key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from pydantic import ValidationError

from w2s_lightning.errors import UserError, did_you_mean

_STOCK = {
    "submitit_slurm": "hydra-submitit-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "ray": "hydra-ray-launcher",
}
_MOUNTS = {"weak": "model@weak", "strong": "model@strong"}
_GROUPS = {"middle": "model", "gold": "objective"}  # whose files stand at places below these keys


@dataclass(frozen=True)
class Origin:
    """The block of configuration that a value stands in, the choice that filled it, and whose code it may name."""

    key: str
    choice: str | None
    plugins: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: str, choices: Mapping[str, str | None], plugins: tuple[str, ...] = ()) -> "Origin":
        group = _GROUPS.get(key.partition(".")[0])
        return cls(key, choices.get(f"{group}@{key}" if group else _MOUNTS.get(key, key)), plugins)

    def inside(self, key: str) -> "Origin":
        """A block within this one."""
        return replace(self, key=f"{self.key}.{key}")

    @property
    def file(self) -> str:
        """The YAML file to look into."""
        first = self.key.partition(".")[0]
        group = "model" if first in _MOUNTS else _GROUPS.get(first, first)
        return f"conf/{group}/{self.choice}.yaml" if self.choice else "conf/config.yaml"


def unknown_key(where: str, key: str, known: Iterable[str], origin: Origin) -> str:
    """The message for a key that no record has."""
    return f"unknown key {where}.{key} ({origin.file}): {did_you_mean(key, known)}"


def misfit(error: ValidationError, cls: Any, key: str, origin: Origin) -> UserError:
    """What pydantic found first, in our words."""
    first = error.errors()[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, UserError):
        return inner
    path = [str(part) for part in first["loc"]]
    where = ".".join([key, *path])
    if first["type"] == "unexpected_keyword_argument":
        parent = ".".join([key, *path[:-1]])
        return UserError(unknown_key(parent, path[-1], _keys_at(cls, path[:-1]), origin))
    if first["type"].startswith("missing"):
        return UserError(f"{origin.file}: the key {where} is missing")
    said = first["msg"][:1].lower() + first["msg"][1:]
    return UserError(f"{where}={first['input']!r} ({origin.file}): {said}")


def _keys_at(cls: Any, path: Sequence[str]) -> tuple[str, ...]:
    for part in path:
        cls = getattr(cls, "__dataclass_fields__", {}).get(part)
        cls = getattr(cls, "type", None)
    return tuple(getattr(cls, "__dataclass_fields__", ()))


def refuse_a_grid(hydra: Any) -> None:
    """Raise UserError for a forgotten -m: without it a sweep file is only good for one cell, every axis of which is
    fixed on the command line (one case fixed whole is enough). `hydra` is Hydra's own node."""
    name, sweeper = hydra.runtime.choices.get("sweeps"), hydra.sweeper
    if name is None:
        return
    words: list[str] = list(hydra.overrides.task)
    parsed = OverridesParser.create().parse_overrides(words)
    fixed = {o.get_key_element().lstrip("+~") for o in parsed if not o.is_sweep_override()}
    cases = sweeper.get("cases") or ()
    if len(cases) < 2 or any(all(key.lstrip("+~") in fixed for key in case) for case in cases):
        cases = ()
    keys = [*(sweeper.get("params") or ()), *dict.fromkeys(key for case in cases for key in case)]
    left = [key for key in keys if key.lstrip("+~") not in fixed]
    if sweeper.get("claims") and not any(word.startswith("seed=") for word in words):
        left.append("seed")
    if left:
        raise UserError(
            f"sweeps={name} is a grid: run it with -m (`python train.py -m sweeps={name}`), "
            f"or fix {', '.join(left)} to run one cell of it"
        )


# ---------------------------------------------------------------- Hydra's own refusals


def refusal(error: Exception, conf: Path) -> str:
    """What to tell of a user's mistake, in short; anything else is raised again."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_such_file(error.missing_cfg_file, conf)
    if isinstance(error, OverrideParseException):
        lines = [line for line in error.message.splitlines() if not line.startswith(("Error parsing", "See http"))]
        reason = lines[0].partition(" expecting ")[0] if lines else "a bracket or a quote is missing"
        return f"cannot read `{error.override}`: {reason}"
    if isinstance(error, HydraException):
        return _wrong_override(str(error).splitlines()[0], conf)
    if str(error).startswith("Config group override must be"):
        return "null is no choice of a group (`model@middle.m1=null`): leave the group out, or name one of its files"
    raise error


def _no_such_file(path: str, conf: Path) -> str:
    group, _, choice = path.rpartition("/")
    folder = conf.parent / group if group == "sweeps" else conf / group
    known = {p.stem for p in folder.glob("*.yaml") if not p.stem.startswith("_")}
    if not choice:
        return f"{group} is given no value: name one ({', '.join(sorted(known))}), or leave it out"
    if group == "hydra/launcher" and choice in _STOCK:
        return f"the launcher {choice} is not installed: pip install {_STOCK[choice]}, or take slurm or ray_cluster"
    return f"there is no {group} `{choice}` ({folder.relative_to(conf.parent)}/): {did_you_mean(choice, known)}"


def _wrong_override(said: str, conf: Path) -> str:
    """Hydra quotes the key or the override in its first line, which stands where we know nothing better."""
    quoted = said.split("'")[1] if said.count("'") > 1 else ""
    if said.startswith(("Could not override", "Could not delete")):
        return _no_such_key(quoted, conf)
    if said.startswith("Could not append"):
        return f"{quoted} has a value already: type `{quoted}=...` without the +"
    if said.startswith("Ambiguous value"):
        return f"`{quoted}` lists several values: run a grid with -m, or name one of them"
    if said.startswith("Multiple values for "):
        group = said.split()[3].rstrip(".")
        return f"the group {group} is chosen already: type `{group}=...` without the +"
    return said


def _no_such_key(key: str, conf: Path) -> str:
    block, _, last = key.rpartition(".")
    first, *path = block.split(".")
    mount = _MOUNTS.get(first, first)
    if first == "middle" and path:
        mount = f"model@middle.{path.pop(0)}"
    folder = conf / mount.partition("@")[0]
    files = sorted(folder.glob("*.yaml")) if block else []
    known = {name for file in files or [conf / "config.yaml"] for name in _keys_of(file, path)}
    if not block:
        config: Any = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml"))
        mounts = {name for entry in config["defaults"] if isinstance(entry, dict) for name in entry if "@" in name}
        known = mounts if "@" in key else known | {path.name for path in conf.iterdir() if path.is_dir()}
    elif files and last in known:  # right, but not with the file that is chosen
        fitting = [file.stem for file in files if last in _keys_of(file, path) and not file.stem.startswith("_")]
        example = "local" if "local" in fitting else next(iter(fitting), "...")
        return f"{key} goes with other files of conf/{folder.name}/: choose one too, `{mount}={example}` for one"
    place = f"conf/{folder.name}/*.yaml" if files else "conf/config.yaml"
    return f"unknown key {key} ({place}): {did_you_mean(last, known)}"


def _keys_of(file: Path, path: Sequence[str]) -> set[str]:
    block: Any = OmegaConf.to_container(OmegaConf.load(file))
    for part in path:
        block = block.get(part) if isinstance(block, dict) else None
    return {str(key) for key in block if key != "defaults"} if isinstance(block, dict) else set()
