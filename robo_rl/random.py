"""Counter-based random numbers: a pure function of (seed, tick, stream), so that N rows need no N generators.

SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014) as the mixing function.
"""

from __future__ import annotations

import functools
import zlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def _mix(x: np.ndarray) -> np.ndarray:
    """In place, and returned."""
    x ^= x >> _SHIFTS[0]
    x *= _FACTORS[0]
    x ^= x >> _SHIFTS[1]
    x *= _FACTORS[1]
    x ^= x >> _SHIFTS[2]
    return x


@functools.cache
def _offsets(count: int) -> np.ndarray:
    return np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN


def stream(name: str) -> int:
    """A stable number for a named stream, e.g. "tracker"."""
    return zlib.crc32(name.encode())


def bits(seeds: np.ndarray, tick: np.ndarray | int, stream_id: int, count: int) -> np.ndarray:
    """(N, count) uint64 for seeds (N,) and ticks (N,) or one tick."""
    key = _mix(np.asarray(seeds).astype(np.int64).view(np.uint64) * _GOLDEN + np.uint64(stream_id))
    key = _mix(key + np.atleast_1d(tick).astype(np.uint64) * _GOLDEN)  # arrays wrap around without a warning
    return _mix(key[:, None] + _offsets(count))


def uniform(seeds: np.ndarray, tick: np.ndarray | int, stream_id: int, count: int) -> np.ndarray:
    """(N, count) float64 in [0, 1)."""
    return (bits(seeds, tick, stream_id, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(seeds: np.ndarray, tick: np.ndarray | int, stream_id: int, count: int) -> np.ndarray:
    """(N, count) float64 standard normal (Box-Muller)."""
    half = (count + 1) // 2
    u = uniform(seeds, tick, stream_id, 2 * half)
    radius = np.sqrt(-2.0 * np.log1p(-u[:, :half]))
    angle = 2.0 * np.pi * u[:, half:]
    np.multiply(radius, np.cos(angle), out=u[:, :half])
    np.multiply(radius, np.sin(angle), out=u[:, half:])
    return u[:, :count]


def mix(seeds: np.ndarray, tick: np.ndarray | int) -> np.ndarray:
    """(N,) int64 non-negative: seed of one draw at a tick of an episode."""
    return (bits(seeds, tick, 0, 1)[:, 0] >> np.uint64(1)).astype(np.int64)
