"""How the orientation of a tool is told in a few numbers, without a singularity where a gripper works.

A gripper that points straight down is tilted by 0. From there it leans: by an angle, the tilt, towards a horizontal
direction; and it turns about the vertical, the yaw, taken before it leans (R = lean * turn). The tool's frame has z up
the gripper where it points down.

- An arm of six joints or more leans in any direction: `tilt_x`, `tilt_y` are the tilt times the direction in which the
  gripper then points.
- An arm of five joints (pan, three that bend in one vertical plane, roll) leans in that plane alone: one `tilt`,
  positive where the gripper points away from the base. Tilt and yaw are then sums of joint angles.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics, cross
from robo_rl.robot import RobotDescription

PARALLEL = 1e-3  # [rad] by which axes that should be parallel may differ


class Orientation(Protocol):
    """K numbers for the orientation of one arm's tool; the last is the yaw.

    Attributes:
        names: of the numbers.
    """

    names: tuple[str, ...]

    def numbers(self, tool: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """(N, K) [rad] of the tool's frames (N, 4, 4) at the positions (N, C) [rad] of the joints that carry it."""
        ...

    def aim(self, numbers: np.ndarray) -> np.ndarray:
        """What `error` needs of the numbers (N, K) to be reached."""
        ...

    def error(self, aim: np.ndarray, tool: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """(N, K) [rad] by which the tool is away from there, 0 where it is there."""
        ...

    def rates(self, motion: np.ndarray) -> np.ndarray:
        """`Kinematics.motion`'s (N, C, 6) -> how position and the error move with the joints, (N, C, 3 + K)."""
        ...


def orientation_of(description: RobotDescription, kinematics: Kinematics) -> Orientation:
    """What fits the arm. Raises `UserError` for one that has too few joints, or five of another kind."""
    count = len(kinematics.columns)
    if count >= 6:
        return Leaning()
    if count == 5:
        return LeaningInPlane(description, kinematics)
    raise UserError(
        f"robot.action=tool: robot={description.name} carries its tool with {count} joints; 5 or more are needed"
    )


class Leaning:
    """Of an arm that leans in any direction."""

    names: tuple[str, ...] = ("tilt_x", "tilt_y", "yaw")

    def numbers(self, tool: np.ndarray, joints: np.ndarray) -> np.ndarray:
        side = np.sqrt(tool[:, 0, 2] ** 2 + tool[:, 1, 2] ** 2)
        tilt = np.arctan2(side, tool[:, 2, 2])
        share = -tilt / np.maximum(side, 1e-12)  # the gripper points against the tool's z axis
        return np.stack([share * tool[:, 0, 2], share * tool[:, 1, 2], _yaw(tool)], axis=1)

    def aim(self, numbers: np.ndarray) -> np.ndarray:
        return _frame(numbers)

    def error(self, aim: np.ndarray, tool: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """The turn that is missing, about its axis; 2 sin(angle / 2) stands for its angle."""
        turn = aim @ tool[:, :3, :3].swapaxes(1, 2)
        double = turn[:, (2, 0, 1), (1, 2, 0)] - turn[:, (1, 2, 0), (2, 0, 1)]  # 2 sin(angle) * axis
        cos = np.clip(0.5 * (turn[:, 0, 0] + turn[:, 1, 1] + turn[:, 2, 2] - 1.0), -0.99, 1.0)
        return double / np.sqrt(2.0 + 2.0 * cos)[:, None]

    def rates(self, motion: np.ndarray) -> np.ndarray:
        return motion


class LeaningInPlane:
    """Of an arm of five joints: pan, three that bend it in one vertical plane, and a roll about the gripper.

    Raises:
        UserError: five joints of another kind.
    """

    names: tuple[str, ...] = ("tilt", "yaw")

    def __init__(self, description: RobotDescription, kinematics: Kinematics) -> None:
        home = description.array("home")[None, kinematics.columns]
        tool, motion = kinematics.motion(home)
        frame, axes = tool[0], motion[0, :, 3:]
        pan, bends, roll = axes[0], axes[1:4], axes[4]
        normal, up = bends[0], np.array([0.0, 0.0, 1.0])
        askew = [np.abs(cross(pan, up)), np.abs(cross(bends, normal)), np.abs(cross(roll, frame[:3, 2]))]
        if max(part.max() for part in askew) > PARALLEL or abs(normal @ up) > PARALLEL:
            raise UserError(
                f"robot.action=tool: robot={description.name} has five joints, but not pan, three that bend in one "
                f"vertical plane, and roll"
            )
        reach = cross(motion[0, 0, :3], pan)  # horizontal, from the pan axis to the tool
        normal = np.copysign(1.0, cross(normal, up) @ reach) * normal
        away = cross(normal, up)
        self._tilt = -axes @ normal
        self._yaw = np.array([pan @ up, 0.0, 0.0, 0.0, roll @ frame[:3, 2]])
        tilt = np.arctan2(-frame[:3, 2] @ away, frame[2, 2])
        self._zero = np.array([tilt - self._tilt @ home[0], _yaw(tool)[0] - self._yaw @ home[0]])
        self._rates = np.stack([self._tilt, self._yaw], axis=1)  # (C, 2)

    def numbers(self, tool: np.ndarray, joints: np.ndarray) -> np.ndarray:
        found = (joints[:, :, None] * self._rates).sum(1) + self._zero
        found[:, 1] = wrap(found[:, 1])
        return found

    def aim(self, numbers: np.ndarray) -> np.ndarray:
        return numbers

    def error(self, aim: np.ndarray, tool: np.ndarray, joints: np.ndarray) -> np.ndarray:
        error = aim - self.numbers(tool, joints)
        error[:, 1] = wrap(error[:, 1])
        return error

    def rates(self, motion: np.ndarray) -> np.ndarray:
        motion[..., 3:5] = self._rates
        return motion[..., :5]


def wrap(angle: np.ndarray) -> np.ndarray:
    """The same angle from -pi to pi [rad]."""
    return np.mod(angle + np.pi, 2 * np.pi) - np.pi


def _yaw(tool: np.ndarray) -> np.ndarray:
    """(N,) turn about the vertical that is left of frames (N, 4, 4) when they lean no more."""
    return np.arctan2(tool[:, 1, 0] - tool[:, 0, 1], tool[:, 0, 0] + tool[:, 1, 1])


def _frame(numbers: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotation matrices lean * turn of `Leaning`'s numbers (N, 3)."""
    x, y, yaw = numbers.T
    tilt = np.sqrt(x * x + y * y)
    half, near = 0.5 * tilt, tilt < 1e-9
    share = np.where(near, 0.5, np.sin(half) / np.where(near, 1.0, tilt))
    a, b, w = share * y, -share * x, np.cos(half)  # quaternion (w, a, b, 0) of the lean
    cos, sin = np.cos(0.5 * yaw), np.sin(0.5 * yaw)
    w, x, y, z = w * cos, a * cos + b * sin, b * cos - a * sin, w * sin
    out = np.empty((len(numbers), 3, 3))
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    out[:, 2, 0], out[:, 2, 1], out[:, 2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return out
