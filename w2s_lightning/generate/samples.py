"""What generation takes and hands out, and the journal of samples.

The journal is an append-only file: an interrupted draw goes on where it stopped, and draws nothing twice. Every line is
a checksum and one JSON object, written in one call. A kill leaves at most a half-written last line; that and any line
whose checksum is wrong is dropped when the file is opened, and its sample drawn again. No torch here.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from w2s_lightning.atomic import write_whole
from w2s_lightning.config.schema import GenerationSettings

Finish = Literal["eos", "stop", "length", "too_long"]


@dataclass(frozen=True)
class Prompt:
    """A text to go on from, under the id of its example."""

    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Generation(GenerationSettings):
    """How solutions are drawn: the settings of the `generation` group, and what a task adds.

    `temperature` 0 is greedy. `top_p` keeps the most probable tokens that hold this share. A text ends before the
    first of the `stop` strings. `special_tokens` lets the tokenizer add its own (a chat template has them already).
    `top_log_probs` stores the log-probabilities of so many most probable tokens in place of every token, in nats, from
    the untouched distribution (temperature 1, no top-p).
    """

    stop: tuple[str, ...]
    special_tokens: bool


@dataclass(frozen=True)
class Sample:
    """One drawn text.

    `tokens` lie wholly before a stop string; after `finish="eos"` the last one is the end-of-text token. `num_drawn`
    also counts what was cut off. `top_ids` and `top_log_probs` [len(tokens), k].
    """

    id: str
    number: int
    text: str
    tokens: list[int]
    finish: Finish
    prompt_tokens: int
    num_drawn: int
    top_ids: list[list[int]] | None = None
    top_log_probs: list[list[float]] | None = None


class Journal:
    """JSON objects, one a line; the folder that the file lies in belongs to one stage, so no header is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """All whole records in the order of writing; what is damaged is taken out of the file."""
        if not self._path.is_file():
            return []
        lines = self._path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line == _line(line[_CHECKSUM:].rstrip(b"\n"))]
        if len(whole) < len(lines):
            write_whole(self._path, b"".join(whole))
        return [json.loads(line[_CHECKSUM:]) for line in whole]

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record at the end; it survives a kill of this process."""
        with self._path.open("ab", buffering=0) as stream:
            stream.write(_line(json.dumps(record).encode()))


def _line(body: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(body), body)


_CHECKSUM = 9  # characters of a line before its body
