"""What differs between makes of bus servos; and what may be wrong with a bus, told to the user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hardware.registers import Register
from hardware.servo_errors import BusError, PortLost
from robo_rl.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from hardware.servo_bus import ServoBus


class ServoFamily(ABC):
    """One make of servos: where its registers are, and what its SDK needs.

    Attributes:
        name: of the make.
        package, module, extra: distribution of the SDK, its module, this project's extra that installs it.
        models: names by model number.
        torque, goal, position, velocity: registers; torque is 0 or 1, the others are in ticks.
        calibration: registers that hold what the calibration file calls homing_offset, range_min, range_max.
        velocity_unit: [ticks/s] a unit of velocity.
        offset_sign: position = encoder + offset_sign * homing_offset.
    """

    name: str
    package: str
    module: str
    extra: str
    models: Mapping[int, str]
    torque: Register
    goal: Register
    position: Register
    velocity: Register
    velocity_unit: float = 1.0
    calibration: Mapping[str, Register]
    offset_sign: int

    @abstractmethod
    def bus(self, port: str, baudrate: int, patience: float, attempts: int) -> ServoBus:
        """Open a port. Raises `ModuleNotFoundError` without the SDK."""

    @abstractmethod
    def release(self, ids: Sequence[int]) -> list[bytes]:
        """Packets that switch the torque of all servos off; none of them is answered."""

    def unlock(self, bus: ServoBus, ids: Sequence[int]) -> None:
        """Let what is written to EEPROM registers last; the torque is off."""

    def lock(self, bus: ServoBus, ids: Sequence[int]) -> None:
        """Keep the EEPROM from being written."""

    @abstractmethod
    def problems(self, bus: ServoBus, ids: Sequence[int], errors: Sequence[int]) -> list[str]:
        """What the error bytes of replies say, in words, "" where nothing."""

    @abstractmethod
    def recover(self, bus: ServoBus, ids: Sequence[int]) -> list[str]:
        """End what the servos have latched; what each says was wrong, and what became of it, "" where nothing."""

    def open(self, port: str, baudrate: int, patience: float = 0.05, attempts: int = 3) -> ServoBus:
        """The bus behind a serial port. Raises `UserError` when it cannot be opened."""
        try:
            return self.bus(port, baudrate, patience, attempts)
        except ModuleNotFoundError as error:
            if error.name not in (self.module, "serial"):
                raise
            raise MissingExtra(self.package, self.extra) from error

    def identify(self, bus: ServoBus, port: str, names: Sequence[str], ids: Sequence[int]) -> list[int]:
        """Model numbers of the servos. Raises `UserError` unless all are of this make."""
        found = [bus.ping(servo) for servo in ids]
        for name, servo, model in zip(names, ids, found, strict=True):
            if model not in self.models:
                expected = " or ".join(f"{what}, model {number}" for number, what in self.models.items())
                raise UserError(f"robot.bus={port}: servo {servo} ({name}) is model {model}; expected {expected}")
        return found


@contextmanager
def told(port: str, names: Sequence[str], ids: Sequence[int]) -> Iterator[None]:
    """What goes wrong on the bus inside is raised as a `UserError` that names the joint."""
    try:
        yield
    except PortLost as error:
        raise UserError(f"robot.bus={port}: the port was lost: {error}") from error
    except BusError as error:
        joint = names[list(ids).index(error.servo)]
        raise UserError(
            f"robot.bus={port}: {error} ({joint}); check the arm's power, its cable up to this servo, and its id"
        ) from error
