"""Uniform numbers from counters: the draw at (seed, example, sample, position) is the same wherever it is made.

A sequence's key is a hash of seed, example id and sample number; its uniforms are the SplitMix64 stream (Steele et al.
2014, the finaliser of Vigna's `splitmix64.c`) that starts at the key, so that position t is computed without t - 1.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.digest import digest

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def stream(seed: int, example_id: str, number: int) -> int:
    """The 64-bit key of one sequence's draws."""
    return int(digest([seed, example_id, number])[:16], 16)


def uniforms(streams: Sequence[int], positions: Sequence[int]) -> NDArray[np.float64]:
    """Doubles in [0, 1) with 53 random bits, one for each stream at its position (both [n])."""
    with np.errstate(over="ignore"):
        bits = np.array(streams, np.uint64) + (np.array(positions, np.uint64) + np.uint64(1)) * _GOLDEN
        bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
        bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
