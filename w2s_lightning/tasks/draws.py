"""Random draws and orders that no library version changes, since examples, splits and targets are identity.

Only numpy's `SeedSequence` and the raw stream of `PCG64` are used, which NEP 19 keeps stable (the methods of
`Generator` may change between versions), and sha256.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.identity import digest

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def uniforms(count: int, *key: Any) -> Floats:
    """`count` doubles in [0, 1) with 53 random bits, a pure function of `key` (JSON values)."""
    bits = np.random.PCG64(np.random.SeedSequence(int(digest(list(key)), 16))).random_raw(count)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(count: int, *key: Any) -> Integers:
    """A random order of range(count), a pure function of `key`."""
    order: Integers = np.argsort(uniforms(count, *key), kind="stable").astype(np.int64)
    return order


def fingerprint(*parts: str | int) -> str:
    """sha256 of the parts as a JSON list, 64 hex digits; as a sort key it shuffles whatever order the input has.

    It makes ids, and one draw an example (`int(fingerprint(...), 16) % n`): `digest` is for records, and ten times
    slower.
    """
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def below(bound: int, uniform: Floats) -> Integers:
    """Whole numbers in [0, bound)."""
    return (uniform * bound).astype(np.int64)


def category(shares: Sequence[float] | Floats, uniform: Floats) -> Integers:
    """Indices drawn with the given shares, which add up to 1."""
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right").astype(np.int64)
