"""Hub commits: a revision name such as `main` becomes the commit that it names today, once per store.

Looked up in this order: the store's `refs.json`, the local Hugging Face cache, the hub. A plan on paper
(`run=plan`) goes on with `unresolved`.
"""

import importlib
import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from w2s_lightning.atomic import below, read_json, write_whole
from w2s_lightning.errors import UserError

UNRESOLVED = "unresolved"
UNRESOLVED_TOLD = (
    "hub commits could not be looked up: digests are not final, stages that the store has may be called missing, and "
    "to run needs the hub, or its files in the local cache"
)
FILE = "refs.json"  # in the store's folder, and there before anything else is
COMMIT = re.compile(r"[0-9a-f]{40}")


class Refs:
    """Resolves (kind, repository, revision) to a commit; remembers it in `<store>/refs.json`."""

    def __init__(self, store: Path, *, planning: bool) -> None:
        self._file = store / FILE
        self._planning = planning
        self._unknown: set[str] = set()

    @cached_property
    def _known(self) -> dict[str, str]:
        """What the store remembers; raise UserError where its file is damaged."""
        try:
            found = read_json(self._file)
            if not isinstance(found, dict) or not all(COMMIT.fullmatch(str(commit)) for commit in found.values()):
                raise ValueError("it holds no commits by name")
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise UserError(
                f"{self._file} is damaged ({error}): remove it, and what `main` names is looked up anew"
            ) from None
        return found

    def commit(self, kind: str, repository: str, revision: str) -> str:
        """The commit of a `model` or `dataset` repository; raise UserError when nothing can tell it."""
        if COMMIT.fullmatch(revision):
            return revision
        key = f"{kind}/{repository}@{revision}"
        if key in self._unknown:
            return self._refuse(kind, repository)
        if key not in self._known:
            found = _in_cache(kind, repository, revision) or getattr(_ask_hub(kind, repository, revision), "sha", None)
            if found is None:
                self._unknown.add(key)  # a thousand jobs ask for the same model: wait for a silent hub once
                return self._refuse(kind, repository)
            self._known[key] = found
            if not self._planning:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._file, json.dumps(self._known, indent=2, sort_keys=True))
        return self._known[key]

    def _refuse(self, kind: str, repository: str) -> str:
        if self._planning:
            return UNRESOLVED
        local = "`task.source.path=DIR`" if kind == "dataset" else "`model@weak=./folder` (or strong)"
        raise UserError(
            f"cannot find {kind} {repository}: it is not in the local cache and the hub does not answer.\n"
            f"Without a network, give a folder in the hub's layout: {local}"
        )


def cached_config(repository: str, revision: str | None = None, name: str = "config.json") -> Path | None:
    """The `config.json` (or another file) of a model in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


@cache
def described(repository: str) -> tuple[int, Mapping[str, Any]]:
    """What the hub says of a model: how many parameters (0: it does not say), and the head of its `config.json`."""
    info: Any = _ask_hub("model", repository, "main")
    weights = getattr(info, "safetensors", None)
    return (weights.total if weights else 0), (getattr(info, "config", None) or {})


def _in_cache(kind: str, repository: str, revision: str) -> str | None:
    from huggingface_hub.constants import HF_HUB_CACHE

    ref = below(Path(HF_HUB_CACHE) / f"{kind}s--{repository.replace('/', '--')}" / "refs", revision)
    return ref.read_text().strip() if ref.is_file() else None


def _ask_hub(kind: str, repository: str, revision: str) -> Any:
    """The hub's page of a repository, None where the hub does not answer; UserError where it has none of that name."""
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    client = importlib.import_module(type(get_session()).__module__.partition(".")[0])  # httpx, since 2.4 httpx2
    try:
        return HfApi().repo_info(repository, revision=revision, repo_type=kind, timeout=10)
    except RepositoryNotFoundError:
        raise UserError(
            f"the hub has no {kind} {repository}, or does not show it to you: check the name, and log in for a private "
            "or gated one (`hf auth login`, or HF_TOKEN)"
        ) from None
    except (OSError, client.HTTPError, HfHubHTTPError, OfflineModeIsEnabled):
        return None
