"""What generation takes and hands out, the one interface that every engine has, and the journal of samples.

The journal is an append-only file: an interrupted draw goes on where it stopped, and draws nothing twice. Every line is
one JSON object `{"crc": ..., "record": ...}`, written in one call. A kill leaves at most a half-written last line; that
and any line whose checksum is wrong is dropped when the file is opened, and its sample drawn again. No torch here.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from w2s_lightning.atomic import write_whole
from w2s_lightning.errors import UserError
from w2s_lightning.schema import Count, NonNegative, record

Finish = Literal["eos", "stop", "length", "too_long"]


@dataclass(frozen=True)
class Prompt:
    """A text to go on from, under the id of its example."""

    id: str
    text: str


@record
class Generation:
    """How solutions are drawn; all of it is identity.

    `temperature` 0 is greedy. `top_p` keeps the most probable tokens that hold this share. A text ends before the
    first of the `stop` strings. `special_tokens` lets the tokenizer add its own (a chat template has them already).
    `log_probs` stores the model's log-probability of every token, `top_log_probs` those of its k most probable ones:
    both in nats, from the untouched distribution (temperature 1, no top-p).
    """

    max_new_tokens: Count
    num_samples: Count
    temperature: NonNegative
    top_p: float
    stop: tuple[str, ...]
    special_tokens: bool
    log_probs: bool
    top_log_probs: int

    def __post_init__(self) -> None:
        _require(self.max_new_tokens >= 1, f"max_new_tokens={self.max_new_tokens} should be at least 1")
        _require(self.num_samples >= 1, f"num_samples={self.num_samples} should be at least 1")
        _require(self.temperature >= 0, f"temperature={self.temperature} should be 0 (greedy) or more")
        _require(0 < self.top_p <= 1, f"top_p={self.top_p} should lie above 0 and at most at 1 (1: all tokens)")
        _require(self.top_log_probs >= 0, f"top_log_probs={self.top_log_probs} should be 0 (none) or more")
        _require(all(self.stop), "a stop string is empty: it would end every text at once")
        _require(
            self.temperature > 0 or self.num_samples == 1,
            f"num_samples={self.num_samples} at temperature=0 are all the same: use num_samples=1, or temperature=1",
        )


@dataclass(frozen=True)
class Sample:
    """One drawn text.

    `tokens` lie wholly before a stop string; after `finish="eos"` the last one is the end-of-text token. `num_drawn`
    also counts what was cut off. `log_probs` [len(tokens)]; `top_ids` and `top_log_probs` [len(tokens), k].
    """

    id: str
    number: int
    text: str
    tokens: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    num_drawn: int
    log_probs: tuple[float, ...] | None = None
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


@dataclass(frozen=True)
class Tally:
    """Counts over samples: all, cut at `max_new_tokens` or the end of the context, and not drawn for long prompts."""

    num_samples: int
    num_truncated: int
    num_too_long: int
    num_tokens: int
    num_drawn: int

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Tally":
        """The counts of these samples; `num_tokens` is useful output, `num_drawn` also what was cut off."""
        rows = [(sample.finish, len(sample.tokens), sample.num_drawn) for sample in samples]
        ends = [finish for finish, _, _ in rows]
        tokens, drawn = sum(row[1] for row in rows), sum(row[2] for row in rows)
        return cls(len(rows), ends.count("length"), ends.count("too_long"), tokens, drawn)

    @property
    def truncated_share(self) -> float:
        """Truncated samples over all that were drawn."""
        return self.num_truncated / max(1, self.num_samples - self.num_too_long)


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


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


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
