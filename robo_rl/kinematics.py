"""Forward kinematics from a robot description's table: the same on hardware and in simulation, without a simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robo_rl.robot import Joint, RobotDescription

BLOCK = 256  # rows at a time: what is in between stays in the cache


class Kinematics:
    """Pose of the tool from joint positions, and how it moves with them, vectorised over rows.

    Every joint is two 4 x 4 matrices: one moves points (homogeneous), one turns quaternions (left multiplication, by
    half the angle). They are applied from the tool to the base, so that no matrix is multiplied by a matrix:

        point       M = [R, offset; 0, 1],  R = turn (I + sin(q) K + (1 - cos(q)) K^2)   (Rodrigues)
        quaternion  M = L(turn) (cos(q / 2) I + sin(q / 2) L(axis))

    Attributes:
        columns: (C,) the joints that carry the tool, from the base to the tool.
    """

    def __init__(self, description: RobotDescription) -> None:
        joints = {joint.name: (index, joint) for index, joint in enumerate(description.joints)}
        chain, name = [], description.tool_parent
        while name:
            chain.append(joints[name])
            name = joints[name][1].parent
        self._columns = np.array([index for index, _ in chain])
        self.columns = self._columns[::-1]
        self._axes = np.array([_unit(joint.axis) for _, joint in chain[::-1]])[..., None]
        parts = zip(*(_joint_matrices(joint) for _, joint in chain), strict=True)
        self._constant, self._sine, self._cosine = (np.array(part) for part in parts)  # (J, 2, 4, 4)
        base = _base_matrices(description)
        for part in (self._constant, self._sine, self._cosine):
            part[-1] = base @ part[-1]
        self._share = np.array([1.0, 0.5])  # of the angle, for points and for quaternions
        turn = _unit(description.tool_quaternion)
        self._tool = np.stack([np.append(description.tool_position, 1.0), turn])[..., None]  # (2, 4, 1)
        self._moved = [np.ascontiguousarray(part[::-1, 0]) for part in (self._constant, self._sine, self._cosine)]
        self._grip = np.eye(4)  # of the tool, in the frame of the joint that carries it
        self._grip[:3, :3], self._grip[:3, 3] = rotation_matrix(turn), description.tool_position

    def tool_pose(self, position: np.ndarray) -> np.ndarray:
        """Joint positions (N, J) [rad] -> x y z [m] and unit quaternion w x y z (w >= 0) in the rig's frame, (N, 7)."""
        if len(position) <= BLOCK:
            return self._pose(position)
        blocks = range(0, len(position), BLOCK)
        return np.concatenate([self._pose(position[start : start + BLOCK]) for start in blocks])

    def _pose(self, position: np.ndarray) -> np.ndarray:
        angle = position[:, self._columns, None].astype(np.float64) * self._share
        sine, cosine = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
        matrices = self._constant + sine * self._sine + cosine * self._cosine  # (N, J, 2, 4, 4)
        both = self._tool
        for index in range(matrices.shape[1]):
            both = matrices[:, index] @ both
        point, turn = both[:, 0, :3, 0], both[:, 1, :, 0]
        turn = np.where(turn[:, :1] < 0, -turn, turn) / np.sqrt((turn * turn).sum(1, keepdims=True))
        return np.concatenate([point, turn], axis=1)

    def motion(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (N, C) float64 [rad] of the joints `columns` -> the tool's frame (N, 4, 4) in the rig's frame, and
        how it moves with each of them, (N, C, 6): axis x (tool - joint) [m/rad], then the axis itself."""
        angle = position[..., None, None]
        constant, sine, cosine = self._moved
        frames = constant + np.sin(angle) * sine + np.cos(angle) * cosine  # (N, C, 4, 4), each in the one before
        for index in range(1, frames.shape[1]):
            np.matmul(frames[:, index - 1], frames[:, index], out=frames[:, index])
        tool = frames[:, -1] @ self._grip
        axes = (frames[..., :3, :3] @ self._axes)[..., 0]
        away = tool[:, None, :3, 3] - frames[..., :3, 3]
        return tool, np.concatenate([cross(axes, away), axes], axis=-1)


def cross(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cross products of vectors (..., 3); several times faster than numpy's for a few."""
    ahead, behind = (1, 2, 0), (2, 0, 1)
    return left.take(ahead, -1) * right.take(behind, -1) - left.take(behind, -1) * right.take(ahead, -1)


def _joint_matrices(joint: Joint) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is constant, and what goes with the sine and with the cosine; (2, 4, 4) for points and quaternions."""
    turn, axis = rotation_matrix(np.array(joint.quaternion)), np.array(joint.axis) / np.linalg.norm(joint.axis)
    skew = _skew(axis)
    constant, sine, cosine = np.zeros((3, 2, 4, 4))
    constant[0, :3, :3], sine[0, :3, :3] = turn @ (np.eye(3) + skew @ skew), turn @ skew
    cosine[0, :3, :3] = -turn @ skew @ skew
    constant[0, :3, 3], constant[0, 3, 3] = joint.position, 1.0
    cosine[1] = _left(_unit(joint.quaternion))
    sine[1] = cosine[1] @ _left(np.append(0.0, axis))
    return constant, sine, cosine


def _base_matrices(description: RobotDescription) -> np.ndarray:
    """(2, 4, 4): from the base frame to the rig's, for points and for quaternions."""
    point = np.eye(4)
    point[:3, :3] = rotation_matrix(np.array(description.base_quaternion))
    point[:3, 3] = description.base_position
    return np.stack([point, _left(_unit(description.base_quaternion))])


def _left(quaternion: np.ndarray) -> np.ndarray:
    """(4, 4): what multiplies a quaternion w x y z from the left by this one."""
    w, x, y, z = quaternion
    return np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])


def _unit(vector: Sequence[float]) -> np.ndarray:
    return np.array(vector) / np.linalg.norm(vector)


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


def _skew(axis: np.ndarray) -> np.ndarray:
    x, y, z = axis
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
