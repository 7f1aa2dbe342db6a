"""Pictures of a replay: each is kept once, however many ticks it was shown for and however many transitions use it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LONGEST = 16  # ticks that a kept picture stands for; then it is kept again, so that old ones can go in their turn


class Frames:
    """The pictures of one camera in N rows of a ring of `length` slots.

    A camera that is slower than the control loop shows a picture for several ticks; its capture stamp tells. The
    memory grows with what has to be kept, up to one picture a slot and row.
    """

    def __init__(self, shape: tuple[int, ...], n: int, length: int) -> None:
        self.n, self.length = n, length
        self._pool = np.zeros((min(length, LONGEST) * n, *shape), np.uint8)  # number k lies at k % len
        self._number = np.zeros((length, n), np.int64)  # of the picture that a slot shows
        self._kept = 0  # pictures ever kept
        self._before = np.zeros(length + LONGEST, np.int64)  # `_kept` before each of the last ticks
        self._tick = 0
        self._stamp = np.full(n, np.nan)
        self._since = np.full(n, LONGEST)  # ticks since the row's last one was kept
        self._last = np.zeros(n, np.int64)

    def add(self, slot: int, pictures: np.ndarray, stamp: np.ndarray, first: np.ndarray) -> None:
        """What all rows show at a slot: pictures (N, *shape), capture times (N,) [s], rows that begin (N,) bool."""
        fresh = np.flatnonzero((stamp != self._stamp) | first | (self._since >= LONGEST))
        self._before[self._tick % len(self._before)] = self._kept
        self._tick += 1
        self._reserve(len(fresh))
        numbers = self._kept + np.arange(len(fresh))
        self._pool[numbers % len(self._pool)] = pictures[fresh]
        self._kept += len(fresh)
        self._since += 1
        self._last[fresh], self._since[fresh], self._stamp[fresh] = numbers, 1, stamp[fresh]
        self._number[slot] = self._last

    def take(self, index: np.ndarray) -> np.ndarray:
        """Pictures (B, *shape) at flat indices (slot * N + row)."""
        return self._pool[self._number.ravel()[index] % len(self._pool)]

    @property
    def kept(self) -> int:
        """Pictures that are there now."""
        return self._kept - self._oldest

    @property
    def _oldest(self) -> int:
        """Number of the oldest picture that a slot may show."""
        size = len(self._before)
        return int(self._before[self._tick % size]) if self._tick >= size else 0

    def _reserve(self, more: int) -> None:
        """Make room for some pictures; those that are there keep their numbers."""
        need = self.kept + more
        if need <= len(self._pool):
            return
        size = max(need, min(3 * len(self._pool) // 2, self.n * len(self._before)))
        pool = np.zeros((size, *self._pool.shape[1:]), np.uint8)
        numbers = np.arange(self._oldest, self._kept)
        pool[numbers % size] = self._pool[numbers % len(self._pool)]
        self._pool = pool

    def state(self) -> dict[str, np.ndarray]:
        """Everything, for a checkpoint."""
        counters = np.array([self._kept, self._tick])
        return {
            "pool": self._pool, "number": self._number, "before": self._before, "stamp": self._stamp,
            "since": self._since, "last": self._last, "counters": counters,
        }  # fmt: skip

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._pool, self._number, self._before = (np.array(state[key]) for key in ("pool", "number", "before"))
        self._stamp, self._since, self._last = (np.array(state[key]) for key in ("stamp", "since", "last"))
        self._kept, self._tick = (int(x) for x in state["counters"])
