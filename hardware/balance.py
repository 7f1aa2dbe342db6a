"""When a legged robot is about to lie on the floor: tilt and fall, from its inertial measurement unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robo_rl.ranges import POSITIVE


@dataclass(frozen=True)
class BalanceLimits:
    """Beyond them nothing that a gait does can help."""

    max_tilt: float = 1.2  # [rad] of the trunk from upright
    fall_acceleration: float = 3.0  # [m/s2] that an IMU measures at most while its robot falls; at rest it is 9.81
    fall_time: float = 0.15  # [s] of that: longer than the flight phase of a gait

    def __post_init__(self) -> None:
        POSITIVE.check_fields(self, "robot.guard.balance", "max_tilt", "fall_acceleration", "fall_time")


class Balance:
    """Judges the readings of N robots: it says what is wrong, and keeps nothing but since when they fall."""

    def __init__(self, limits: BalanceLimits, n: int = 1) -> None:
        self.limits, self._upright = limits, np.cos(limits.max_tilt)
        self._falls_since = np.full(n, np.inf)  # [s]

    def restart(self, where: np.ndarray) -> None:
        """Rows `where` (N,) bool: forget what lies before the motors were switched on, or before the episode."""
        self._falls_since[where] = np.inf

    def watch(self, quaternion: np.ndarray, accelerometer: np.ndarray, time: np.ndarray) -> dict[int, str]:
        """What is wrong, by row.

        Args:
            quaternion: of the trunk (N, 4) w x y z, with or without its heading.
            accelerometer: (N, 3) with gravity [m/s2].
            time: of capture (N,) [s].
        """
        limits, x, y = self.limits, quaternion[:, 1], quaternion[:, 2]
        upright, weight = 1.0 - 2.0 * (x * x + y * y), np.vecdot(accelerometer, accelerometer)
        if upright.min() > self._upright and weight.min() > limits.fall_acceleration**2:  # what is no number is neither
            self._falls_since[:] = np.inf
            return {}
        tilt, falls = np.arccos(np.clip(upright, -1.0, 1.0)), weight < limits.fall_acceleration**2
        self._falls_since = np.where(falls, np.minimum(self._falls_since, time), np.inf)
        fallen = time - self._falls_since
        tilted = ~(tilt <= limits.max_tilt)  # what is not a number is no upright trunk
        found = {}
        for row in np.flatnonzero(tilted | (fallen > limits.fall_time)).tolist():
            found[row] = f"the robot has been falling for {fallen[row]:.2f} s, limit {limits.fall_time:.2f}"
            if tilted[row]:
                found[row] = f"the trunk is tilted by {tilt[row]:.2f} rad, limit {limits.max_tilt:.2f}"
        return found
