"""Bounds on the setpoints of joints, applied one after the other by the guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics


class Limit(Protocol):
    """One bound on setpoints. Limits apply in order; each may assume that `sent` obeyed all of them."""

    def apply(self, target: np.ndarray, sent: np.ndarray, moved: np.ndarray) -> None:
        """Move `target` (N, A) float32 into the limit, in place; `sent` (N, A) was sent a period ago, and was `moved`
        (N, A) away from what was sent before it."""
        ...


class PositionLimit:
    """low <= target <= high, elementwise [rad]."""

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = low.astype(np.float32), high.astype(np.float32)

    def apply(self, target: np.ndarray, sent: np.ndarray, moved: np.ndarray) -> None:
        np.maximum(target, self.low, out=target)
        np.minimum(target, self.high, out=target)


class RateLimit:
    """|target - sent| <= step, elementwise [rad]. Comes after the position limit: where the two conflict, it wins."""

    def __init__(self, step: np.ndarray) -> None:
        self.step = step.astype(np.float32)

    def apply(self, target: np.ndarray, sent: np.ndarray, moved: np.ndarray) -> None:
        np.maximum(target, sent - self.step, out=target)
        np.minimum(target, sent + self.step, out=target)


class AccelerationLimit:
    """|moved' - moved| <= change, where moved' = target - sent [rad]; and a joint begins to brake early enough to stop
    at its position limit. Comes after the rate limit.

    From a step d, braking by `change` a period, a joint stops after d + (d - c) + (d - 2c) + ...; so the longest step
    that still stops within `room` is

        room / (n + 1) + c n / 2,   n = floor((sqrt(1 + 8 room / c) - 1) / 2)

    Args:
        low, high: position limits (A,) [rad].
        change: acceleration limit times the period squared (A,) [rad].
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, change: np.ndarray) -> None:
        self.low, self.high, self.change = low, high, change

    def apply(self, target: np.ndarray, sent: np.ndarray, moved: np.ndarray) -> None:
        up = np.minimum(moved + self.change, self._stoppable(self.high - sent))
        down = np.maximum(moved - self.change, -self._stoppable(sent - self.low))
        np.minimum(target, (sent + up).astype(np.float32), out=target)
        np.maximum(target, (sent + down).astype(np.float32), out=target)

    def _stoppable(self, room: np.ndarray) -> np.ndarray:
        room = np.maximum(room, 0.0)
        steps = np.floor((np.sqrt(1 + 8 * room / self.change) - 1) / 2)
        return room / (steps + 1) + self.change * steps / 2


class Workspace:
    """The tool stays in a box [m] of the base frame: a setpoint goes as far on the way from `sent` as the box lets it.

    It applies last: what lies between two setpoints that keep the joints' position and rate limits keeps them, too; at
    its wall the tool stops at once, faster than the acceleration limit. A tool that is outside may move as long as it
    gets no farther away.

    Args:
        kinematics: pose of the tool from joint positions.
        low, high: corners of the box (3,) [m].
    """

    HALVINGS = 12  # the way is divided into 4096 parts

    def __init__(self, kinematics: Kinematics, low: Sequence[float], high: Sequence[float]) -> None:
        self._kinematics = kinematics
        self._low, self._high = np.array(low, np.float64), np.array(high, np.float64)
        if not (self._low < self._high).all():
            raise UserError(f"workspace: low={list(low)} must be below high={list(high)}")

    def apply(self, target: np.ndarray, sent: np.ndarray, moved: np.ndarray) -> None:
        allowed = self._outside(sent)
        rows = np.flatnonzero(self._outside(target) > allowed)
        if rows.size:
            target[rows] = self._as_far_as(target[rows], sent[rows], allowed[rows])

    def _as_far_as(self, target: np.ndarray, sent: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Bisection of the way from `sent`; every point it returns was checked."""
        best, part = sent.copy(), np.zeros((len(sent), 1), np.float32)
        for halving in range(1, self.HALVINGS + 1):
            tried = part + np.float32(0.5**halving)
            point = sent + tried * (target - sent)
            fits = (self._outside(point) <= allowed)[:, None]
            part, best = np.where(fits, tried, part), np.where(fits, point, best)
        return best

    def _outside(self, position: np.ndarray) -> np.ndarray:
        """Distance of the tool from the box along its worst axis (N,) [m]; 0 inside."""
        place = self._kinematics.tool_pose(position)[:, :3]
        return np.maximum(np.maximum(self._low - place, place - self._high).max(axis=1), 0.0)
