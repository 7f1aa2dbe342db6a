"""Finding the calibration of an arm of STS3215 servos, with a person who moves its joints by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hardware import sts3215
from hardware.calibration import MAX_OFFSET, Calibration, JointCalibration, check
from hardware.feetech_connect import identify, open_bus, told
from hardware.sts3215 import TURN, decode
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription

if TYPE_CHECKING:
    from hardware.feetech_bus import FeetechBus

MIDDLE = TURN // 2  # [ticks] that a servo shows in the middle of its travel
FIRST_WAY = 200  # [ticks] from the middle that count as having gone that way


class Person(Protocol):
    """Who moves the arm."""

    def confirm(self, text: str) -> None:
        """Say what to do and wait until it is done."""
        ...

    def meanwhile(self, text: str) -> Iterator[None]:
        """Say what to do and yield again and again until it is done."""
        ...


class Sweep:
    """Where the servos (J,) have been, and which way each left the middle first."""

    def __init__(self, joints: int) -> None:
        self.least, self.most = np.full(joints, MIDDLE), np.full(joints, MIDDLE)
        self.first = np.zeros(joints, np.int64)  # 1: ticks grew first

    def add(self, ticks: np.ndarray) -> None:
        self.least, self.most = np.minimum(self.least, ticks), np.maximum(self.most, ticks)
        way = np.where(np.abs(ticks - MIDDLE) >= FIRST_WAY, np.sign(ticks - MIDDLE), 0)
        self.first = np.where(self.first == 0, way, self.first)


def calibrate(port: str, description: RobotDescription, person: Person, baudrate: int = 1_000_000) -> Calibration:
    """Calibrate servos 1 to J, in the order of the joints, and write homing offset and travel into their EEPROM.

    The servos are limp from the first question on. Raises `UserError` when a travel cannot be the joint's; the servos
    then keep the new offsets, so that their old calibration no longer fits and is refused.
    """
    names = description.names
    ids = tuple(range(1, len(names) + 1))
    bus = open_bus(port, baudrate)
    try:
        with told(port, names, ids):
            identify(bus, port, names, ids)
            person.confirm("The arm is about to go limp. Hold it.")
            _write(bus, ids, sts3215.TORQUE_ENABLE, np.zeros(len(ids)))
            offsets = _centre(bus, ids, person)
            sweep = _travel(bus, ids, person)
            found = _result(description, ids, offsets, sweep)
            _write(bus, ids, sts3215.MIN_POSITION, sweep.least)
            _write(bus, ids, sts3215.MAX_POSITION, sweep.most)
            _write(bus, ids, sts3215.LOCK, np.ones(len(ids)))
    finally:
        bus.close()
    return found


def _centre(bus: FeetechBus, ids: tuple[int, ...], person: Person) -> np.ndarray:
    """Offsets (J,) with which every servo shows its middle where its joint is now."""
    for register, value in (
        (sts3215.LOCK, 0), (sts3215.HOMING_OFFSET, 0), (sts3215.MIN_POSITION, 0), (sts3215.MAX_POSITION, TURN - 1)
    ):  # fmt: skip
        _write(bus, ids, register, np.full(len(ids), value))
    person.confirm("Put every joint into the middle of its travel.")
    offsets = np.clip(_positions(bus, ids) - MIDDLE, -MAX_OFFSET, MAX_OFFSET)
    _write(bus, ids, sts3215.HOMING_OFFSET, offsets)
    return offsets


def _travel(bus: FeetechBus, ids: tuple[int, ...], person: Person) -> Sweep:
    sweep = Sweep(len(ids))
    for _ in person.meanwhile("Move every joint to its positive end, then to its negative end."):
        sweep.add(_positions(bus, ids))
    return sweep


def _result(description: RobotDescription, ids: tuple[int, ...], offsets: np.ndarray, sweep: Sweep) -> Calibration:
    still = [name for name, way in zip(description.names, sweep.first, strict=True) if way == 0]
    if still:
        raise UserError(f"calibrate: {', '.join(still)}: did not move; calibrate again and move every joint")
    rows = zip(description.names, ids, offsets, sweep.least, sweep.most, sweep.first, strict=True)
    joints = {
        name: JointCalibration(servo, int(offset), int(least), int(most), int(first < 0))
        for name, servo, offset, least, most, first in rows
    }
    found = Calibration(description.name, joints, "calibrate")
    check(found, description)
    return found


def _positions(bus: FeetechBus, ids: tuple[int, ...]) -> np.ndarray:
    data, _ = bus.read_all(ids, sts3215.PRESENT_POSITION.address, sts3215.PRESENT_POSITION.size)
    return np.array([decode(row, sts3215.PRESENT_POSITION) for row in data])


def _write(bus: FeetechBus, ids: tuple[int, ...], register: sts3215.Register, values: np.ndarray) -> None:
    for servo, value in zip(ids, values.tolist(), strict=True):
        bus.write(servo, register, int(value))
