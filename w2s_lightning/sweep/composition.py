"""Overrides -> configuration, quickly: Hydra composes once per distinct choice of groups (90 ms each), values are
applied to a copy by Hydra's own function, in its own order. A test compares the two on every job of every sweep file.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

Choices = Mapping[str, str | None]


def own_words(config: DictConfig) -> list[str]:
    """Hydra's own overrides of a `-m` command, such as `hydra.searchpath`: a process for one job needs them too."""
    return [str(text) for text in config.hydra.overrides.hydra if not str(text).startswith("hydra.mode=")]


class Composer:
    """Composes jobs of one sweep; `master` is the configuration that Hydra composed for the sweep as a whole."""

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        overrides = [str(override) for override in master.hydra.overrides.hydra]
        _, self._groups = loader._parse_overrides_and_create_caching_repo(master.hydra.job.config_name, overrides)
        self._parser = OverridesParser.create()
        self._bases: dict[tuple[str, ...], tuple[DictConfig, dict[str, Any]]] = {}

    def compose(self, overrides: Sequence[str]) -> tuple[DictConfig, Choices]:
        """The job's configuration without Hydra's node, and the choice made in each group.

        Raises Hydra's exceptions where Hydra would.
        """
        parsed = self._parser.parse_overrides(list(overrides))
        values = [override for override in parsed if not self._is_group(override)]
        chosen = tuple(str(override.input_line) for override in parsed if self._is_group(override))
        if chosen not in self._bases:
            self._bases[chosen] = self._base(chosen)
        base, choices = self._bases[chosen]
        cfg = copy.deepcopy(base)
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        return cfg, choices

    def _is_group(self, override: Override) -> bool:
        return self._groups.group_exists(override.key_or_group) and not isinstance(override.value(), dict)

    def _base(self, chosen: tuple[str, ...]) -> tuple[DictConfig, dict[str, Any]]:
        cfg = self._loader.load_sweep_config(self._master, list(chosen))
        choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
        assert isinstance(choices, dict)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg, {str(key): value for key, value in choices.items()}
