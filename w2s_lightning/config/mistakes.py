"""Turns Hydra's, OmegaConf's and pydantic's complaints into one or two lines: what, where, and the nearest key."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from pydantic import ValidationError

from w2s_lightning.errors import UserError

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


def nearest(word: str, known: Iterable[str]) -> str:
    """`: did you mean x?`, or the list of what there is when nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f": did you mean `{close[0]}`?"
    return f": there are {', '.join(names)}" if names else ""


def unknown_key(where: str, key: str, known: Iterable[str], origin: Origin) -> str:
    """The message for a key that no record has."""
    return f"unknown key {where}.{key} ({origin.file}){nearest(key, known)}"


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
    return UserError(f"{where}={first['input']!r} ({origin.file}): {_lowered(first['msg'])}")


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


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
    if isinstance(error, HydraException):
        return _hydra_refusal(error, conf)
    if str(error).startswith("Config group override must be"):
        return "null is no choice of a group (`model@middle.m1=null`): leave the group out, or name one of its files"
    raise error


def _hydra_refusal(error: Exception, conf: Path) -> str:
    """Hydra's own first line where we know nothing better."""
    if isinstance(error, OverrideParseException):
        lines = [line for line in error.message.splitlines() if not line.startswith(("Error parsing", "See http"))]
        reason = lines[0].partition(" expecting ")[0] if lines else "a bracket or a quote is missing"
        return f"cannot read `{error.override}`: {reason}"
    text = _whole(error)
    if found := re.search(r"Could not override '([^']+)'\.\s*(?:No match|\n?.*defaults list)", text):
        return f"there is no configuration group {found[1]}{nearest(found[1].split('@')[0], _groups(conf))}"
    if found := re.search(r"Could not (?:override|append to config|delete from config)[^']*'([^']+)'", text):
        return _no_such_key(found[1], conf)
    if found := re.search(r"(?:Could not find|Could not load) '([^']+)/([^'/]*)'", text):
        group, choice = found[1], found[2]
        if not choice:
            return f"{group} is given no value: name one ({', '.join(sorted(_choices(conf / group)))}), or leave it out"
        if group == "hydra/launcher" and choice in _STOCK:
            return f"the launcher {choice} is not installed: pip install {_STOCK[choice]}, or take slurm or ray_cluster"
        folder = conf.parent / group if group == "sweeps" else conf / group
        return f"there is no {group} `{choice}` ({folder.relative_to(conf.parent)}/){nearest(choice, _choices(folder))}"
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"`{found[1]}` lists several values: run a grid with -m, or name one of them"
    if found := re.search(r"Multiple values for ([^\s.]+)\.", text):
        return f"the group {found[1]} is chosen already: type `{found[1]}=...` without the +"
    return text.splitlines()[0]


def _whole(error: BaseException) -> str:
    lines = [str(error)]
    while error.__cause__ is not None:
        error = error.__cause__
        lines.append(str(error))
    return "\n".join(lines)


def _no_such_key(key: str, conf: Path) -> str:
    block, _, last = key.rpartition(".")
    first, *path = block.split(".")
    mount = _MOUNTS.get(first, first)
    if first == "middle" and path:
        mount = f"model@middle.{path.pop(0)}"
    group = mount.partition("@")[0] or key
    folder = conf / group
    if not block:
        return f"unknown key {key} (conf/config.yaml){nearest(key, _mounts(conf) if '@' in key else _groups(conf))}"
    known = _keys_in(folder, path) if folder.is_dir() else _keys_of(conf / "config.yaml", [])
    if folder.is_dir() and last in known:  # right, but not with the file that is chosen
        names = [file.stem for file in sorted(folder.glob("*.yaml")) if last in _keys_of(file, path)]
        fitting = "local" if "local" in names else next(name for name in names if not name.startswith("_"))
        return f"{key} goes with other files of conf/{group}/: choose one too, `{mount}={fitting}` for one"
    place = f"conf/{group}/*.yaml" if folder.is_dir() else "conf/config.yaml"
    return f"unknown key {key} ({place}){nearest(last, known)}"


def _keys_in(folder: Path, path: list[str]) -> set[str]:
    return {key for file in folder.glob("*.yaml") for key in _keys_of(file, path)}


def _keys_of(file: Path, path: list[str]) -> set[str]:
    block: Any = OmegaConf.to_container(OmegaConf.load(file))
    for part in path:
        block = block.get(part) if isinstance(block, dict) else None
    return {str(key) for key in block if key != "defaults"} if isinstance(block, dict) else set()


def _groups(conf: Path) -> set[str]:
    return {p.name for p in conf.iterdir() if p.is_dir()} | _keys_of(conf / "config.yaml", [])


def _mounts(conf: Path) -> set[str]:
    """Groups that are chosen for a place: `model@weak`."""
    config: Any = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml"))
    return {key for entry in config["defaults"] if isinstance(entry, dict) for key in entry if "@" in key}


def _choices(folder: Path) -> set[str]:
    return {p.stem for p in folder.glob("*.yaml") if not p.stem.startswith("_")}
