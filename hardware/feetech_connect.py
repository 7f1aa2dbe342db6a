"""Opening a Feetech bus: what may be wrong with extra, port, power, cable or servos is told to the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hardware.sts3215 import MODEL
from robo_rl.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from hardware.feetech_bus import FeetechBus


def open_bus(port: str, baudrate: int, patience: float = 0.05, attempts: int = 3) -> FeetechBus:
    """The bus behind a serial port; arguments as for `FeetechArm`. Raises `UserError` when it cannot be opened."""
    try:
        from hardware.feetech_bus import FeetechBus
        from hardware.feetech_port import ExclusivePort
    except ModuleNotFoundError as error:
        if error.name not in ("scservo_sdk", "serial"):
            raise
        raise MissingExtra("feetech-servo-sdk", "so101") from error
    return FeetechBus(ExclusivePort(port, baudrate, patience), attempts)


@contextmanager
def told(port: str, names: Sequence[str], ids: Sequence[int]) -> Iterator[None]:
    """What goes wrong on the bus inside is raised as a `UserError` that names the joint."""
    from hardware.feetech_bus import BusError, PortLost

    try:
        yield
    except PortLost as error:
        raise UserError(f"robot.bus={port}: the port was lost: {error}") from error
    except BusError as error:
        joint = names[list(ids).index(error.servo)]
        raise UserError(
            f"robot.bus={port}: {error} ({joint}); check the arm's power, its cable up to this servo, and its id"
        ) from error


def identify(bus: FeetechBus, port: str, names: Sequence[str], ids: Sequence[int]) -> None:
    """Raise `UserError` unless every servo is an STS3215."""
    for name, servo in zip(names, ids, strict=True):
        model = bus.ping(servo)
        if model != MODEL:
            raise UserError(
                f"robot.bus={port}: servo {servo} ({name}) is model {model}; expected an STS3215, model {MODEL}"
            )
