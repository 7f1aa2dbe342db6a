"""The guard: no command reaches a motor, real or simulated, without passing it.

One implementation runs in the driver and in simulation. It filters setpoints through a chain of limits and latches
faults: a latched row holds its last sent setpoint until somebody calls `clear`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription


class Limit(Protocol):
    """One bound on setpoints. Limits apply in order; each may assume that `sent` obeyed all of them."""

    def apply(self, target: np.ndarray, sent: np.ndarray) -> None:
        """Move `target` (N, A) float32 into the limit, in place; `sent` (N, A) was sent a period ago."""
        ...


class PositionLimit:
    """low <= target <= high, elementwise [rad]."""

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = low.astype(np.float32), high.astype(np.float32)

    def apply(self, target: np.ndarray, sent: np.ndarray) -> None:
        np.maximum(target, self.low, out=target)
        np.minimum(target, self.high, out=target)


class RateLimit:
    """|target - sent| <= step, elementwise [rad]. Comes after the position limit: where the two conflict, it wins."""

    def __init__(self, step: np.ndarray) -> None:
        self.step = step.astype(np.float32)

    def apply(self, target: np.ndarray, sent: np.ndarray) -> None:
        np.maximum(target, sent - self.step, out=target)
        np.minimum(target, sent + self.step, out=target)


class Workspace:
    """The tool stays in a box [m] of the base frame: a setpoint goes as far on the way from `sent` as the box lets it.

    It applies after the rate limit: what lies between two setpoints that keep the joints' limits keeps them, too. A
    tool that is outside may move as long as it gets no farther away.

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

    def apply(self, target: np.ndarray, sent: np.ndarray) -> None:
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


class Guard:
    """Filters setpoints of N rows: finite, within joint limits, within max_speed * dt of the last SENT setpoint.

    A setpoint within all limits passes bit for bit (float32). A setpoint that is not finite latches a fault.

    Args:
        description: limits and speeds of the joints.
        n: rows.
        dt: time between two calls of `filter` [s]; default the description's control period.
        max_age: oldest observation that may be acted on [s], see `stale`.
        max_misses: deadlines missed in a row that latch a fault, see `missed`.
        workspace: corners (low, high) of the box that the tool stays in [m]; None is no box.
    """

    def __init__(
        self,
        description: RobotDescription,
        n: int,
        dt: float | None = None,
        max_age: float = 0.2,
        max_misses: int = 5,
        workspace: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        period = description.dt if dt is None else dt
        self.limits: tuple[Limit, ...] = (
            PositionLimit(description.array("low"), description.array("high")),
            RateLimit(description.array("max_speed") * period),
        )
        if workspace is not None:
            self.limits += (Workspace(Kinematics(description), *workspace),)
        self.max_age, self.max_misses = max_age, max_misses
        self._names = description.names
        self._sent = np.tile(description.array("home").astype(np.float32), (n, 1))
        self._primed = np.zeros(n, bool)
        self._faults = np.zeros(n, bool)
        self._reasons = [""] * n
        self._all_open = False  # every row is primed and free of faults

    @property
    def sent(self) -> np.ndarray:
        """(N, A) float32 last setpoints."""
        return self._sent.copy()

    @property
    def faults(self) -> np.ndarray:
        return self._faults

    @property
    def reasons(self) -> Sequence[str]:
        return self._reasons

    def reset(self, where: np.ndarray, position: np.ndarray) -> None:
        """Rows `where` (N,) bool hold `position` (N, A) [rad] from now on. Latched faults stay."""
        position = np.asarray(position, np.float32)
        finite = np.isfinite(position).all(axis=1)
        self._sent[where & finite] = position[where & finite]
        self._primed |= where & finite
        self._latch(where & ~finite, "measured position is not finite")
        self._refresh()

    def filter(self, target: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Setpoints (N, A) float32 that may be sent in place of `target`.

        Rows that are not live (N,) bool, and rows with a fault, keep their last one. Raises `RuntimeError` for a live
        row that was never reset: its last setpoint is unknown, so nothing bounds the first jump.
        """
        with np.errstate(over="ignore"):
            out = np.array(target, np.float32)
        if not np.isfinite(out).all():
            self._refuse(out, live)
        for limit in self.limits:
            limit.apply(out, self._sent)
        if not (self._all_open and live.all()):
            self._hold(out, live)
        np.copyto(self._sent, out)
        return out

    def stale(self, age: np.ndarray | float, limit: float | None = None, what: str = "observation") -> None:
        """Latch rows whose observation is older than `limit` (default `max_age`) [s]; age (N,) or one for all [s]."""
        limit = self.max_age if limit is None else limit
        age = np.broadcast_to(np.asarray(age, np.float64), self._faults.shape)
        old = ~(age <= limit)  # not a number counts as old
        if old.any():
            self._latch(old, f"{what} is {age[old].max():.3f} s old, limit {limit:.3f} s")

    def missed(self, count: int) -> None:
        """Latch every row when `count` deadlines in a row were missed and that is `max_misses` or more."""
        if count >= self.max_misses:
            self._latch(np.ones_like(self._faults), f"{count} deadlines missed in a row, limit {self.max_misses}")

    def fault(self, where: np.ndarray, reason: str) -> None:
        """Latch rows `where` (N,) bool for a reason of the driver's: bus error, temperature, e-stop."""
        self._latch(where, reason)

    def clear(self, where: np.ndarray) -> None:
        """Forget the faults of rows `where` (N,) bool; they must be `reset` to a measured position before they move."""
        self._faults = self._faults & ~where
        self._primed &= ~where
        self._reasons = ["" if clear else text for clear, text in zip(where, self._reasons, strict=True)]
        self._refresh()

    def _refuse(self, out: np.ndarray, live: np.ndarray) -> None:
        """Latch live rows that ask for something not finite; their `out` becomes the last setpoint."""
        bad = ~np.isfinite(out)
        rows = np.asarray(bad.any(axis=1))
        for row in np.flatnonzero(rows & live):
            joints = ", ".join(self._names[joint] for joint in np.flatnonzero(bad[row]))
            self._latch(np.arange(len(rows)) == row, f"setpoint is not finite: {joints}")
        out[rows] = self._sent[rows]

    def _hold(self, out: np.ndarray, live: np.ndarray) -> None:
        if (live & ~self._primed & ~self._faults).any():
            raise RuntimeError("guard: filter was called for a row that was never reset to a measured position")
        held = self._faults | ~live
        out[held] = self._sent[held]

    def _latch(self, where: np.ndarray, reason: str) -> None:
        """The first fault of a row keeps its reason."""
        for row in np.flatnonzero(where & ~self._faults):
            self._reasons[row] = reason
        self._faults = self._faults | where
        self._refresh()

    def _refresh(self) -> None:
        self._all_open = bool(self._primed.all()) and not self._faults.any()
