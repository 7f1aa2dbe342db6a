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
        constant, sine, cosine = (np.array(part) for part in parts)  # (J, 2, 4, 4)
        base = _base_matrices(description)
        for part in (constant, sine, cosine):
            part[-1] = base @ part[-1]
        turn = _unit(description.tool_quaternion)
        tool = np.stack([np.append(description.tool_position, 1.0), turn])[..., None]  # (2, 4, 1)
        self._last = [part[0] @ tool for part in (constant, sine, cosine)]  # the joint next to the tool, applied to it
        self._others = np.zeros((len(chain) - 1, 3, 2, 4, 2, 4))
        for index, part in enumerate((constant, sine, cosine)):
            self._others[:, index, 0, :, 0], self._others[:, index, 1, :, 1] = part[1:, 0], part[1:, 1]
        self._others = self._others.reshape(-1, 24, 8)
        self._moved = [np.ascontiguousarray(part[::-1, 0]) for part in (constant, sine, cosine)]
        self._grip = np.eye(4)  # of the tool, in the frame of the joint that carries it
        self._grip[:3, :3], self._grip[:3, 3] = rotation_matrix(turn), description.tool_position

    def tool_pose(self, position: np.ndarray) -> np.ndarray:
        """Joint positions (N, J) [rad] -> x y z [m] and unit quaternion w x y z (w >= 0) in the rig's frame, (N, 7)."""
        if len(position) <= BLOCK:
            return self._pose(position)
        blocks = range(0, len(position), BLOCK)
        return np.concatenate([self._pose(position[start : start + BLOCK]) for start in blocks])

    def _pose(self, position: np.ndarray) -> np.ndarray:
        """Rows lie along the last axis here, padded to a multiple of 8: one product a joint for all of them, in which
        a row's sum does not depend on how many there are."""
        n, padded = len(position), -(-len(position) // 8) * 8
        sine, cosine = self._functions(position, padded)
        constant, with_sine, with_cosine = self._last
        both = constant + sine[0] * with_sine + cosine[0] * with_cosine  # (2, 4, N)
        for index, matrix in enumerate(self._others, start=1):
            constant, with_sine, with_cosine = (matrix @ both.reshape(8, padded)).reshape(3, 2, 4, padded)
            with_sine *= sine[index]
            with_cosine *= cosine[index]
            both = constant
            both += with_sine
            both += with_cosine
        (x, y, z), turn, pose = both[0, :3, :n], both[1, :, :n], np.empty((n, 7))
        pose[:, 0], pose[:, 1], pose[:, 2] = x, y, z
        pose[:, 3:] = (turn * (np.copysign(1.0, turn[0]) / np.sqrt((turn * turn).sum(0)))).T
        return pose

    def _functions(self, position: np.ndarray, padded: int) -> tuple[np.ndarray, np.ndarray]:
        """Sine and cosine of each joint's angle and of half of it, (C, 2, 1, N) each, joints from the tool on."""
        half = np.zeros((len(self._columns), padded))
        np.multiply(position.T[self._columns], 0.5, out=half[:, : len(position)])
        sine, cosine = np.empty((2, len(half), 2, 1, padded))
        np.sin(half, out=sine[:, 1, 0])
        np.cos(half, out=cosine[:, 1, 0])
        np.multiply(2.0 * sine[:, 1], cosine[:, 1], out=sine[:, 0])
        np.subtract(1.0, 2.0 * sine[:, 1] ** 2, out=cosine[:, 0])
        return sine, cosine

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
