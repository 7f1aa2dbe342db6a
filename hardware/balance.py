"""When a legged robot is about to lie on the floor: tilt and fall, from its inertial measurement unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BalanceLimits:
    """Beyond them nothing that a gait does can help."""

    max_tilt: float = 1.2  # [rad] of the trunk from upright
    fall_acceleration: float = 3.0  # [m/s2] that an IMU measures at most while its robot falls; at rest it is 9.81
    fall_time: float = 0.15  # [s] of that: longer than the flight phase of a gait


class Balance:
    """Judges readings of one robot. `watch` returns what is wrong, or ""."""

    def __init__(self, limits: BalanceLimits) -> None:
        self.limits = limits
        self.restart()

    def restart(self) -> None:
        """Forget what lies before the motors were switched on."""
        self._falls_since = np.inf

    def watch(self, quaternion: np.ndarray, accelerometer: np.ndarray, time: float) -> str:
        """Orientation (4,) w x y z, acceleration (3,) with gravity [m/s2], capture time [s]."""
        limits = self.limits
        _, x, y, _ = quaternion.tolist()
        tilt = float(np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0)))
        falls = float(np.sqrt(accelerometer @ accelerometer)) < limits.fall_acceleration
        self._falls_since = min(self._falls_since, time) if falls else np.inf
        if not tilt <= limits.max_tilt:  # what is not a number is no upright trunk
            return f"the trunk is tilted by {tilt:.2f} rad, limit {limits.max_tilt:.2f}"
        if time - self._falls_since > limits.fall_time:
            return f"the robot has been falling for {time - self._falls_since:.2f} s, limit {limits.fall_time:.2f}"
        return ""
