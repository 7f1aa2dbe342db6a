"""The state of an emulated UR controller: safety, the script that a client uploaded, and what it is told to do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import numpy as np

JOINTS = 6
SCRIPT_END = b"\nend\n"
READY, DONE = 1, 2  # what the script answers in output_int_register_0
POWER_ON, PROGRAM_RUNNING = 1, 2  # robot_status_bits
NORMAL, PROTECTIVE_STOP, EMERGENCY_STOP = 1 << 0, 1 << 2 | 1 << 10, 1 << 7 | 1 << 10  # safety_status_bits
SAFETY = {NORMAL: "NORMAL", PROTECTIVE_STOP: "PROTECTIVE_STOP", EMERGENCY_STOP: "ROBOT_EMERGENCY_STOP"}  # in words
RUNNING, POWER_OFF = 7, 3  # robot_mode


class Command(IntEnum):
    """Commands of ur-rtde's control script that are understood here, in input_int_register_0."""

    NONE = 0
    SERVOJ = 11
    SERVO_STOP = 16
    SET_WATCHDOG = 35
    STOP_SCRIPT = 255


class Told(NamedTuple):
    """A target of servoJ as it arrived."""

    time: float  # [s] monotonic
    target: np.ndarray  # (6,) [rad]


class Program:
    """What runs on the controller. `tell` and `watch` are called as packets and time come.

    Attributes:
        target: (6,) [rad] where the joints are sent; None: they hold where they are.
        told: targets of servoJ, newest last; whoever reads them takes them away.
        stopped: why the program ended, "" while nothing went wrong.
    """

    def __init__(self) -> None:
        self.running, self.power = False, True
        self.safety = NORMAL
        self.answer = 0
        self.target: np.ndarray | None = None
        self.told: deque[Told] = deque()
        self.stopped = ""
        self._limit: float | None = None  # [s] of the watchdog
        self._heard = time.monotonic()
        self._script = b""

    def upload(self, data: bytes) -> None:
        """A part of a script; a whole one starts, unless safety forbids it."""
        self._script += data
        if self._script.endswith(SCRIPT_END):
            self._script = b""
            if self.safety == NORMAL and self.power:
                self.running, self.answer, self.stopped, self._limit = True, READY, "", None

    def tell(self, inputs: Mapping[str, float | int]) -> None:
        """Registers that a client wrote."""
        command = inputs.get("input_int_register_0")
        if command is None or not self.running:
            return
        self._heard = time.monotonic()
        self.answer = READY if command in (Command.NONE, Command.SERVOJ) else DONE
        if command == Command.SERVOJ:
            self.target = np.array([inputs[f"input_double_register_{joint}"] for joint in range(JOINTS)])
            self.told.append(Told(self._heard, self.target))
        elif command == Command.SERVO_STOP:
            self.target = None
        elif command == Command.SET_WATCHDOG:
            self._limit = 1.0 / inputs["input_double_register_0"]
        elif command == Command.STOP_SCRIPT:
            self.stop("the client ended it")

    def watch(self) -> None:
        """End the program where its watchdog has heard nothing for too long."""
        silence = time.monotonic() - self._heard
        if self.running and self._limit is not None and silence > self._limit:
            self.stop(f"watchdog: {silence:.3f} s without an input")

    def stop(self, reason: str) -> None:
        self.running, self.target, self.stopped = False, None, reason

    def protect(self) -> None:
        """A protective stop: too much force, a joint limit, a singularity."""
        self.safety = PROTECTIVE_STOP
        self.stop("protective stop")

    def emergency(self) -> None:
        """Somebody pressed the red button: the power goes, too."""
        self.safety, self.power = EMERGENCY_STOP, False
        self.stop("emergency stop")

    def unlock(self) -> None:
        """A person ends a protective stop."""
        if self.safety == PROTECTIVE_STOP:
            self.safety = NORMAL

    @property
    def outputs(self) -> dict[str, float | int]:
        """Variables of the protocol that follow from this state."""
        return {
            "output_int_register_0": self.answer,
            "robot_status_bits": (POWER_ON if self.power else 0) | (PROGRAM_RUNNING if self.running else 0),
            "safety_status_bits": self.safety,
            "safety_mode": {NORMAL: 1, PROTECTIVE_STOP: 3}.get(self.safety, 7),
            "robot_mode": RUNNING if self.power else POWER_OFF,
            "runtime_state": 2 if self.running else 1,
            "speed_scaling": 1.0,
        }
