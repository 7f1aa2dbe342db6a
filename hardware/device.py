"""What every joint-position device shares: a guard before its bus, a ramp to the home pose, finite readings."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hardware.guard import Guard
from robo_rl.kinematics import Kinematics
from robo_rl.robot import Robot, RobotDescription, Stamp
from robo_rl.types import Obs


class Device(Robot):
    """One described robot (N = 1) behind its guard. A driver adds opening, sending, measuring and releasing.

    Args:
        description: joints, limits, home pose and control period.
        guard: default a `Guard` of that description.
        home_speed: speed of the homing ramp, as a fraction of the joints' `max_speed`.
        tolerance: joint error below which the robot is home [rad].
    """

    def __init__(
        self,
        description: RobotDescription,
        guard: Guard | None = None,
        home_speed: float = 0.5,
        tolerance: float = 0.05,
    ) -> None:
        self.description = description
        self.guard = Guard(description, 1) if guard is None else guard
        self.obs_spec, self.act_spec = description.obs_spec, description.act_spec
        self._kinematics = Kinematics(description)
        self._home = description.array("home").astype(np.float32)[None]
        self._ramp = (description.array("max_speed") * description.dt * home_speed).astype(np.float32)
        self._tolerance = tolerance
        self._holding = False  # the guard knows where the robot is

    def home(self, where: np.ndarray) -> np.ndarray:
        """One tick of a ramp from the measured pose to the home pose. A robot with a fault does not move."""
        if not where.any() or self.guard.faults.any():
            return np.zeros_like(where)
        position, _, _ = self._measure()
        if not self._holding:
            self._activate(position)
            self.guard.reset(where, position[None])
            self._holding = not self.guard.faults.any()
            return np.zeros_like(where)
        sent = self.guard.sent
        setpoint = self.write(np.clip(self._home, sent - self._ramp, sent + self._ramp), where)
        near = np.abs(position - self._home).max() < self._tolerance
        return where & near & (setpoint == self._home).all()

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        setpoint = self.guard.filter(action, live)
        if live.any():
            self._send(setpoint[0])
        return setpoint

    def read(self) -> tuple[Obs, Stamp]:
        position, velocity, stamp = self._measure()
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            self.guard.fault(np.ones(1, bool), "measured joint state is not finite")
        obs = {
            "joint_position": position.astype(np.float32)[None],
            "joint_velocity": velocity.astype(np.float32)[None],
            "applied": self.guard.sent,
            "tool_pose": self._kinematics.tool_pose(np.nan_to_num(position)[None]).astype(np.float32),
        }
        return obs, dict.fromkeys(obs, np.array([stamp]))

    def clear(self) -> None:
        """Forget a latched fault; the next `home` starts from the measured pose."""
        self.guard.clear(np.ones(1, bool))
        self._holding = False

    def _activate(self, position: np.ndarray) -> None:
        """Let the motors hold the measured `position` (A,) [rad]; called before the first command after `connect` or
        `clear`. Latches a fault of the guard where that fails."""

    @abstractmethod
    def _send(self, setpoint: np.ndarray) -> None:
        """Put joint setpoints (A,) float32 [rad] on the bus."""

    @abstractmethod
    def _measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Latest joint position (A,) [rad], velocity (A,) [rad/s] and capture time [s] on the monotonic clock."""
