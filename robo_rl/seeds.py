"""Episode seeds. One seed feeds scene, sensors and policy of an episode; each role draws from a range of its own."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from robo_rl.ranges import whole
from robo_rl.types import NO_SEED

RUNS = 1000
PER_RUN = 10**9
RUN = whole(0, RUNS - 1)  # values of seed=


class Role(IntEnum):
    """What a seed is for. Ranges never overlap, so nothing is reported on seeds it was trained or chosen on."""

    REPORT = 0
    DEMONSTRATE = 1
    TRAIN = 2
    SELECT = 3  # choosing a checkpoint
    CONFIRM = 4  # confirming the choice once
    TUNE = 5  # hyper-parameters
    HOLD_OUT = 6  # the critic gate's fresh episodes


def seed_of(role: Role, run: int = 0, index: int = 0) -> int:
    """First seed of a role in training run `run`, plus index."""
    RUN.check("seed", run)
    return (int(role) * RUNS + int(run)) * PER_RUN + int(index)


class Seeds:
    """A stream of episode seeds: `start`, `start + 1`, ... `count` of them (None: endless)."""

    def __init__(self, start: int, count: int | None = None) -> None:
        self.start, self.count, self.given = int(start), count, 0

    def take(self, where: np.ndarray) -> np.ndarray:
        """(N,) int64: the next seeds for rows `where`, in row order; NO_SEED elsewhere and when none is left."""
        seeds = np.full(len(where), NO_SEED, np.int64)
        rows = np.flatnonzero(where)
        if self.count is not None:
            rows = rows[: max(0, self.count - self.given)]
        seeds[rows] = self.start + self.given + np.arange(len(rows))
        self.given += len(rows)
        return seeds
