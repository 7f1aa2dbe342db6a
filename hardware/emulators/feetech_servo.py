"""One emulated STS3215: its control table, and the errors it reports."""

from __future__ import annotations

from collections.abc import Sequence

from hardware import sts3215
from hardware.emulators.servo_table import ServoTable
from hardware.registers import TURN, Register

SIZE = 100  # [bytes] of the control table
STALL_CURRENT = 2.7  # [A] at 12 V
FACTORY = (
    (sts3215.MODEL_NUMBER, sts3215.MODEL),
    (sts3215.MAX_POSITION, TURN - 1),
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


class FeetechServo(ServoTable):
    """With the lock set, a write to an EEPROM register holds until `power_cycle`."""

    goal, torque_enable = sts3215.GOAL_POSITION, sts3215.TORQUE_ENABLE

    def __init__(self, identity: int) -> None:
        super().__init__(identity, SIZE, [*FACTORY, (Register(5, 1), identity)])

    def write(self, address: int, data: bytes) -> int:
        unlocked = self._table[sts3215.LOCK.address] == 0
        for place, byte in enumerate(data, address):
            if place >= SIZE or any(place in fixed for fixed in READ_ONLY):
                continue
            self._table[place] = byte
            if place < sts3215.LOCK_FROM and unlocked:
                self._eeprom[place] = byte
        return 0

    @property
    def error(self) -> int:
        tenths, least, most = self.voltage * 10, self.held(sts3215.MIN_VOLTAGE), self.held(sts3215.MAX_VOLTAGE)
        hot = self.temperature > self.held(sts3215.MAX_TEMPERATURE)
        return self.forced | (0 if least <= tenths <= most else 1) | (4 if hot else 0)

    @property
    def torque(self) -> float:
        unloaded = self.error & self.held(sts3215.UNLOADING)
        return 0.0 if unloaded or not self.on else self.held(sts3215.TORQUE_LIMIT) / 1000

    @property
    def position(self) -> int:
        return (self.encoder - self.held(sts3215.HOMING_OFFSET)) % TURN

    def measured(self) -> Sequence[tuple[Register, int]]:
        return (
            (sts3215.PRESENT_POSITION, self.position),
            (sts3215.PRESENT_VELOCITY, round(self.speed)),
            (sts3215.PRESENT_LOAD, round(self.load * 1000)),
            (sts3215.PRESENT_VOLTAGE, round(self.voltage * 10)),
            (sts3215.PRESENT_TEMPERATURE, round(self.temperature)),
            (sts3215.PRESENT_CURRENT, round(self.load * STALL_CURRENT / sts3215.AMPERE)),
        )
