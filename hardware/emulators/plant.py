"""What moves under an emulated servo bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


class Placed(Protocol):
    """What can be looked at, and changed, from another process."""

    @property
    def state(self) -> np.ndarray:
        """All of it, (K,) float64."""
        ...

    def place(self, state: np.ndarray) -> None:
        """Change what is a number in `state` (K,); not-a-number leaves it as it is."""
        ...


class WholePlant(Plant, Placed, Protocol):
    """Joints in an emulator's process."""


class PlantFactory(Protocol):
    """Makes a plant in an emulator's process; it is pickled on its way there."""

    @property
    def size(self) -> int:
        """K of the plant's state."""
        ...

    def make(self) -> WholePlant: ...


class SecondOrder:
    """Critically damped joints without mass or gravity, integrated exactly:

        q'' = w^2 (goal - q) - 2 w q'

    A joint without torque stays where it is. Its state is position and velocity (2 J,).

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

    @property
    def state(self) -> np.ndarray:
        return np.concatenate([self.position, self.velocity])

    def place(self, state: np.ndarray) -> None:
        self.position, self.velocity = np.split(np.where(np.isnan(state), self.state, state), 2)


@dataclass(frozen=True)
class SecondOrderFactory:
    """Makes `SecondOrder` with its joints at `start` (J,) [rad]."""

    start: tuple[float, ...]

    @property
    def size(self) -> int:
        return 2 * len(self.start)

    def make(self) -> SecondOrder:
        return SecondOrder(self.start)
