"""The embedded worlds are what they were when the claims about them were written down."""

import json

from benchmarks.lock import FILE, baseline_digests


def test_the_worlds_are_the_locked_ones() -> None:
    """When this fails on purpose: the world gets a new name, or docs/LOG.md says why the mathematics is the same."""
    assert baseline_digests() == json.loads(FILE.read_text())
