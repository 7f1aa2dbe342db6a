"""Cadence: when to do something, how often, and how late we were."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


class Every:
    """True once in every `interval` counts (and at the first call where `first`)."""

    def __init__(self, interval: float, first: bool = False) -> None:
        self.interval, self._next = interval, None if first else interval

    def __call__(self, count: float) -> bool:
        if self.interval <= 0:
            return False
        if self._next is None:
            self._next = count
        if count < self._next:
            return False
        self._next += self.interval * (1 + (count - self._next) // self.interval)
        return True


class Deadline:
    """Monotonic pacing: `wait()` returns at start + k * dt, never at "now + dt", so the loop does not drift.

    `late` holds how late each wake-up was [s]; a deadline that had passed before `wait` was called is a miss, and
    the schedule then skips to the next period instead of bursting.

    Args:
        dt: period [s].
        history: wake-ups to remember.
        now: monotonic clock [s].
        sleep: sleeps that long [s], or a little longer.
    """

    SPIN = 2e-4  # [s] left to a busy wait: what the kernel's sleep overshoots by

    def __init__(
        self,
        dt: float,
        history: int = 1_000_000,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.dt, self.misses, self.misses_in_a_row, self.ticks = float(dt), 0, 0, 0
        self._now, self._sleep = now, sleep
        self._next: float | None = None
        self._late = np.zeros(history)

    @property
    def late(self) -> np.ndarray:
        """(ticks,) wake-up latency [s] of the recorded ticks."""
        return self._late[: min(self.ticks, len(self._late))]

    @property
    def left(self) -> float:
        """[s] until the next deadline; negative when it has passed."""
        return self.dt if self._next is None else self._next - self._now()

    def delay(self, seconds: float) -> None:
        """Move the next deadline and all after it; a schedule that follows another one is pulled along with it."""
        if self._next is not None:
            self._next += seconds

    def start(self) -> None:
        """Begin a schedule now: the first deadline is one period away."""
        self._next = self._now() + self.dt

    def wait(self) -> None:
        """Sleep until the next deadline."""
        if self._next is None:
            self.start()
        assert self._next is not None
        missed = self._now() > self._next
        while (left := self._next - self._now()) > 0:
            if left > self.SPIN:
                self._sleep(left - self.SPIN)
        now = self._now()
        if self.ticks < len(self._late):
            self._late[self.ticks] = now - self._next
        self.ticks += 1
        self.misses += missed
        self.misses_in_a_row = self.misses_in_a_row + 1 if missed else 0
        periods = int((now - self._next) // self.dt) if missed else 0
        self._next += self.dt * (1 + periods)
