"""An append-only file of samples: an interrupted draw goes on where it stopped, and draws nothing twice.

Every line is one JSON object `{"crc": ..., "record": ...}`, written in one call. A kill leaves at most a half-written
last line; that, and any line whose checksum is wrong, is dropped when the file is opened, and its sample drawn again.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_lightning.atomic import write_whole
from w2s_lightning.inference.samples import Engine, Generation, Prompt, Sample


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
