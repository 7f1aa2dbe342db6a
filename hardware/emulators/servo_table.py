"""The control table of one emulated servo, and what a write does to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from hardware.registers import Register, decode, encode


class ServoTable(ABC):
    """Registers of one servo, and the world around it: supply voltage, temperature, an error that was forced.

    Args:
        identity: id on the bus.
        size: [bytes] of the table.
        factory: registers that are not zero when it leaves the factory.
    """

    greeting = b""  # data of the reply to a ping
    goal: Register
    torque_enable: Register

    def __init__(self, identity: int, size: int, factory: Sequence[tuple[Register, int]]) -> None:
        self.id = identity
        self.voltage, self.temperature, self.forced = 12.0, 30.0, 0
        self.encoder = 0  # [ticks], before the homing offset
        self.speed = 0.0  # [ticks/s]
        self.load = 0.0  # share of the full torque
        self.waiting: tuple[int, bytes] | None = None  # a registered write
        self._eeprom = bytearray(size)
        for register, value in factory:
            self._store(self._eeprom, register, value)
        self._table = bytearray(self._eeprom)

    @property
    @abstractmethod
    def error(self) -> int:
        """Error byte of a reply."""

    @property
    @abstractmethod
    def torque(self) -> float:
        """Share of its full torque that the servo may use now."""

    @property
    @abstractmethod
    def position(self) -> int:
        """[ticks] as the servo reports it."""

    @abstractmethod
    def write(self, address: int, data: bytes) -> int:
        """Write; what is refused keeps its value. The error of the reply, 0 where there is none."""

    @abstractmethod
    def measured(self) -> Sequence[tuple[Register, int]]:
        """Registers that follow the world."""

    @property
    def on(self) -> bool:
        """Whether the torque is switched on."""
        return bool(self.get(self.torque_enable))

    def get(self, register: Register) -> int:
        return decode(self.read(register.address, register.size), register)

    def set(self, register: Register, value: int) -> None:
        """Set a register as the factory does: for good."""
        self._store(self._table, register, value)
        self._store(self._eeprom, register, value)

    def read(self, address: int, size: int) -> bytes:
        for register, value in self.measured():
            self._store(self._table, register, value)
        return bytes(self._table[address : address + size])

    def power_cycle(self) -> None:
        """Back to what the EEPROM holds; the torque is off."""
        self._table = bytearray(self._eeprom)

    def held(self, register: Register) -> int:
        """A register that does not follow the world."""
        return decode(bytes(self._table), register, 0)

    @staticmethod
    def _store(table: bytearray, register: Register, value: int) -> None:
        table[register.address : register.address + register.size] = bytes(encode(value, register))
