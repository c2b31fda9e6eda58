"""What generation takes and hands out, the one interface that every engine has, and the journal of samples.

The journal is an append-only file: an interrupted draw goes on where it stopped, and draws nothing twice. Every line is
one JSON object `{"crc": ..., "record": ...}`, written in one call. A kill leaves at most a half-written last line; that
and any line whose checksum is wrong is dropped when the file is opened, and its sample drawn again. No torch here.
"""

import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from w2s_lightning.atomic import write_whole
from w2s_lightning.errors import UserError

Finish = Literal["eos", "stop", "length", "too_long"]


@dataclass(frozen=True)
class Prompt:
    """A text to go on from, under the id of its example."""

    id: str
    text: str


@dataclass(frozen=True)
class Generation:
    """How solutions are drawn: the settings of the `generation` group, and what a task adds.

    `temperature` 0 is greedy. `top_p` keeps the most probable tokens that hold this share. A text ends before the
    first of the `stop` strings. `special_tokens` lets the tokenizer add its own (a chat template has them already).
    `top_log_probs` stores the log-probabilities of so many most probable tokens in place of every token, in nats, from
    the untouched distribution (temperature 1, no top-p).
    """

    max_new_tokens: int
    num_samples: int
    temperature: float
    top_p: float
    top_log_probs: int
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
    tokens: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    num_drawn: int
    top_ids: tuple[tuple[int, ...], ...] | None = None
    top_log_probs: tuple[tuple[float, ...], ...] | None = None

    def record(self) -> dict[str, Any]:
        """The sample as JSON types."""
        return dict(vars(self))

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Sample":
        """The sample that `record()` wrote."""
        return cls(**{name: _tuples(value) for name, value in record.items()})


class Engine(Protocol):
    """Whatever draws samples: the local one, later a GPU server."""

    def generate(
        self, prompts: Sequence[Prompt], settings: Generation, *, seed: int, skip: Collection[tuple[str, int]] = ()
    ) -> Iterator[Sample]:
        """Samples 0 to num_samples - 1 of every prompt as they finish, in no particular order.

        `skip` holds (id, number) of samples that are there already. A sample depends on its prompt, its number,
        settings and seed alone (up to rounding in the network), never on what else is drawn or skipped.
        """


def refusing_long(samples: Iterator[Sample], *, num_samples: int, max_share: float) -> Iterator[Sample]:
    """The samples, until more than `max_share` of the expected `num_samples` had prompts longer than the context.

    Engines hand those out first, so this stops before anything is computed. Raises UserError.
    """
    too_long = 0
    for sample in samples:
        too_long += sample.finish == "too_long"
        if too_long > max_share * num_samples:
            raise UserError(
                f"more than {max_share:.0%} of the prompts are longer than the model's context (example {sample.id}: "
                f"{sample.prompt_tokens} tokens): use fewer demonstrations, a larger fit.max_length or another model"
            )
        yield sample


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


class Journal:
    """Records in a JSONL file; the folder that it lies in belongs to one stage, so no header is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.num_dropped = 0

    def read(self) -> list[dict[str, Any]]:
        """All whole records in the order of writing; what is damaged is taken out of the file."""
        if not self._path.is_file():
            return []
        lines = self._path.read_bytes().splitlines(keepends=True)
        records = [_record(line) for line in lines]
        self.num_dropped = records.count(None)
        if self.num_dropped:
            whole = (line for line, record in zip(lines, records, strict=True) if record is not None)
            write_whole(self._path, b"".join(whole))
        return [record for record in records if record is not None]

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record at the end; it survives a kill of this process."""
        body = _body(record)
        line = f'{{"crc": "{_crc(body)}", "record": {body}}}\n'.encode()
        with self._path.open("ab", buffering=0) as stream:
            stream.write(line)


def resumed(
    engine: Engine, prompts: Sequence[Prompt], settings: Generation, *, seed: int, journal: Journal
) -> Iterator[Sample]:
    """All samples: first those in the journal, then the missing ones, each written down before it is handed out."""
    wanted = {(prompt.id, number) for prompt in prompts for number in range(settings.num_samples)}
    stored = {(sample.id, sample.number): sample for sample in map(Sample.of, journal.read())}
    there = {key: sample for key, sample in stored.items() if key in wanted}
    yield from there.values()
    for sample in engine.generate(prompts, settings, seed=seed, skip=there.keys()):
        journal.append(sample.record())
        yield sample


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line, or None when the line is not whole."""
    try:
        found = json.loads(line)
        whole = line.endswith(b"\n") and found["crc"] == _crc(_body(found["record"]))
    except (ValueError, KeyError, TypeError):
        return None
    return found["record"] if whole else None


def _body(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True)


def _crc(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
