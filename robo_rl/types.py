"""What flows around the loop: `Step` from the environment, `Action` from the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

Obs = Mapping[str, np.ndarray]
"""Observations by key, each (N, *shape)."""

PRIVILEGED = "privileged/"
"""Key prefix of simulation state that no sensor of the rig supplies. Bundles may not read it."""

NO_SEED = -1
"""Seed of a row that has no episode left to run."""


class Kind(IntEnum):
    """Place of a step in its episode. LAST is followed by FIRST, or by RESET ticks while a robot is being homed."""

    FIRST = 0
    MID = 1
    LAST = 2
    RESET = 3


class Reason(IntEnum):
    """Why an episode ended, or that it has not."""

    RUNNING = 0
    SUCCESS = 1
    FAILURE = 2
    TIMEOUT = 3
    FAULT = 4
    DIVERGED = 5

    @property
    def label(self) -> str:
        return self.name.lower()


class Success(IntEnum):
    """Success label of a row at this step; unknown where only a person can tell."""

    UNKNOWN = -1
    NO = 0
    YES = 1


# An enum's member takes NumPy several times as long as a plain number.
_FIRST, _MID, _LAST = int(Kind.FIRST), int(Kind.MID), int(Kind.LAST)


@dataclass(frozen=True, slots=True)
class Step:
    """One tick of N environments. All arrays are (N, ...) and owned by the step: nobody writes to them afterwards.

    `reward`, `discount` and `applied` answer the action sent at the previous step. Termination is discount 0;
    truncation (a time-out) is LAST with discount 1.
    """

    obs: Obs
    reward: np.ndarray  # (N,) float32
    discount: np.ndarray  # (N,) float32
    kind: np.ndarray  # (N,) uint8, Kind
    applied: np.ndarray  # (N, A) float32, setpoint the robot accepted
    success: np.ndarray  # (N,) int8, Success
    reason: np.ndarray  # (N,) uint8, Reason
    seed: np.ndarray  # (N,) int64, seed of the row's episode
    stamp: Mapping[str, np.ndarray] = field(default_factory=dict)  # key -> (N,) float64, capture time [s]

    @property
    def n(self) -> int:
        return len(self.kind)

    @property
    def first(self) -> np.ndarray:
        """(N,) bool."""
        return self.kind == _FIRST

    @property
    def last(self) -> np.ndarray:
        """(N,) bool."""
        return self.kind == _LAST

    @property
    def live(self) -> np.ndarray:
        """(N,) bool: rows whose next action will be executed (FIRST or MID)."""
        return self.kind <= _MID

    @property
    def exhausted(self) -> bool:
        """True when no row has an episode left."""
        return bool((self.seed == NO_SEED).all())


@dataclass(frozen=True, slots=True)
class Action:
    """A policy's answer: `value` (N, A) in the action spec's units, and what rides along into logs and replay."""

    value: np.ndarray
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
