"""Prompt templates: plain columns in braces and nothing else.

`str.format` would follow attributes and indices (`{text.__class__}`) of whatever it is given; this does not.
"""

import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.suggest import did_you_mean


@dataclass(frozen=True)
class Template:
    """A parsed template: pieces of literal text, each followed by a column or by None."""

    source: str
    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, source: str) -> "Template":
        """Raise UserError for unbalanced braces, attribute or index access, conversions and format specifications."""
        try:
            parsed = list(string.Formatter().parse(source))
        except ValueError as error:
            raise UserError(f"template {source!r}: {error} (write {{{{ and }}}} for literal braces)") from None
        for _, column, spec, conversion in parsed:
            plain = column is None or (column and not any(sign in column for sign in ".[]"))
            if not plain or spec or conversion:
                raise UserError(f"template {source!r}: only plain column names may stand in braces, like {{text}}")
        return cls(source, tuple((literal, column) for literal, column, _, _ in parsed))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that stand in it, in order of appearance."""
        return tuple(dict.fromkeys(column for _, column in self.pieces if column is not None))

    def check(self, known: Collection[str]) -> None:
        """Raise UserError for a column that is not known."""
        for column in self.columns:
            if column not in known:
                raise UserError(f"template {self.source!r}: no column {column!r}; {did_you_mean(column, known)}")

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text with every column's value in its place."""
        return "".join(literal + ("" if column is None else str(values[column])) for literal, column in self.pieces)


def _checked(source: str) -> str:
    Template.parse(source)
    return source


TemplateText = Annotated[str, AfterValidator(_checked)]
"""A template as it stands in YAML, refused when it is not a plain one."""
