"""What moves under an emulated servo bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Motion(NamedTuple):
    """State of the joints, each (J,)."""

    position: np.ndarray  # [rad]
    velocity: np.ndarray  # [rad/s]
    load: np.ndarray  # share of the stall torque, signed


class Plant(Protocol):
    """Joints with a position servo each. Called from the emulator's thread."""

    def advance(self, goals: np.ndarray, torque: np.ndarray, seconds: float) -> Motion:
        """Let `seconds` pass while the servos pull towards `goals` (J,) [rad] with at most `torque` (J,), the share of
        their full torque; 0 is a limp joint."""
        ...


class SecondOrder:
    """Critically damped joints without mass or gravity, integrated exactly:

        q'' = w^2 (goal - q) - 2 w q'

    A joint without torque stays where it is.

    Args:
        start: joint positions at power-on (J,) [rad].
        bandwidth: w [rad/s].
        stiffness: load per error [1/rad].
    """

    def __init__(self, start: Sequence[float] | np.ndarray, bandwidth: float = 30.0, stiffness: float = 6.0) -> None:
        self.position = np.array(start, np.float64)
        self.velocity = np.zeros_like(self.position)
        self._bandwidth, self._stiffness = bandwidth, stiffness

    def advance(self, goals: np.ndarray, torque: np.ndarray, seconds: float) -> Motion:
        goals, on = np.where(torque > 0, goals, self.position), torque > 0
        w = self._bandwidth
        error = self.position - goals
        slope, decay = self.velocity + w * error, np.exp(-w * seconds)
        self.position = goals + (error + slope * seconds) * decay
        self.velocity = np.where(on, (self.velocity - w * slope * seconds) * decay, 0.0)
        return Motion(self.position, self.velocity, np.clip((goals - self.position) * self._stiffness, -torque, torque))
