"""The guard: no command reaches a motor, real or simulated, without passing it.

One implementation runs in the driver and in simulation. It filters setpoints through a chain of limits and latches
faults: a latched row holds its last sent setpoint until somebody calls `clear`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hardware.balance import Balance, BalanceLimits
from hardware.limits import AccelerationLimit, Limit, PositionLimit, RateLimit, Workspace
from robo_rl.kinematics import Kinematics
from robo_rl.ranges import COUNT, POSITIVE
from robo_rl.robot import RobotDescription, Stamp
from robo_rl.types import Obs


class Guard:
    """Filters setpoints of N rows: finite, within joint limits, within max_speed * dt of the last SENT setpoint, and
    within max_acceleration * dt^2 of where the last two SENT setpoints lead.

    A setpoint within all limits passes bit for bit (float32). A setpoint that is not finite latches a fault. A row with
    a fault, and one that is not live, stops at once, whatever its acceleration limit. A robot with feet that tilts or
    falls latches a fault, too, see `sense`.

    Args:
        description: limits and speeds of the joints.
        n: rows.
        dt: time between two calls of `filter` [s]; default the description's control period.
        max_age: oldest observation that may be acted on [s], see `stale`.
        max_misses: deadlines missed in a row that latch a fault, see `missed`.
        workspace: corners (low, high) of the box that the tool stays in [m]; None is no box.
        balance: when a robot with feet lies on the floor soon.
    """

    def __init__(
        self,
        description: RobotDescription,
        n: int,
        dt: float | None = None,
        max_age: float = 0.2,
        max_misses: int = 5,
        workspace: tuple[Sequence[float], Sequence[float]] | None = None,
        balance: BalanceLimits | None = None,
    ) -> None:
        POSITIVE.check("robot.guard.max_age", max_age)
        COUNT.check("robot.guard.max_misses", max_misses)
        self.dt = description.dt if dt is None else dt
        self.limits = _limits(description, self.dt, workspace)
        self.max_age, self.max_misses = max_age, max_misses
        self._description, self._workspace = description, workspace
        self._balance = Balance(balance or BalanceLimits(), n) if description.model.get("feet") else None
        self._names = description.names
        self._sent = np.tile(description.array("home").astype(np.float32), (n, 1))
        self._moved = np.zeros_like(self._sent)  # [rad] from the setpoint before
        self._primed = np.zeros(n, bool)
        self._faults = np.zeros(n, bool)
        self._reasons = [""] * n
        self._all_open = False  # every row is primed and free of faults

    @property
    def sent(self) -> np.ndarray:
        """(N, A) float32 last setpoints."""
        return self._sent.copy()

    @property
    def velocity(self) -> np.ndarray:
        """(N, A) of the setpoints [rad/s]."""
        return self._moved / self.dt

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
        self._moved[where & finite] = 0.0
        self._primed |= where & finite
        if self._balance is not None:
            self._balance.restart(where)
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
            limit.apply(out, self._sent, self._moved)
        if not (self._all_open and live.all()):
            self._hold(out, live)
        np.subtract(out, self._sent, out=self._moved)
        np.copyto(self._sent, out)
        return out

    def preview(self, targets: Iterable[np.ndarray]) -> np.ndarray:
        """The setpoints (N, A) that `filter` would have sent after the last of `targets`, finite and (N, A) each, one a
        period. Nothing changes."""
        sent, moved = self._sent, self._moved
        for target in () if self._faults.any() else targets:
            out = np.array(target, np.float32)
            for limit in self.limits:
                limit.apply(out, sent, moved)
            sent, moved = out, out - sent
        return sent.copy()

    def at(self, dt: float) -> Guard:
        """A guard with the same limits for another period [s]."""
        balance = None if self._balance is None else self._balance.limits
        more = self.max_age, self.max_misses, self._workspace, balance
        return Guard(self._description, len(self._sent), dt, *more)

    def sense(self, obs: Obs, stamp: Stamp) -> None:
        """Latch rows that tilt or fall, by `imu_quaternion` (N, 4) and `accelerometer` (N, 3) of an observation."""
        if self._balance is not None:
            seen = obs["imu_quaternion"], obs["accelerometer"], stamp["accelerometer"]
            for row, reason in self._balance.watch(*seen).items():
                self._latch(np.arange(len(self._faults)) == row, reason)

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
        if self._balance is not None:
            self._balance.restart(where)
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


def _limits(
    description: RobotDescription, dt: float, workspace: tuple[Sequence[float], Sequence[float]] | None
) -> tuple[Limit, ...]:
    """In the order in which they apply. An acceleration that reverses the full speed within a period bounds nothing."""
    low, high = description.array("low"), description.array("high")
    step, change = description.array("max_speed") * dt, description.array("max_acceleration") * dt**2
    limits: list[Limit] = [PositionLimit(low, high), RateLimit(step)]
    if (change < 2 * step).any():
        limits.append(AccelerationLimit(low, high, change))
    if workspace is not None:
        limits.append(Workspace(Kinematics(description), *workspace))
    return tuple(limits)
