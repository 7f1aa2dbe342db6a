"""Jerk-limited ways from one pose to another (ruckig: L. Berscheid and T. Kroeger, RSS 2021)."""

from __future__ import annotations

import numpy as np

from robo_rl.errors import MissingExtra
from robo_rl.robot import RobotDescription

RISE = 0.25  # [s] from rest to full speed
JERK_RISE = 0.05  # [s] from none to full acceleration


class Ramp:
    """Setpoints (A,) float32 [rad], one a period, from `start` to rest at `goal`; the last one is `goal` itself.

    Args:
        description: speeds and accelerations of the joints.
        share: of the joints' `max_speed` that is used.
        dt: period [s].
        start, velocity: where the setpoint is and how fast it moves, (A,) [rad] [rad/s].
        goal: (A,) [rad].
    """

    def __init__(
        self,
        description: RobotDescription,
        share: float,
        dt: float,
        start: np.ndarray,
        velocity: np.ndarray,
        goal: np.ndarray,
    ) -> None:
        speed = share * description.array("max_speed")
        acceleration = np.minimum(0.5 * description.array("max_acceleration"), speed / RISE)
        self.last, self._at = start.astype(np.float32), 0
        self._way = _way(dt, start, velocity, goal, (speed, acceleration, acceleration / JERK_RISE), description.name)

    def step(self) -> np.ndarray:
        """The next setpoint."""
        self.last = self._way[min(self._at, len(self._way) - 1)]
        self._at += 1
        return self.last


def _way(
    dt: float, start: np.ndarray, velocity: np.ndarray, goal: np.ndarray, most: tuple[np.ndarray, ...], extra: str
) -> np.ndarray:
    """(K, A) float32: all setpoints of the fastest way with at `most` so much speed, acceleration and jerk."""
    try:
        from ruckig import InputParameter, Ruckig, Trajectory
    except ModuleNotFoundError as error:
        raise MissingExtra("ruckig", extra) from error
    joints = len(goal)
    asked, found = InputParameter(joints), Trajectory(joints)
    asked.current_position, asked.current_velocity = start.tolist(), velocity.tolist()
    asked.target_position = goal.tolist()
    asked.max_velocity, asked.max_acceleration, asked.max_jerk = (bound.tolist() for bound in most)
    Ruckig(joints).calculate(asked, found)
    times = dt * np.arange(1, int(found.duration / dt) + 2)
    way = np.array([found.at_time(min(time, found.duration))[0] for time in times.tolist()], np.float32)
    way[-1] = goal
    return way
