"""Closed-form kinematics of a UR arm with its gripper pointing down, vectorised over rows.

With q2 + q3 + q4 = -90 degrees and q5 = -90 degrees joint 5's axis points outwards and the flange down; upper arm and
forearm are a planar chain whose end is d5 before the tool and d4 beside it. d and a are those of the DH table.
"""

from __future__ import annotations

import numpy as np

from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription
from sim.poses import yaw_of

HALF_TURN = [0.0, 0.0, 0.0, 1.0]


class SixJointArm:
    """Forward and inverse kinematics with the interface of `TopDownArm`; joint positions q are (N, 6) [rad].

    The controller carries the arm's weight, so that nothing sags. Raises `ValueError` for another kinematic structure.
    """

    def __init__(self, description: RobotDescription) -> None:
        position, axes = description.array("position"), description.array("axis")[:6]
        if len(description.joints) != 7 or not np.array_equal(axes, np.tile([0, 0, 1], (6, 1))):
            raise ValueError(f"{description.name}: not a UR arm")
        if not np.allclose(description.base_quaternion, HALF_TURN):
            raise ValueError(f"{description.name}: its base is not turned by half a turn")
        self.low, self.high = description.array("low")[:6], description.array("high")[:6]
        self._height = position[1, 2]
        self._upper, self._fore = -position[2, 0], -position[3, 0]
        self._beside, self._before = position[4, 2], position[5, 2]
        self._hand = description.tool_position[2]
        self._kinematics = Kinematics(description)

    def forward(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tool position (N, 3) [m], yaw (N,) and pitch below the horizontal (N,) [rad]."""
        pose = self._kinematics.tool_pose(q)
        w, x, y, z = pose[:, 3:].T
        return pose[:, :3], yaw_of(pose[:, 3:]), np.arcsin(np.clip(w * w - x * x - y * y + z * z, -1.0, 1.0))

    def inverse(self, position: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """Joint positions (N, 6) that bring the tool to `position` (N, 3) [m], pointing down; out of reach, the arm
        stretches towards it. The last joint is the one of `pan - yaw + k * 360 degrees` nearest to zero."""
        x, y, z = position.T
        radius = np.sqrt(np.maximum(x * x + y * y - self._beside**2, 1e-6))
        pan = np.arctan2(y, x) - np.arctan2(self._beside, radius)
        r, z = radius - self._before, z + self._hand - self._height
        cos = (r * r + z * z - self._upper**2 - self._fore**2) / (2 * self._upper * self._fore)
        elbow = np.arccos(np.clip(cos, -1.0, 1.0))
        lift = -np.arctan2(z, r) - np.arctan2(self._fore * np.sin(elbow), self._upper + self._fore * np.cos(elbow))
        roll = np.mod(pan - yaw + np.pi, 2 * np.pi) - np.pi
        down = np.full_like(pan, -np.pi / 2)
        q = np.stack([pan, lift, elbow, down - lift - elbow, down, roll], axis=-1)
        return np.clip(q, self.low, self.high)

    def sag(self, q: np.ndarray) -> np.ndarray:
        """What gravity turns each servo by at q (N, 6) [rad]: nothing."""
        return np.zeros_like(q)
