"""Turns Hydra's, OmegaConf's and pydantic's complaints into one or two lines: what, where, and the nearest key."""

import re
import shlex
import sys
import traceback
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from pydantic import ValidationError

from w2s_lightning.config.habits import ENDINGS, TYPED, instead, named_here
from w2s_lightning.config.loader import Loader
from w2s_lightning.errors import UserError, did_you_mean, printable, run_command

_STOCK = {
    "submitit_slurm": "hydra-submitit-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "ray": "hydra-ray-launcher",
}
_MOUNTS = {"weak": "model@weak", "strong": "model@strong"}
_GROUPS = {"middle": "model", "gold": "objective"}  # whose files stand at places below these keys
# Groups whose files hold keys, and not blocks of them.
_LEAVES = ("fit", "trainer", "tracking", "generation", "paths", "run", "paradigm", "objective", "task")
_AROUND = (run_command.__module__, Loader.__module__)  # what Hydra runs in, and what it loads by
# Of Hydra's own node: what does something here, and what Hydra writes itself or only shows.
_HYDRAS = (
    *("launcher", "sweeper", "searchpath", "verbose", "mode", "callbacks", "job_logging", "hydra_logging"),
    *("help", "hydra_help"),
)
_PLAIN = "settings are typed as key=value, without dashes and spaces (`python train.py --help`)"
INTERNAL = {"benchmark", "hydra", "judge", "paradigm_name", "set_by_task"}  # keys that nobody types


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
        if self.choice and group == "model" and "/" in self.choice:  # a folder or repository
            return self.choice
        return f"conf/{group}/{self.choice}.yaml" if self.choice else "conf/config.yaml"


def unknown_key(where: str, key: str, known: Iterable[str], origin: Origin, value: Any = None) -> str:
    """The message for a key that no record has."""
    full = f"{where}.{key}" if where else key
    typed = "" if value is None else str(value)
    return f"unknown key {full} ({origin.file}): {instead(full, typed) or did_you_mean(key, known)}"


def refuse_values_of_blocks(values: Mapping[str, Any]) -> None:
    """Raise UserError for a value in the place of a whole block (`weak=nano`), which Hydra lets pass."""
    for key in ("weak", "strong", "middle", "gold", "supervisor"):
        if not isinstance(value := values.get(key, {}), Mapping):
            raise UserError(f"{key}={value} is no block of keys: {instead(key, '' if value is None else str(value))}")


def misfit(error: ValidationError, cls: Any, key: str, origin: Origin, block: Any) -> UserError:
    """What pydantic found first, in our words; `block` is what was to be bound."""
    first = error.errors()[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, UserError):
        return inner
    path = [str(part) for part in first["loc"]]
    where = ".".join([key, *path])
    if first["type"] == "unexpected_keyword_argument":
        parent = ".".join([key, *path[:-1]])
        return UserError(unknown_key(parent, path[-1], _keys_at(cls, path[:-1]), origin, first["input"]))
    if first["type"].startswith("missing"):
        return UserError(f"{origin.file}: the key {where} is missing")
    if first["type"] == "dataclass_type":
        keys = ", ".join(f"{where}.{name}=..." for name in _keys_at(cls, path))
        return UserError(f"{where}={first['input']!r} ({origin.file}): it has keys of its own: {keys}")
    if key == "seed" and (seeds := re.fullmatch(r"(\d+)(?:-|\.\.\.?|:|to)(\d+)", str(first["input"]))):
        start, end = int(seeds[1]), int(seeds[2]) + 1
        told = f"{start},{end}" if start else str(end)
        return UserError(f'seed={first["input"]}: for a job a seed, type `-m "seed=range({told})"`')
    if first["type"] == "string_type" and isinstance(first["input"], bool | int | float):
        whole = reduce(getitem, first["loc"][:-1], block) if path and path[-1].isdigit() else None
        texts = f"[{','.join(_text(one) for one in whole)}]" if isinstance(whole, list) else _text(first["input"])
        where = where.removesuffix(f".{path[-1]}") if texts.startswith("[") else where
        return UserError(f"{where} ({origin.file}) is text: quote it twice, `{shlex.quote(f'{where}={texts}')}`")
    said = first["msg"].removeprefix("Value error, ")
    given = repr(first["input"])
    given = given if len(given) <= 100 else f"{given[:80]}... ({len(given)} characters)"
    return UserError(f"{where}={given} ({origin.file}): {said[:1].lower()}{said[1:]}")


def _text(value: Any) -> str:
    """A value as text in Hydra's grammar, which takes `false` for a truth value and `1` for a number."""
    return f'"{str(value).lower() if isinstance(value, bool) else value}"'


def _keys_at(cls: Any, path: Sequence[str]) -> tuple[str, ...]:
    for part in path:
        cls = getattr(cls, "__dataclass_fields__", {}).get(part)
        cls = getattr(cls, "type", None)
    return tuple(getattr(cls, "__dataclass_fields__", ()))


# ---------------------------------------------------------------- the command line


def refuse_words(words: Sequence[str], conf: Path) -> None:
    """Raise UserError for words that Hydra answers with a page of usage, or takes for something else."""

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}: `python train.py --hydra-help` lists the flags")

    if sys.flags.optimize:  # the grammar's parser and our own assertions need what it leaves out
        raise UserError("python -O (PYTHONOPTIMIZE) leaves out checks that are needed here: run it without")
    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    flags = [flag for action in parser._actions for flag in action.option_strings]
    seen: dict[str, str] = {}
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        group = name.lstrip("+~").partition("@")[0]
        if group in ("hydra.run.dir", "hydra.sweep.dir"):  # Hydra would take it, and nothing would lie there
            raise UserError(f"{name} has no effect here: type `paths.outputs={value}`, where results lie")
        block = re.match(r"hydra(?:[./](\w+))?(?![\w-])", group)
        if block and block[1] not in _HYDRAS and (equals or word.startswith("~")):
            raise UserError(
                f"{name} has no effect here: of Hydra's own keys {', '.join(_HYDRAS[:3])} have one "
                "(results lie in `paths.outputs=DIR`, variables are set in the shell)"
            )
        if not name:
            raise UserError(f"cannot read `{word}`: {_PLAIN}")
        if not name.isascii() and name.translate(TYPED).isascii():
            raise UserError(_unreadable(word, conf))
        parts = [name, *(re.split("[,/]", value) if (conf / group[:255]).is_dir() else ())]
        if len(longest := max(parts, key=len)) > 255:
            raise UserError(f"`{longest[:60]}...` ({len(longest)} characters) is no key and no name: {_PLAIN}")
        if equals and word[0] not in "-~" and seen.setdefault(name.lstrip("+"), value) != value:
            first = seen[name.lstrip("+")]
            grid = "" if group == "sweeps" else f", or type `-m {name}={first},{value}` for a job each"
            raise UserError(f"{name} is given twice, as `{first}` and as `{value}`: keep one{grid}")
        if word.startswith("~") and ((conf / name[1:]).is_dir() or name[1:] in _keys_of(conf / "config.yaml", ())):
            raise UserError(f"`{word}`: a job has one {group}: name another with `{group}=...`, or leave it out")
        if "[" in value and "]" in value and (conf / group).is_dir():  # Hydra would merge them
            names = re.sub(r"[\[\]]", "", value)
            one, many = f"{name}={names.partition(',')[0]}", f"-m {name}={names}"
            raise UserError(f"`{word}` lists files where one is meant: type `{one}`, or `{many}` for a job each")
        near = [flag for flag in flags if len(name) > 2 and flag.startswith(name)]
        if word.startswith("-") and name not in flags and len(near) != 1 and word[:2] not in flags:
            given = value if equals or following.startswith("-") or "=" in following else following
            key = name.lstrip("-")
            known = (conf / key).is_dir() or "." in key or key in _keys_of(conf / "config.yaml", ())
            line = instead(key, given) or (f"type `{key}={given or '...'}`" if known else _PLAIN)
            raise UserError(f"there is no flag {name}: {line}")
    _refuse_flags(words, *parser.parse_known_args(words))


def _refuse_flags(words: Sequence[str], asked: Namespace, rest: Sequence[str]) -> None:
    """Raise UserError for flags of Hydra that do nothing good here, and for those that stand between settings."""
    if asked.config_path is not None or asked.config_name not in (None, "config"):
        raise UserError(
            "there is one configuration, conf/config.yaml: put files of your own into DIR/fit/mine.yaml and the like, "
            "and type `--config-dir DIR fit=mine`"
        )
    if (asked.package or asked.resolve) and not (asked.cfg or asked.help):
        more = f"--package {asked.package}" if asked.package else "--resolve"
        raise UserError(f"{more} goes with --cfg: type `python train.py --cfg job {more}`")
    if asked.experimental_rerun is not None:
        raise UserError(
            "there is no --experimental-rerun: a job is repeated by its own command, which the report shows"
        )
    if rest:  # settings on both sides of the flags
        settings = [*asked.overrides, *rest]
        grid = ("-m", "--multirun")
        flags = [*grid[: asked.multirun], *(word for word in words if word not in (*settings, *grid))]
        raise UserError(
            f"flags stand before all settings: type `{shlex.join(['python', 'train.py', *flags, *settings])}`"
        )


# ---------------------------------------------------------------- Hydra's own refusals


def refusal(error: Exception, conf: Path) -> str:
    """What to tell of a user's mistake, in short; anything else is raised again."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_such_file(error.missing_cfg_file, conf)
    if isinstance(error, OverrideParseException):
        return " ".join(_unreadable(error.override, conf).splitlines())
    if isinstance(error, HydraException):
        return _wrong_override(str(error), conf)
    if str(error).startswith("Config group override"):
        given = "null" if str(error).endswith("NoneType") else "a number"
        return (
            f"{given} is no choice of a group (`model@middle.m1=null`): leave the group out, or name one of its files"
        )
    if isinstance(error, OSError):  # Hydra looks for a file of any name
        return f"{printable(str(error.filename))[:80]}: {error.strerror}"
    ours = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(name.startswith(("w2s_lightning.", "hydra_plugins.w2s")) and name not in _AROUND for name in ours):
        raise error
    said = " ".join(str(error).split()) or type(error).__name__  # Hydra's own, of what it was told to do
    return f"Hydra cannot do that: {said} (`python train.py --hydra-help`)"


def _unreadable(word: str, conf: Path) -> str:
    """What to type in place of a word that is not in Hydra's grammar."""
    key, equals, value = word.partition("=")
    if (plain := word.translate(TYPED)) != word and plain.isascii():
        plain = re.sub(r"""(["'])([\w@./+-]+)\1""", r"\2", plain).strip('"')
        plain = re.sub(r"^-(?=\w{3})", "--", plain)  # one long dash is made of two
        return f"cannot read `{word}`, which has signs of another keyboard or a page: type `{shlex.quote(plain)}`"
    if value.startswith("=") or (equals and key.endswith(":")):
        return f"cannot read `{word}`: type `{key.rstrip(':')}={value.lstrip('=')}`"
    if not equals:
        files = sorted(conf.glob(f"*/{word}.yaml")) if word.isidentifier() else []
        group = files[0].parent.name if files else ""
        line = f"type `{'model@weak' if group == 'model' else group}={word}`" if files else instead(word, "")
        if line is None and ((conf / word).is_dir() or word in _keys_of(conf / "config.yaml", ())):
            line = f"type `{word}=...`"
        return f"cannot read `{word}`: {line or _PLAIN}"
    if any(value.count(one) != value.count(other) for one, other in ("[]", "{}", "()")):
        return f"cannot read `{word}`: a bracket is not closed, or not opened"
    if any(value.count(quote) % 2 for quote in "'\""):
        return f"cannot read `{word}`: a quote is not closed"
    if not re.fullmatch(r"[+~]*[\w@./:-]+", key):
        return f"cannot read `{word}`: `{key}` is no key (`python train.py --cfg job` shows all)"
    if value[0] in "[{" and set("'\"") & set(value):
        return f"cannot read `{word}`: keys and texts within brackets are typed without quotes, or stand in a file"
    return f"cannot read `{word}`: quote what is text, `{shlex.quote(f'{key}={_text(value)}')}`"


def _no_such_file(path: str, conf: Path) -> str:
    model = path.startswith("model/")
    group, _, choice = path.partition("/") if model else path.rpartition("/")
    folder = conf.parent / group if group == "sweeps" else conf / group
    known = {p.stem for p in folder.glob("*.yaml") if not p.stem.startswith("_")}
    known |= {"basic"} if group == "hydra/launcher" else set()  # Hydra's own, which has no file
    if not choice:
        return f"{group} is given no value: name one ({', '.join(sorted(known))}), or leave it out"
    if path.endswith(ENDINGS):
        return (
            f"{path.partition('/')[2]} is a file of data: type `task=local_choice task.train_file="
            f"{path.partition('/')[2]} task.test_file=...` (or task.test_share=0.2)"
        )
    if model and Path(choice).is_dir():
        return f"there is no conf/model/{choice}.yaml: for the folder that lies here, type `model@weak=./{choice}`"
    if (meant := named_here(group, choice)) is not None:
        return f"there is no {group} `{choice}`: type `{group}={meant}`"
    if group == "hydra/launcher" and choice in _STOCK:
        return f"the launcher {choice} is not installed: pip install {_STOCK[choice]}, or take slurm or ray_cluster"
    others = f"; a folder is typed ./{choice}, a repository of the hub owner/name" if model else ""
    place = f"{folder.relative_to(conf.parent)}/{others}"
    return f"there is no {group} `{choice}` ({place}): {did_you_mean(choice, known)}"


def _wrong_override(message: str, conf: Path) -> str:
    """Hydra quotes the key or the override in its first line, which stands where we know nothing better."""
    said = message.splitlines()[0]
    quoted = said.split("'")[1] if said.count("'") > 1 else ""
    if said.startswith(("Could not override", "Could not delete")):
        typed = re.search(r"^To append to your .* use \+(.*)", message, re.MULTILINE)
        return _no_such_key(quoted, typed[1].partition("=")[2] if typed else "", conf)
    if said.startswith("Could not append"):
        return f"{quoted} has a value already: type `{quoted}=...` without the +"
    if said.startswith(("Ambiguous value", "Sweep parameters")):
        return f"`{quoted}` lists several values: run a grid with -m, or name one of them"
    if said.startswith("Multiple values for "):
        group = said.split()[3].rstrip(".")
        return f"the group {group} is chosen already: type `{group}=...` without the +"
    return said


def _no_such_key(key: str, value: str, conf: Path) -> str:
    block, _, last = key.rpartition(".")
    first, *path = (block or key).split(".")
    mount = _MOUNTS.get(first, first)
    if first == "middle" and path:
        mount = f"model@middle.{path.pop(0)}"
    folder = conf / mount.partition("@")[0]
    if block.startswith("hydra.") and conf.joinpath(first, *path).is_dir():  # hydra.launcher
        folder, path = conf.joinpath(first, *path), []
    files = sorted(folder.glob("*.yaml")) if block else []
    path = path if files or not block else block.split(".")
    known = {name for file in files or [conf / "config.yaml"] for name in _keys_of(file, path)} - INTERNAL
    if not block:
        config: Any = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml"))
        mounts = {name for entry in config["defaults"] if isinstance(entry, dict) for name in entry if "@" in name}
        groups = {path.name for path in conf.iterdir() if path.is_dir() and not path.name.startswith("for_")}
        known = mounts if "@" in key else (known | groups) - INTERNAL
    if not known or not block:  # `width`, `items.test`: right below a group
        known = known or _keys_of(conf / "config.yaml", ()) - INTERNAL
        blocks = (*_LEAVES, "model")
        inside = [one for one in blocks if any(first in _keys_of(file, ()) for file in conf.glob(f"{one}/*.yaml"))]
        if inside and instead(key, value) is None:
            places = [place for group in inside for place in (("weak", "strong") if group == "model" else (group,))]
            lines = " or ".join(f"`{place}.{key}={value or '...'}`" for place in places)
            return f"unknown key {key} ({', '.join(f'conf/{group}/' for group in inside)} has one): type {lines}"
    elif files and last in known and instead(key, value) is None:  # right, but not with the file that is chosen
        fitting = [file.stem for file in files if last in _keys_of(file, path) and not file.stem.startswith("_")]
        example = "local" if "local" in fitting else next(iter(fitting), "...")
        return f"{key} goes with other files of conf/{folder.name}/: choose one too, `{mount}={example}` for one"
    inner = (below for below in sorted(known) for file in files if last in _keys_of(file, [*path, below]))
    if instead(key, value) is None and (below := next(inner, None)) is not None:  # one level deeper: task.text
        return f"unknown key {key} (conf/{folder.name}/*.yaml): type `{block}.{below}.{last}={value or '...'}`"
    place = f"{folder.relative_to(conf.parent)}/*.yaml" if files else "conf/config.yaml"
    return f"unknown key {key} ({place}): {instead(key, value) or did_you_mean(last, known)}"


def _keys_of(file: Path, path: Sequence[str]) -> set[str]:
    block: Any = OmegaConf.to_container(OmegaConf.load(file))
    for part in path:
        block = block.get(part) if isinstance(block, dict) else None
    return {str(key) for key in block if key != "defaults"} if isinstance(block, dict) else set()
