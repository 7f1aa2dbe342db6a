"""A gamepad as a teleoperator: Linux input events move the tool, and open and close the gripper.

Left stick: forward and sideways; right stick: up and down, and turning about the vertical; cross: tilting and rolling;
shoulder buttons: gripper. South (A, cross): take over, hand back. East (B, circle): stop. Start and select label an
episode as done and as failed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from hardware.keys import Keys
from hardware.operator import NO, YES
from hardware.teleop_motion import ToolMotion
from robo_rl.errors import MissingExtra, UserError
from robo_rl.robot import RobotDescription
from robo_rl.teleop import Hand, Teleoperator

EVENT = struct.Struct("llHHi")  # struct input_event of <linux/input.h>: seconds, microseconds, type, code, value
STICK = (-32768, 32767)
DEAD = 0.12  # share of a stick's travel in which it counts as let go
EV_KEY, EV_ABS = 1, 3  # <linux/input-event-codes.h>
ABS_X, ABS_Y, ABS_RX, ABS_RY, ABS_HAT0X, ABS_HAT0Y = 0, 1, 3, 4, 16, 17
BTN_SOUTH, BTN_EAST, BTN_TL, BTN_TR, BTN_SELECT, BTN_START = 0x130, 0x131, 0x136, 0x137, 0x13A, 0x13B
#      forward, left,  up,     roll,      tilt,      turn
AXES = (ABS_Y, ABS_X, ABS_RY, ABS_HAT0X, ABS_HAT0Y, ABS_RX)
SIGNS = np.array([-1.0, -1.0, -1.0, 1.0, 1.0, -1.0])  # sticks count down and right as positive
OPEN, CLOSE, SWITCH, STOP = BTN_TR, BTN_TL, BTN_SOUTH, BTN_EAST
LABELS = {BTN_START: YES, BTN_SELECT: NO}


class Event(NamedTuple):
    """struct input_event."""

    seconds: int
    microseconds: int
    type: int
    code: int
    value: int


class Gamepad(Teleoperator):
    """The device behind `path`, a file of /dev/input.

    Args:
        description: of the robot.
        path: e.g. /dev/input/event7; /dev/input/by-id has names.
        keys: where labels go.
        speed, turn: of the tool at a stick's end [m/s] [rad/s].
    """

    def __init__(
        self, description: RobotDescription, path: str, keys: Keys, speed: float = 0.15, turn: float = 0.8
    ) -> None:
        self._motion = ToolMotion(description)
        self._path, self._keys = path, keys
        self._scale = np.repeat([speed, turn], 3) * SIGNS
        self._ranges: Mapping[int, tuple[int, int]] = {}
        self._axis: dict[int, float] = dict.fromkeys(AXES, 0.0)
        self._down: set[int] = set()
        self._number: int | None = None
        self._rest = b""
        self._problem = ""

    def connect(self) -> None:
        try:
            self._number = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise UserError(
                f"teleop.path={self._path}: {error.strerror}; ls /dev/input/by-id shows what is plugged in, and the "
                "input group may read it"
            ) from error
        self._ranges = _ranges(self._path)

    def read(self, applied: np.ndarray) -> Hand:
        switches = 0
        for event in self._events():
            if event.type == EV_ABS and event.code in self._axis:
                self._axis[event.code] = self._share(event)
            elif event.type == EV_KEY:
                switches += self._button(event)
        velocity = self._scale * np.array([self._axis[axis] for axis in AXES])
        grip = float(OPEN in self._down) - float(CLOSE in self._down)
        return Hand(self._motion.step(applied, velocity, grip), switches % 2 == 1)

    @property
    def problem(self) -> str:
        return self._problem

    def close(self) -> None:
        if self._number is not None:
            os.close(self._number)
            self._number = None

    def _button(self, event: Event) -> bool:
        """Whether the button for take-over and hand-back went down."""
        if event.value == 0:
            self._down.discard(event.code)
            return False
        self._down.add(event.code)
        if event.code == STOP:
            self._problem = "stop: the gamepad's button was pressed"
        if event.code in LABELS and event.value == 1:
            self._keys.press(LABELS[event.code])
        return event.code == SWITCH and event.value == 1

    def _share(self, event: Event) -> float:
        """-1 to 1, 0 in the dead zone."""
        low, high = self._ranges.get(event.code, STICK)
        share = float(np.clip(2 * (event.value - low) / (high - low) - 1, -1, 1))
        return 0.0 if abs(share) < DEAD else (share - np.sign(share) * DEAD) / (1 - DEAD)

    def _events(self) -> Iterator[Event]:
        data = self._rest
        with suppress(BlockingIOError):
            while not self._problem and self._number is not None:
                more = self._more()
                data += more
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        for fields in EVENT.iter_unpack(data[:whole]):
            yield Event(*fields)

    def _more(self) -> bytes:
        """What lies there. Raises `BlockingIOError` where nothing does."""
        assert self._number is not None
        try:
            more = os.read(self._number, 64 * EVENT.size)
        except BlockingIOError:
            raise
        except OSError:
            more = b""
        if not more:
            self._problem = f"the gamepad {self._path} is gone"
            self._axis = dict.fromkeys(AXES, 0.0)
        return more


def _ranges(path: str) -> dict[int, tuple[int, int]]:
    """Ends of each axis; none where the file is no input device."""
    try:
        import evdev
    except ImportError as error:
        raise MissingExtra("evdev", "teleop") from error
    try:
        device = evdev.InputDevice(path)
    except OSError:
        return {}
    with device:
        absolute: Any = device.capabilities(absinfo=True).get(EV_ABS, [])
        return {code: (info.min, info.max) for code, info in absolute}
