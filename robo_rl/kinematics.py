"""Forward kinematics from a robot description's table: the same on hardware and in simulation, without a simulator."""

from __future__ import annotations

import numpy as np

from robo_rl.robot import RobotDescription


class Kinematics:
    """Pose of the tool from joint positions, vectorised over rows."""

    def __init__(self, description: RobotDescription) -> None:
        joints = {joint.name: (index, joint) for index, joint in enumerate(description.joints)}
        chain, name = [], description.tool_parent
        while name:
            chain.append(joints[name])
            name = joints[name][1].parent
        chain.reverse()
        self._columns = np.array([index for index, _ in chain])
        self._offset = np.array([joint.position for _, joint in chain])
        self._turn = [rotation_matrix(np.array(joint.quaternion)) for _, joint in chain]
        axes = np.array([joint.axis for _, joint in chain])
        self._skew = np.array([_skew(axis / np.linalg.norm(axis)) for axis in axes])
        self._square = self._skew @ self._skew
        self._tool = np.array(description.tool_position)
        self._tool_turn = rotation_matrix(np.array(description.tool_quaternion))

    def tool_pose(self, position: np.ndarray) -> np.ndarray:
        """Joint positions (N, J) [rad] -> x y z [m] and unit quaternion w x y z (w >= 0) in the base frame, (N, 7).

        Rodrigues' formula for each joint: R = I + sin(q) K + (1 - cos(q)) K^2.
        """
        q = position[:, self._columns].astype(np.float64)[..., None, None]
        turns = np.eye(3) + np.sin(q) * self._skew + (1 - np.cos(q)) * self._square
        place = np.zeros((len(q), 3))
        frame = np.tile(np.eye(3), (len(q), 1, 1))
        for index, offset in enumerate(self._offset):
            place = place + frame @ offset
            frame = frame @ (self._turn[index] @ turns[:, index])
        place = place + frame @ self._tool
        return np.concatenate([place, quaternion(frame @ self._tool_turn)], axis=1)


def rotation_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Unit quaternion w x y z (4,) -> rotation matrix (3, 3)."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) -> unit quaternions w x y z (N, 4) with w >= 0 (Shepperd 1978: largest pivot)."""
    m = matrix
    trace = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 1, 0] + m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 2, 1] + m[:, 1, 2]
    ww = 1 + trace
    xx, yy, zz = (1 + 2 * m[:, i, i] - trace for i in range(3))
    rows = np.array([[ww, wx, wy, wz], [wx, xx, xy, xz], [wy, xy, yy, yz], [wz, xz, yz, zz]])  # (4, 4, N): 4 q q^T
    best = np.argmax(np.array([ww, xx, yy, zz]), axis=0)
    found = rows[best, :, np.arange(len(m))]
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(found[:, :1] < 0, -found, found)


def _skew(axis: np.ndarray) -> np.ndarray:
    x, y, z = axis
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
