"""Hydra's loader of configurations, as this project wants it: no code of strangers, and only whole files are listed.

Hydra makes objects of what its own node names (callbacks, the handlers of logs, launchers) before any job is bound, so
that node is looked at here, as soon as it is composed: whatever the command line or a file said.
"""

import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import hydra._internal.hydra as hydras_own
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from w2s_lightning.errors import UserError

_OBJECTS = ("launcher", "sweeper", "callbacks", "job_logging", "hydra_logging")  # blocks that objects are made of
_NAMING = ("_target_", "()", "class", "factory")
# Classes of installed plugins, Hydra's own, and those of logging; a function would be called with what the block holds.
_TRUSTED = re.compile(
    r"hydra_plugins(\.[a-z_]\w*)+\.[A-Z]\w*|hydra\._internal\.core_plugins\.\w+\.[A-Z]\w*"
    r"|hydra\.experimental\.callbacks\.[A-Z]\w*|(logging|logging\.handlers|colorlog)\.[A-Z]\w*|ext://sys\.std(out|err)"
)


class Loader(ConfigLoaderImpl):
    """Composes as Hydra does, refuses code that this run does not trust, and lists what a user may choose."""

    @classmethod
    def install(cls) -> None:
        """Have Hydra compose by this loader, in this process, and raise what went wrong."""
        os.environ["HYDRA_FULL_ERROR"] = "1"  # instead of a printed stack trace
        hydras_own.ConfigLoaderImpl = cls  # type: ignore[attr-defined]  # Hydra has no place to name one
        warnings.filterwarnings("error", "provider=.* is not available")  # a search path that there is not

    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
        """The composed configuration; raise UserError where Hydra's own node names code of strangers."""
        config = super().load_configuration(*args, **kwargs)
        listed = config.get("plugins")
        plugins = tuple(map(str, listed)) if OmegaConf.is_list(listed) else ()
        for part in _OBJECTS:
            for key, name in _named(config.hydra, part, f"hydra.{part}"):
                package = name.removeprefix("ext://").partition(".")[0]
                if not _TRUSTED.fullmatch(name) and package not in plugins:
                    raise UserError(
                        f"{key}={name}: only classes of installed Hydra plugins may stand there (hydra_plugins.*), and "
                        f"what lies in packages that are listed, `plugins=[{package}]`"
                    )
        return config

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """What can be chosen in a group, for `--help` and completion: files with a `_` are parts of others, and what a
        task sets follows the task."""
        found = super().get_group_options(group_name, results_filter, config_name, overrides)
        return [name for name in found if not name.startswith(("_", "for_task"))]


def _named(block: DictConfig | ListConfig, part: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every key in a part of a block that names code, with the name."""
    value: Any = None
    try:
        value = block[part]
    except OmegaConfBaseException:  # it has no value yet: the folder of a log, for one
        value = str(block._get_node(part))
    if (part in _NAMING and value is not None) or (isinstance(value, str) and value.startswith("ext://")):
        yield key, str(value)
    elif isinstance(value, DictConfig | ListConfig) and not value._is_none():
        inside: Any = value if isinstance(value, DictConfig) else range(len(value))
        for inner in inside:
            yield from _named(value, inner, f"{key}.{inner}")
