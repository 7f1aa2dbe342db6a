"""Teleoperators: devices in a person's hand that can act in a policy's place. One row: a person has two hands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

LOST = 0.5  # [s] without a sign of life, after which a device counts as gone


@dataclass(frozen=True)
class Hand:
    """What a person does right now: where the robot should go (A,) float32, in the action's units; whether the button
    for take-over and hand-back was pressed since the last look."""

    target: np.ndarray
    switch: bool = False


class Teleoperator(ABC):
    """A keyboard, a gamepad, a leader arm. `read` never waits.

    Attributes:
        mirrors: the device has a pose of its own, which must be the robot's before it may take over.
    """

    mirrors = False

    @abstractmethod
    def connect(self) -> None:
        """Open the device. Raises `UserError` that says what to do when it cannot be opened."""

    @abstractmethod
    def read(self, applied: np.ndarray) -> Hand:
        """What the person asks for, given the robot's last accepted setpoint (A,)."""

    @property
    @abstractmethod
    def problem(self) -> str:
        """Why the robot has to stop: the device is gone, or its stop button was pressed; "" while all is well."""

    @abstractmethod
    def close(self) -> None:
        """Release the device. May be called twice."""
