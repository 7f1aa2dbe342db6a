"""Which servos answer on a serial port, of which make, at which rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hardware.dynamixel import Dynamixel
from hardware.feetech import Feetech
from hardware.servo_errors import BusError, PortLost
from hardware.servo_family import ServoFamily
from robo_rl.errors import MissingExtra, UserError

FAMILIES: tuple[ServoFamily, ...] = (Feetech(), Dynamixel())
RATES = (1_000_000, 57_600)  # [baud]: what arms run at, and what a Dynamixel leaves its factory with


class Found(NamedTuple):
    """One servo that answered."""

    make: str
    baudrate: int  # [baud]
    id: int
    model: int
    name: str  # "" where no driver knows this model


def scan(port: str, ids: Iterable[int], patience: float) -> list[Found]:
    """Ask every id in both protocols, and wait so long [s] for each.

    Raises `UserError` when the port cannot be opened, or no SDK is installed.
    """
    ids, found, missing = tuple(ids), [], []
    for family in FAMILIES:
        for rate in RATES:
            try:
                found += _answers(family, port, rate, ids, patience)
            except MissingExtra as error:
                missing.append(error)
    if len(missing) == len(FAMILIES) * len(RATES):
        raise missing[0]
    return found


def _answers(family: ServoFamily, port: str, rate: int, ids: tuple[int, ...], patience: float) -> list[Found]:
    bus, found = family.open(port, rate, patience, 1), []
    try:
        for servo in ids:
            try:
                model = bus.ping(servo)
            except BusError:
                continue
            found.append(Found(family.name, rate, servo, model, family.models.get(model, "")))
    except PortLost as error:
        raise UserError(f"bus={port}: the port was lost: {error}") from error
    finally:
        bus.close()
    return found
