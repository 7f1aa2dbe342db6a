"""A person's velocities as setpoints: of the tool through the kinematic table, of the other joints directly."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription

NUDGE = 1e-4  # [rad] by which joints are moved to see what the tool does
DAMPING = 0.02  # [m/rad]
LEVER = 0.1  # [m] per rad: how turning weighs beside moving
MOST = 0.5  # share of their speed limit that joints are given


class ToolMotion:
    """Damped least squares, one step a tick: dq = J' (J J' + damping^2)^-1 v.

    An arm with fewer than six joints turns its tool as far as it can while moving it as asked.
    """

    def __init__(self, description: RobotDescription) -> None:
        self._kinematics = Kinematics(description)
        self._joints = len(description.joints)
        carrying = np.abs(self._jacobian(description.array("home"))).max(axis=0) > 1e-9
        self._free = np.flatnonzero(~carrying)  # joints that do not carry the tool: a gripper
        self._limit = MOST * description.array("max_speed") * description.dt  # [rad] a tick
        self._low, self._high = description.array("low"), description.array("high")
        self._dt = description.dt

    def step(self, applied: np.ndarray, velocity: np.ndarray, grip: float) -> np.ndarray:
        """The next setpoint (A,) float32.

        Args:
            applied: the last one (A,) [rad].
            velocity: of the tool in the base frame (6,) [m/s] [rad/s].
            grip: speed of the joints that do not carry the tool, as a share of their limit; positive opens.
        """
        wanted = velocity * self._dt * np.repeat([1.0, LEVER], 3)
        jacobian = self._jacobian(applied)
        change = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING**2 * np.eye(6), wanted)
        excess = np.abs(change / self._limit).max()
        change = change / max(1.0, float(excess))
        change[self._free] = np.clip(grip, -1.0, 1.0) * self._limit[self._free]
        return np.clip(applied + change, self._low, self._high).astype(np.float32)

    def _jacobian(self, joints: np.ndarray) -> np.ndarray:
        """(6, A) [m/rad]: of the tool's place and, times the lever, its turning."""
        around = np.asarray(joints, np.float64) + np.concatenate(
            [np.zeros((1, self._joints)), NUDGE * np.eye(self._joints)]
        )
        poses = self._kinematics.tool_pose(around)
        turns = Rotation.from_quat(poses[:, [4, 5, 6, 3]])
        turning = (turns[1:] * turns[0].inv()).as_rotvec()
        return np.concatenate([poses[1:, :3] - poses[0, :3], LEVER * turning], axis=1).T / NUDGE
