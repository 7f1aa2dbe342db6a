"""Closed-form kinematics of a five-joint arm (SO-101, Koch) with its gripper pointing down, vectorised over rows.

In the vertical plane that the pan joint selects, the arm is a planar chain: shoulder axis, upper arm L1, forearm L2,
and the hand L3 from the wrist axis to the tool. Heights z and radii r are measured from the pan axis's foot.
"""

from __future__ import annotations

import numpy as np

from robo_rl.robot import RobotDescription

GRAVITY = 9.81  # [m/s2]
DOWN = np.pi / 2  # pitch of a gripper that points at the table [rad]


class TopDownArm:
    """Forward and inverse kinematics, and the servo offset that carries the arm's weight.

    Joint positions q are (..., 5) [rad]; tool positions (..., 3) [m] in the base frame; yaw (...) [rad] is the angle
    of the jaws' closing direction against the base's y axis. Raises `ValueError` for another kinematic structure.
    """

    def __init__(self, description: RobotDescription) -> None:
        position = description.array("position")
        axes = description.array("axis")[:5]
        if not np.array_equal(axes, [[0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]]) or position[:5, 1].any():
            raise ValueError(f"{description.name}: not a pan, lift, elbow, wrist_flex, wrist_roll arm")
        self.low, self.high = description.array("low")[:5], description.array("high")[:5]
        self._foot = np.array([position[1, 0], position[0, 2] + position[1, 2]])  # shoulder axis: r, z
        upper, fore = position[2], position[3]
        self._l1, self._a1 = np.hypot(upper[0], upper[2]), np.arctan2(upper[0], upper[2])
        self._l2, self._a2 = np.hypot(fore[0], fore[2]), np.arctan2(fore[2], fore[0])
        self._l3 = position[4, 0] + description.tool_position[0]
        self._weights = _weights(description)
        self._kp = description.servo("kp")[:5]

    def forward(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tool position (..., 3), yaw (...) and pitch (...)."""
        _, wrist, pitch = self._plane(q)
        r = wrist[0] + self._l3 * np.cos(pitch)
        z = wrist[1] - self._l3 * np.sin(pitch)
        pan = q[..., 0]
        return np.stack([r * np.cos(pan), r * np.sin(pan), z], axis=-1), pan - q[..., 4], pitch

    def inverse(self, position: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """Joint positions (..., 5) that bring the tool to `position`, pointing down where the wrist allows it.

        Beyond the wrist's limit the gripper tilts forward and the position is still met; out of reach, the arm
        stretches towards it. The roll is the one of `pan - yaw + k * 360 degrees` nearest to zero.
        """
        pan = np.arctan2(position[..., 1], position[..., 0])
        r = np.hypot(position[..., 0], position[..., 1]) - self._foot[0]
        z = position[..., 2] - self._foot[1]
        lift, elbow = self._two_links(r, z + self._l3, self._l2, self._a2)
        wrist = DOWN - lift - elbow
        limit = self.high[3]
        hand = (
            self._l2 * np.cos(self._a2) + self._l3 * np.cos(limit),
            self._l2 * np.sin(self._a2) - self._l3 * np.sin(limit),
        )
        tilted = self._two_links(r, z, np.hypot(*hand), np.arctan2(hand[1], hand[0]))
        over = wrist > limit
        lift, elbow = np.where(over, tilted[0], lift), np.where(over, tilted[1], elbow)
        roll = np.mod(pan - yaw + np.pi, 2 * np.pi) - np.pi
        q = np.stack([pan, lift, elbow, np.where(over, limit, wrist), roll], axis=-1)
        return np.clip(q, self.low, self.high)

    def sag(self, q: np.ndarray) -> np.ndarray:
        """What gravity turns each servo by at q (..., 5) [rad]: torque / kp. Subtract it from a setpoint."""
        elbow, wrist, pitch = self._plane(q)
        zero = np.zeros_like(pitch)
        origin = {1: self._foot[0] + zero, 2: elbow[0], 3: wrist[0]}
        angle = {1: q[..., 1], 2: q[..., 1] + q[..., 2], 3: pitch}
        out = np.zeros_like(q)
        for link, mass, x, z in self._weights:
            at = origin[link] + x * np.cos(angle[link]) + z * np.sin(angle[link])
            for joint in range(1, link + 1):
                out[..., joint] += mass * GRAVITY * (at - origin[joint])
        return out / self._kp

    def _plane(self, q: np.ndarray) -> tuple[tuple, tuple, np.ndarray]:
        """(r, z) of the elbow and of the wrist axis, and the hand's pitch below the horizontal."""
        lift, fore = q[..., 1] + self._a1, q[..., 1] + q[..., 2] - self._a2
        elbow = self._foot[0] + self._l1 * np.sin(lift), self._foot[1] + self._l1 * np.cos(lift)
        wrist = elbow[0] + self._l2 * np.cos(fore), elbow[1] - self._l2 * np.sin(fore)
        return elbow, wrist, q[..., 1] + q[..., 2] + q[..., 3]

    def _two_links(self, r: np.ndarray, z: np.ndarray, l2: float, a2: float) -> tuple[np.ndarray, np.ndarray]:
        """Lift and elbow, elbow up, that bring the end of a second link (length, angle) to (r, z)."""
        cos = (r * r + z * z - self._l1**2 - l2**2) / (2 * self._l1 * l2)
        bend = np.arccos(np.clip(cos, -1.0, 1.0))
        raise_ = np.arctan2(z, r) + np.arctan2(l2 * np.sin(bend), self._l1 + l2 * np.cos(bend))
        lift = np.pi / 2 - raise_ - self._a1
        return lift, bend - raise_ + a2 - lift


def _weights(description: RobotDescription) -> list[tuple[int, float, float, float]]:
    """(moving joint of the plane, mass, x, z of its centre of mass) of every link that gravity turns."""
    position, weights = description.array("position"), []
    offset = {1: np.zeros(3), 2: np.zeros(3), 3: np.zeros(3), 4: position[4], 5: position[4] + position[5]}
    for index, joint in enumerate(description.joints):
        link = description.model["links"][joint.name]
        if index:
            x, _, z = offset[index] + np.array(link["com"])
            weights.append((min(index, 3), link["mass"], float(x), float(z)))
    return weights
