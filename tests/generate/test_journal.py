"""The journal: what survives a kill, and going on from it with real draws."""

import os
import signal
import subprocess
import sys

import pytest

from tests.generate.drawing import PROMPTS, SAMPLED, draw, engine
from w2s_lightning.generate.engine import resumed
from w2s_lightning.generate.samples import Journal

RECORDS = [{"id": "a", "value": 0.1 + 0.2, "text": 'zwölf \u2028 "é"\n'}, {"id": "b", "value": None}, {"id": "c"}]


def written(path, records=RECORDS):
    journal = Journal(path)
    for record in records:
        journal.append(record)
    return path


def test_records_come_back_as_they_were_written(tmp_path):
    assert Journal(tmp_path / "none.jsonl").read() == []
    assert Journal(written(tmp_path / "journal.jsonl")).read() == RECORDS


def test_a_line_cut_at_any_byte_costs_only_itself(tmp_path):
    path = written(tmp_path / "journal.jsonl")
    whole = path.read_bytes()
    second = whole.splitlines(keepends=True)[1]
    for size in range(1, len(second)):
        path.write_bytes(whole[: len(whole.splitlines(keepends=True)[0])] + second[:size])
        journal = Journal(path)
        assert journal.read() == RECORDS[:1]
        journal.append(RECORDS[2])
        assert Journal(path).read() == [RECORDS[0], RECORDS[2]]


@pytest.mark.parametrize("damage", [b"x", b"}", b"\n", b"0"])
def test_a_damaged_line_is_dropped_wherever_it_stands(damage, tmp_path):
    path = written(tmp_path / "journal.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    middle = lines[1][:20] + damage + lines[1][21:]
    path.write_bytes(lines[0] + middle + lines[2])
    assert Journal(path).read() == [RECORDS[0], RECORDS[2]]
    assert Journal(path).read() == [RECORDS[0], RECORDS[2]]
    assert sorted(path.parent.iterdir()) == [path]


def test_a_broken_off_draw_goes_on_without_drawing_anything_twice(tiny, tmp_path):
    undisturbed, drawn = draw(tiny("llama"), SAMPLED), []

    class Watched:
        def generate(self, prompts, settings, *, seed, skip=()):
            for sample in engine(tiny("llama"), tokens_per_batch=90).generate(prompts, settings, seed=seed, skip=skip):
                drawn.append((sample.id, sample.number))
                yield sample

    found = {}
    for stop_after in (3, 8, 100):
        samples = resumed(Watched(), PROMPTS, SAMPLED, seed=0, journal=Journal(tmp_path / "journal.jsonl"))
        found = {(s.id, s.number): s for _, s in zip(range(stop_after), samples, strict=False)}
        samples.close()
    assert found == undisturbed
    assert sorted(drawn) == sorted(undisturbed)


def test_samples_of_other_prompts_in_the_journal_are_left_out(tiny, tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    list(resumed(engine(tiny("llama")), PROMPTS, SAMPLED, seed=0, journal=journal))
    fewer = list(resumed(engine(tiny("llama")), PROMPTS[:2], SAMPLED, seed=0, journal=journal))
    assert {sample.id for sample in fewer} == {"e0", "e1"}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.generate.conftest import opened
from tests.generate.drawing import PROMPTS, SAMPLED, engine
from w2s_lightning.generate.engine import resumed
from w2s_lightning.generate.samples import Journal
tiny = opened(Path(sys.argv[1]) / "model", "llama")
journal = Journal(Path(sys.argv[1]) / "journal.jsonl")
for number, _ in enumerate(resumed(engine(tiny, tokens_per_batch=60), PROMPTS, SAMPLED, seed=0, journal=journal)):
    if number == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_the_next_one_goes_on_from(tiny, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    journal = Journal(tmp_path / "journal.jsonl")
    before = journal.read()
    assert len(before) == 7
    samples = list(resumed(engine(tiny("llama")), PROMPTS, SAMPLED, seed=0, journal=journal))
    assert {(s.id, s.number): s for s in samples} == draw(tiny("llama"), SAMPLED)
    after = journal.read()
    assert after[:7] == before
    assert len(after) == len(samples) == len({(r["id"], r["number"]) for r in after})
