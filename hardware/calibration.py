"""Calibration of one physical arm: which servo is which joint, and where its ticks are.

A calibration is a JSON file:

    {"format": 1, "robot": "so101",
     "joints": {"shoulder_pan": {"id": 1, "homing_offset": -120, "range_min": 790, "range_max": 3300,
                                 "drive_mode": 0}, ...}}

`homing_offset` [ticks] is what the servo subtracts from its encoder, `range_min` and `range_max` [ticks] are the ends
of the joint's travel, `drive_mode` 1 says that ticks grow against the joint's positive direction. The middle of the
travel is the middle of the limits in the robot's description.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hardware.registers import TURN
from robo_rl.errors import CorruptFile, UserError
from robo_rl.robot import RobotDescription

FORMAT = 1
SPAN_TOLERANCE = 0.35  # [rad] that a calibrated travel may differ from the description's
MAX_OFFSET = 2047  # [ticks]
MAX_ID = 252


@dataclass(frozen=True)
class JointCalibration:
    """One servo."""

    id: int
    homing_offset: int  # [ticks]
    range_min: int  # [ticks]
    range_max: int  # [ticks]
    drive_mode: int = 0  # 1: ticks grow against the joint's positive direction


@dataclass(frozen=True)
class Calibration:
    """The servos of one arm, in the order of its joints. `source` is what messages call it."""

    robot: str
    joints: Mapping[str, JointCalibration]
    source: str = "calibration"

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(joint.id for joint in self.joints.values())

    def array(self, field: str) -> np.ndarray:
        """One field of every servo, (J,) int64."""
        return np.array([getattr(joint, field) for joint in self.joints.values()], np.int64)

    def save(self, path: Path) -> None:
        """Write the file; one that is there already is replaced as a whole."""
        joints = {name: asdict(joint) for name, joint in self.joints.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps({"format": FORMAT, "robot": self.robot, "joints": joints}, indent=1) + "\n")
        os.replace(fresh, path)


class Ticks:
    """Ticks of an arm's servos to joint angles and back.

        angle = centre + direction * (ticks - middle) * 2 pi / 4096

    with the difference wrapped into half a turn on either side, so that a reading on the far side of the encoder's
    zero is where the joint is. Goals are rounded, and stay inside both the joint's limits and the calibrated travel.
    """

    def __init__(self, calibration: Calibration, description: RobotDescription) -> None:
        low, high = description.array("low"), description.array("high")
        self._least, self._most = calibration.array("range_min"), calibration.array("range_max")
        self._centre, self._middle = (low + high) / 2, (self._least + self._most) / 2
        self._scale = np.where(calibration.array("drive_mode") == 1, -1.0, 1.0) * 2 * np.pi / TURN  # [rad] a tick
        ends = np.sort([self.exact(low), self.exact(high)], axis=0)
        self._least = np.maximum(self._least, np.ceil(ends[0] - 1e-6)).astype(np.int64)
        self._most = np.minimum(self._most, np.floor(ends[1] + 1e-6)).astype(np.int64)

    def angle(self, ticks: np.ndarray) -> np.ndarray:
        """(J,) ticks -> (J,) [rad]."""
        return self.straight(ticks - self.turns(ticks))

    def straight(self, ticks: np.ndarray) -> np.ndarray:
        """(J,) ticks -> (J,) [rad], without wrapping: of servos that count their turns."""
        return self._centre + (ticks - self._middle) * self._scale

    def turns(self, ticks: np.ndarray) -> np.ndarray:
        """Whole turns (J,) [ticks] by which ticks (J,) lie away from the one around the middle of the travel."""
        return TURN * np.floor((ticks - self._middle) / TURN + 0.5)

    def goal(self, angle: np.ndarray) -> np.ndarray:
        """(J,) [rad] -> (J,) int64 ticks that a servo may be sent to."""
        return np.clip(np.rint(self.exact(angle)), self._least, self._most).astype(np.int64)

    def velocity(self, ticks: np.ndarray) -> np.ndarray:
        """(J,) [ticks/s] -> (J,) [rad/s]."""
        return ticks * self._scale

    def tick_velocity(self, velocity: np.ndarray) -> np.ndarray:
        """(J,) [rad/s] -> (J,) int64 [ticks/s]."""
        return np.rint(velocity / self._scale).astype(np.int64)

    def exact(self, angle: np.ndarray) -> np.ndarray:
        """(J,) [rad] -> (J,) ticks, neither rounded nor limited."""
        return self._middle + (angle - self._centre) / self._scale


def default_path(robot: str, name: str) -> Path:
    """Where the calibration of the arm `name` lives: the user's data folder (XDG)."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "robo_rl" / "calibration" / robot / f"{name}.json"


def load_calibration(path: Path, description: RobotDescription) -> Calibration:
    """Read and check a file. Raises `UserError`, in one line, when it is missing, broken or of another robot."""
    if not path.is_file():
        raise UserError(f"robot.calibration={path}: no such file; calibrate the arm first, see docs/hardware.md")
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CorruptFile(f"robot.calibration={path}: {error}") from error
    problem = _header_problem(data, description)
    if problem:
        raise CorruptFile(f"robot.calibration={path}: {problem}")
    joints = {name: _joint(data["joints"][name], name, path) for name in description.names}
    calibration = Calibration(description.name, joints, f"robot.calibration={path}")
    check(calibration, description)
    return calibration


def check(calibration: Calibration, description: RobotDescription) -> None:
    """Raise `CorruptFile`, naming the joint, unless the numbers can be this robot's."""
    for joint in description.joints:
        servo = calibration.joints[joint.name]
        problem = _servo_problem(servo, joint.high - joint.low)
        if list(calibration.ids).count(servo.id) > 1:
            problem = f"id={servo.id} is given to two joints"
        if problem:
            raise CorruptFile(f"{calibration.source}: {joint.name}: {problem}")


def _header_problem(data: Any, description: RobotDescription) -> str:
    if not isinstance(data, dict) or not isinstance(data.get("joints"), dict) or data.get("format") != FORMAT:
        return f'not a calibration of this format; expected {{"format": {FORMAT}, "robot": ..., "joints": ...}}'
    if data.get("robot") != description.name:
        return f"is of robot={data.get('robot')}, this is robot={description.name}"
    if set(data["joints"]) != set(description.names):
        return f"has the joints {', '.join(data['joints'])}; expected {', '.join(description.names)}"
    return ""


def _joint(data: Any, name: str, path: Path) -> JointCalibration:
    names = [field.name for field in fields(JointCalibration)]
    if not isinstance(data, dict) or set(data) != set(names) or not all(type(x) is int for x in data.values()):
        raise CorruptFile(f"robot.calibration={path}: {name}: expected integers {', '.join(names)}")
    return JointCalibration(**data)


def _servo_problem(servo: JointCalibration, travel: float) -> str:
    if not 0 <= servo.id <= MAX_ID:
        return f"id={servo.id}: valid are 0 to {MAX_ID}"
    if abs(servo.homing_offset) > MAX_OFFSET:
        return f"homing_offset={servo.homing_offset}: valid are -{MAX_OFFSET} to {MAX_OFFSET}"
    if servo.drive_mode not in (0, 1):
        return f"drive_mode={servo.drive_mode}: valid are 0, 1"
    if not 0 <= servo.range_min < servo.range_max < TURN:
        return f"range_min={servo.range_min} range_max={servo.range_max}: expected 0 <= range_min < range_max < {TURN}"
    span = (servo.range_max - servo.range_min) * 2 * np.pi / TURN
    if abs(span - travel) > SPAN_TOLERANCE:
        return f"the calibrated travel is {span:.2f} rad, the robot's is {travel:.2f} rad: calibrate this joint again"
    return ""
