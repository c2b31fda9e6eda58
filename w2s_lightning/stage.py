"""What every stage is: a frozen record with a digest, a readable label and parents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from w2s_lightning.digest import SHORT, canonical_fields, digest


@dataclass(frozen=True)
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
        return f"{self.label}-{self.digest[:SHORT]}"

    @property
    def label(self) -> str:
        """Short readable name; never parsed."""
        raise NotImplementedError

    def parents(self) -> Iterator["Stage"]:
        """The stages whose outputs this one reads."""
        for f in fields(self):
            yield from _stages_in(getattr(self, f.name))

    def ancestors(self) -> Iterator["Stage"]:
        """Parents, their parents and so on; a stage that is reached twice comes twice."""
        for parent in self.parents():
            yield parent
            yield from parent.ancestors()


@dataclass(frozen=True)
class StagePart:
    """A record inside a stage that may hold stages itself."""


def _stages_in(value: object) -> Iterator[Stage]:
    if isinstance(value, Stage):
        yield value
    elif isinstance(value, StagePart):
        for f in fields(value):
            yield from _stages_in(getattr(value, f.name))
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _stages_in(item)
