"""Finding the calibration of an arm of bus servos, with a person who moves its joints by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hardware.calibration import MAX_OFFSET, Calibration, JointCalibration, check
from hardware.registers import TURN, Register, decode
from hardware.servo_family import ServoFamily, told
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription

if TYPE_CHECKING:
    from hardware.servo_bus import ServoBus

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


def calibrate(
    family: ServoFamily, port: str, description: RobotDescription, person: Person, baudrate: int = 1_000_000
) -> Calibration:
    """Calibrate servos 1 to J, in the order of the joints, and write homing offset and travel into their EEPROM.

    The servos are limp from the first question on. Raises `UserError` when a travel cannot be the joint's; the servos
    then keep the new offsets, so that their old calibration no longer fits and is refused.
    """
    names = description.names
    ids = tuple(range(1, len(names) + 1))
    bus = family.open(port, baudrate)
    try:
        with told(port, names, ids):
            family.identify(bus, port, names, ids)
            person.confirm("The arm is about to go limp. Hold it.")
            _write(bus, ids, family.torque, np.zeros(len(ids)))
            family.unlock(bus, ids)
            offsets = _centre(family, bus, ids, person)
            sweep = _travel(family, bus, ids, person)
            found = _result(description, ids, offsets, sweep)
            _write(bus, ids, family.calibration["range_min"], found.array("range_min"))
            _write(bus, ids, family.calibration["range_max"], found.array("range_max"))
            family.lock(bus, ids)
    finally:
        bus.close()
    return found


def _centre(family: ServoFamily, bus: ServoBus, ids: tuple[int, ...], person: Person) -> np.ndarray:
    """Offsets (J,) with which every servo shows its middle where its joint is now."""
    for field, value in (("homing_offset", 0), ("range_min", 0), ("range_max", TURN - 1)):
        _write(bus, ids, family.calibration[field], np.full(len(ids), value))
    person.confirm("Put every joint into the middle of its travel.")
    encoder = np.mod(_positions(family, bus, ids), TURN)
    offsets = np.clip(family.offset_sign * (MIDDLE - encoder), -MAX_OFFSET, MAX_OFFSET)
    _write(bus, ids, family.calibration["homing_offset"], offsets)
    return offsets


def _travel(family: ServoFamily, bus: ServoBus, ids: tuple[int, ...], person: Person) -> Sweep:
    sweep = Sweep(len(ids))
    begin = _positions(family, bus, ids)
    turns = TURN * np.rint((begin - MIDDLE) / TURN).astype(np.int64)  # of servos that count them
    for _ in person.meanwhile("Move every joint to its positive end, then to its negative end."):
        sweep.add(_positions(family, bus, ids) - turns)
    return sweep


def _result(description: RobotDescription, ids: tuple[int, ...], offsets: np.ndarray, sweep: Sweep) -> Calibration:
    still = [name for name, way in zip(description.names, sweep.first, strict=True) if way == 0]
    if still:
        raise UserError(f"calibrate: {', '.join(still)}: did not move; calibrate again and move every joint")
    least, most = np.maximum(sweep.least, 0), np.minimum(sweep.most, TURN - 1)  # a joint without ends: one turn
    rows = zip(description.names, ids, offsets, least, most, sweep.first, strict=True)
    joints = {
        name: JointCalibration(servo, int(offset), int(low), int(high), int(first < 0))
        for name, servo, offset, low, high, first in rows
    }
    found = Calibration(description.name, joints, "calibrate")
    check(found, description)
    return found


def _positions(family: ServoFamily, bus: ServoBus, ids: tuple[int, ...]) -> np.ndarray:
    register = family.position
    data, _ = bus.read_all(ids, register.address, register.size)
    return np.array([decode(row, register) for row in data])


def _write(bus: ServoBus, ids: tuple[int, ...], register: Register, values: np.ndarray) -> None:
    for servo, value in zip(ids, values.tolist(), strict=True):
        bus.write(servo, register, int(value))
