"""What makes two pieces of work the same: canonical JSON and sha256 over frozen records, and `Stage`, what has them.

Two pieces of work are the same exactly when their canonical JSON is. The encoder refuses whatever it does not know,
so that nothing enters an identity by its `repr`, its address or the machine it happens to lie on.

Of a dataclass every field counts, with three exceptions that its definition states:

* `field(compare=False)` is for people (a display name, where a file lies). Records that differ in nothing else are
  equal to Python and to us.
* `field(metadata=CODE)` holds the dotted path of a function or class. What lies in this package counts by its bare
  name, so that moving a file invalidates nothing; what others bring, by the whole path.
* A field that has its default value is absent. A release that adds an option gives it the default that means the old
  behaviour: whoever does not use it keeps every digest. So a default, once released, never changes.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from w2s_lightning.atomic import folder_name

SHORT = 16
Held = TypeVar("Held")
CODE: Mapping[str, Any] = {"code": True}


def canonical(value: object) -> Any:
    """Reduce `value` to JSON types, dataclasses tagged by their class; raise TypeError for anything else."""
    if value is None or isinstance(value, bool | int | str):  # first, since most values are: the rest is slow to ask
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if hasattr(value, "identity"):  # a record that decides itself what of it is hashed
        return canonical(value.identity())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        return {"type": _code_name(f"{cls.__module__}.{cls.__name__}"), **canonical_fields(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"identity needs text keys, got {list(value)!r}")
        return {key: canonical(value[key]) for key in sorted(value)}
    raise TypeError(f"identity cannot hold {value!r} of type {type(value).__name__}")


def canonical_fields(record: Any) -> dict[str, Any]:
    """What counts of a dataclass, by field: without display fields, and without what has its default value."""
    found = {}
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        if f.compare and value != default:
            found[f.name] = _code_name(value) if f.metadata.get("code") else canonical(value)
    return found


def _code_name(path: str) -> str:
    """A class or function of ours by its bare name; of others by its whole path, since names there are not ours."""
    package, name = path.partition(".")[0], path.rpartition(".")[2]
    return name if package == __name__.partition(".")[0] else path


def canonical_json(value: object) -> str:
    """`canonical(value)` as JSON text with sorted keys and no spaces."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: object) -> str:
    """sha256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# ---------------------------------------------------------------- stages


@dataclasses.dataclass(frozen=True)
class Stage:
    """Common part of all stages: identity, digest, parents."""

    kind: ClassVar[str]
    version: ClassVar[int]

    def identity(self) -> Mapping[str, Any]:
        """How a stage stands inside another record's identity: by its digest."""
        return {"stage": self.digest}

    def record(self) -> dict[str, Any]:
        """The full identity as JSON types, written to `stage.json`."""
        return {"kind": self.kind, "version": self.version, **canonical_fields(self)}

    @cached_property
    def digest(self) -> str:
        """sha256 of `record()`, 64 hex digits."""
        return digest(self.record())

    @property
    def folder(self) -> str:
        """The name of a new artifact: readable label and the first 16 hex digits, by which alone it is found again."""
        return f"{folder_name(self.label)}-{self.digest[:SHORT]}"

    @property
    def label(self) -> str:
        """Short readable name; never parsed."""
        raise NotImplementedError

    def parents(self) -> Iterator["Stage"]:
        """The stages whose outputs this one reads."""
        return self.held(Stage)

    def held(self, kind: type[Held]) -> Iterator[Held]:
        """The records of this kind that it holds itself, not through another stage."""
        for f in dataclasses.fields(self):
            yield from _held_in(getattr(self, f.name), kind)

    def ancestors(self) -> Iterator["Stage"]:
        """Parents, their parents and so on; a stage that is reached twice comes twice."""
        for parent in self.parents():
            yield parent
            yield from parent.ancestors()


@dataclasses.dataclass(frozen=True)
class StagePart:
    """A record inside a stage that may hold stages itself."""


def _held_in(value: object, kind: type[Held]) -> Iterator[Held]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, StagePart):
        for f in dataclasses.fields(value):
            yield from _held_in(getattr(value, f.name), kind)
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _held_in(item, kind)
