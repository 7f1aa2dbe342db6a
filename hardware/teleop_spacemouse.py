"""A SpaceMouse as a teleoperator: six degrees of freedom of the tool, two buttons.

Reports of 3Dconnexion's devices: 1 has the translation, in newer ones followed by the rotation, 2 the rotation, 3 the
buttons; numbers are little-endian int16, up to 350 at the end of the travel.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from hardware.teleop_motion import ToolMotion
from robo_rl.errors import MissingExtra, UserError
from robo_rl.robot import RobotDescription
from robo_rl.teleop import Hand, Teleoperator

VENDORS = (0x256F, 0x046D)  # 3Dconnexion, and Logitech, which sold them before
PRODUCTS = range(0xC600, 0xC700)
FULL = 350.0
DEAD = 0.08  # share of the travel in which it counts as let go
REPORT = 13  # bytes
#    base frame: x forward, y left, z up; device: x right, y towards the person, z down
FRAME = np.array([[0, -1, 0], [-1, 0, 0], [0, 0, -1]], np.float64)


class Reports:
    """What the reports said last: `axes` (6,) -1 to 1 in the base frame, `buttons` that are down."""

    def __init__(self) -> None:
        self._raw = np.zeros(6)
        self.buttons: frozenset[int] = frozenset()
        self.pressed: set[int] = set()  # since somebody cleared it

    def feed(self, report: bytes) -> None:
        """One report; those of another kind are passed over."""
        kind, data = report[:1], report[1:]
        if kind == b"\x01" and len(data) >= 6:
            count = 6 if len(data) >= 12 else 3
            self._raw[:count] = struct.unpack_from(f"<{count}h", data)
        elif kind == b"\x02" and len(data) >= 6:
            self._raw[3:] = struct.unpack_from("<3h", data)
        elif kind == b"\x03" and data:
            bits = int.from_bytes(data[:4], "little")
            down = frozenset(number for number in range(32) if bits >> number & 1)
            self.pressed |= down - self.buttons
            self.buttons = down

    @property
    def axes(self) -> np.ndarray:
        share = np.clip(self._raw / FULL, -1.0, 1.0)
        share = np.sign(share) * np.maximum(np.abs(share) - DEAD, 0.0) / (1 - DEAD)
        return np.concatenate([FRAME @ share[:3], FRAME @ share[3:]])


class SpaceMouse(Teleoperator):
    """The first one that is plugged in. Its left button takes over and hands back; the right one opens and closes the
    gripper in turn; both together stop.

    Args:
        description: of the robot.
        speed, turn: of the tool at the end of the travel [m/s] [rad/s].
    """

    def __init__(self, description: RobotDescription, speed: float = 0.15, turn: float = 0.8) -> None:
        self._motion = ToolMotion(description)
        self._scale = np.repeat([speed, turn], 3)
        self._reports = Reports()
        self._device: Any = None
        self._grip, self._problem = 1.0, ""

    def connect(self) -> None:
        try:
            import hid
        except ImportError as error:
            raise MissingExtra("hidapi", "teleop") from error
        found = [each for each in hid.enumerate() if each["vendor_id"] in VENDORS and each["product_id"] in PRODUCTS]
        if not found:
            raise UserError("teleop=spacemouse: none is plugged in")
        device: Any = hid.device()
        try:
            device.open_path(found[0]["path"])
        except OSError as error:
            raise UserError(
                f"teleop=spacemouse: {found[0]['path'].decode()} cannot be opened ({error}); a udev rule gives "
                "permission"
            ) from error
        device.set_nonblocking(1)
        self._device = device

    def read(self, applied: np.ndarray) -> Hand:
        self._listen()
        pressed, down = self._reports.pressed, self._reports.buttons
        if {0, 1} <= down:
            self._problem = "stop: both buttons were pressed"
        self._grip = -self._grip if 1 in pressed else self._grip
        switch = 0 in pressed
        pressed.clear()
        return Hand(self._motion.step(applied, self._scale * self._reports.axes, self._grip), switch)

    @property
    def problem(self) -> str:
        return self._problem

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None

    def _listen(self) -> None:
        try:
            while self._device is not None and (report := self._device.read(REPORT)):
                self._reports.feed(bytes(report))
        except OSError:
            self._problem = "the SpaceMouse is gone"
            self._reports = Reports()
