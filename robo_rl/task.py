"""Tasks: what counts as success, how an episode begins, how long it may last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from robo_rl.spec import Spec
from robo_rl.types import Obs


@dataclass(frozen=True)
class Verdict:
    """A task's judgement of one tick; all (N,)."""

    reward: np.ndarray  # float32
    terminal: np.ndarray  # bool
    success: np.ndarray  # int8, Success
    reason: np.ndarray  # uint8, Reason


class Task(ABC):
    """Owns meaning; the rig owns time. `obs_spec` holds commands and goals the task adds to the observation."""

    name: str
    obs_spec: Spec
    limit: float  # [s]

    @abstractmethod
    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Set up episodes in rows `where` (N,) bool from their seeds (N,) int64: place objects, or ask a person.

        Called after the rig is home, every tick until the returned (N,) bool says that the row is ready.
        """

    def observe(self) -> dict[str, np.ndarray]:
        """Values of `obs_spec`, (N, ...)."""
        return {}

    @abstractmethod
    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        """Judge the tick that led to `obs` under the accepted setpoints `applied` (N, A)."""
