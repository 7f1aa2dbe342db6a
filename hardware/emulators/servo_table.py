"""One emulated STS3215: its control table, what a write does to it, and the errors it reports."""

from __future__ import annotations

from hardware import sts3215
from hardware.sts3215 import Register, decode, encode

SIZE = 100  # [bytes] of the control table
STALL_CURRENT = 2.7  # [A] at 12 V
FACTORY = (
    (sts3215.MODEL_NUMBER, sts3215.MODEL),
    (sts3215.MAX_POSITION, sts3215.TURN - 1),
    (sts3215.MAX_TEMPERATURE, 70),
    (sts3215.MAX_VOLTAGE, 140),
    (sts3215.MIN_VOLTAGE, 40),
    (sts3215.UNLOADING, 44),  # overheating, over-current, overload
    (sts3215.P_GAIN, 32),
    (sts3215.D_GAIN, 32),
    (sts3215.TORQUE_LIMIT, 1000),
    (sts3215.LOCK, 1),
)
READ_ONLY = (range(5), range(56, 71))


class ServoTable:
    """Registers of one servo, and the world around it: supply voltage, temperature, an error that was forced.

    With the lock set, a write to an EEPROM register holds until `power_cycle`.
    """

    def __init__(self, identity: int) -> None:
        self.id = identity
        self.voltage, self.temperature, self.forced = 12.0, 30.0, 0
        self.present = 0  # [ticks] of the encoder, before the homing offset
        self.speed = 0  # [ticks/s]
        self.load = 0.0  # share of the stall torque
        self.waiting: tuple[int, bytes] | None = None  # a registered write
        self._eeprom = bytearray(SIZE)
        for register, value in FACTORY:
            self._store(self._eeprom, register, value)
        self._eeprom[5] = identity
        self._table = bytearray(self._eeprom)

    def get(self, register: Register) -> int:
        return decode(self.read(register.address, register.size), register)

    def set(self, register: Register, value: int) -> None:
        """Set a register as the factory does: for good."""
        self._store(self._table, register, value)
        self._store(self._eeprom, register, value)

    def read(self, address: int, size: int) -> bytes:
        self._measure()
        return bytes(self._table[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        """Write; read-only registers keep their value."""
        unlocked = self._table[sts3215.LOCK.address] == 0
        for place, byte in enumerate(data, address):
            if place >= SIZE or any(place in fixed for fixed in READ_ONLY):
                continue
            self._table[place] = byte
            if place < sts3215.LOCK_FROM and unlocked:
                self._eeprom[place] = byte

    def power_cycle(self) -> None:
        """Back to what the EEPROM holds; the torque is off."""
        self._table = bytearray(self._eeprom)

    @property
    def error(self) -> int:
        """Error byte of a reply."""
        tenths, least, most = self.voltage * 10, self.get(sts3215.MIN_VOLTAGE), self.get(sts3215.MAX_VOLTAGE)
        hot = self.temperature > self.get(sts3215.MAX_TEMPERATURE)
        return self.forced | (0 if least <= tenths <= most else 1) | (4 if hot else 0)

    @property
    def torque(self) -> float:
        """Share of its full torque that the servo may use now."""
        unloaded = self.error & self.get(sts3215.UNLOADING)
        return 0.0 if unloaded or not self.get(sts3215.TORQUE_ENABLE) else self.get(sts3215.TORQUE_LIMIT) / 1000

    @property
    def position(self) -> int:
        """[ticks] as the servo reports it."""
        offset = decode(bytes(self._table), sts3215.HOMING_OFFSET, 0)
        return (self.present - offset) % sts3215.TURN

    def _measure(self) -> None:
        for register, value in (
            (sts3215.PRESENT_POSITION, self.position),
            (sts3215.PRESENT_VELOCITY, self.speed),
            (sts3215.PRESENT_LOAD, round(self.load * 1000)),
            (sts3215.PRESENT_VOLTAGE, round(self.voltage * 10)),
            (sts3215.PRESENT_TEMPERATURE, round(self.temperature)),
            (sts3215.PRESENT_CURRENT, round(self.load * STALL_CURRENT / sts3215.AMPERE)),
        ):
            self._store(self._table, register, value)

    @staticmethod
    def _store(table: bytearray, register: Register, value: int) -> None:
        table[register.address : register.address + register.size] = bytes(encode(value, register))
