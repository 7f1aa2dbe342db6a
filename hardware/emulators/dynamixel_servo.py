"""One emulated XL430 or XL330: its control table, its hardware errors, and its bus watchdog."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hardware import dynamixel_x
from hardware.dynamixel_x import MODELS, TRIPPED
from hardware.emulators.servo_table import ServoTable
from hardware.registers import TURN, Register, decode

SIZE = 147  # [bytes] of the control table
FACTORY = (
    (dynamixel_x.FIRMWARE, 48),
    (dynamixel_x.RETURN_DELAY, 250),
    (dynamixel_x.OPERATING_MODE, 3),
    (dynamixel_x.PWM_LIMIT, dynamixel_x.FULL_PWM),
    (dynamixel_x.MAX_POSITION, TURN - 1),
    (dynamixel_x.TORQUE_ENABLE, 0),
    (dynamixel_x.STATUS_LEVEL, 2),
    (dynamixel_x.GOAL_PWM, dynamixel_x.FULL_PWM),
)
XL430 = ((dynamixel_x.MAX_TEMPERATURE, 72), (dynamixel_x.MAX_VOLTAGE, 140), (dynamixel_x.MIN_VOLTAGE, 65),
         (dynamixel_x.SHUTDOWN, 52), (dynamixel_x.P_GAIN, 800))  # fmt: skip
XL330 = ((dynamixel_x.MAX_TEMPERATURE, 70), (dynamixel_x.MAX_VOLTAGE, 70), (dynamixel_x.MIN_VOLTAGE, 35),
         (dynamixel_x.SHUTDOWN, 53), (dynamixel_x.P_GAIN, 400))  # fmt: skip
WRITABLE = (range(7, 56), range(60, 70), range(76, 121))  # gaps are what no driver should touch
GOALS = range(100, 120)
FAILED, OUT_OF_RANGE, READ_ONLY = 1, 4, 7


class DynamixelServo(ServoTable):
    """A hardware error switches the torque off, where the shutdown register says so, and holds until a reboot.

    The bus watchdog stops it where it is; goals are then read-only until 0 is written to the watchdog.
    """

    goal, torque_enable = dynamixel_x.GOAL_POSITION, dynamixel_x.TORQUE_ENABLE

    def __init__(self, identity: int, model: int) -> None:
        own = XL430 if MODELS[model].stall_current is None else XL330
        numbers = ((dynamixel_x.MODEL_NUMBER, model), (Register(7, 1), identity))
        super().__init__(identity, SIZE, [*FACTORY, *own, *numbers])
        self.voltage = 12.0 if own is XL430 else 5.0
        self._stall = MODELS[model].stall_current
        self._errors = 0  # latched
        self._begun: int | None = None  # [ticks] of the encoder that do not count: whole turns before power-on
        self._heard = time.monotonic()

    @property
    def greeting(self) -> bytes:
        return bytes(self._table[0:2]) + bytes(self._table[6:7])

    def hear(self, now: float) -> None:
        """There was a packet on the bus, whomever it was for."""
        self.watch(now)
        self._heard = now

    def watch(self, now: float) -> None:
        """Trip where the bus has been silent for too long."""
        limit = self.held(dynamixel_x.BUS_WATCHDOG) * dynamixel_x.WATCHDOG
        if limit > 0 and now - self._heard > limit:
            self._store(self._table, dynamixel_x.BUS_WATCHDOG, TRIPPED)

    @property
    def tripped(self) -> bool:
        return self.held(dynamixel_x.BUS_WATCHDOG) == TRIPPED

    def write(self, address: int, data: bytes) -> int:
        if self._refused(range(address, address + len(data))):
            return READ_ONLY
        if self.tripped and address in GOALS:
            return OUT_OF_RANGE
        if address == self.torque_enable.address and data != b"\x00" and self._shut_down:
            return FAILED
        if address == dynamixel_x.BUS_WATCHDOG.address and decode(data, dynamixel_x.BUS_WATCHDOG) < 0:
            return OUT_OF_RANGE
        self._table[address : address + len(data)] = data
        if address < dynamixel_x.RAM_FROM:
            self._eeprom[address : address + len(data)] = data
        return 0

    def power_cycle(self) -> None:
        super().power_cycle()
        self._errors, self._begun = 0, None
        self._store(self._table, self.goal, self.position)

    @property
    def error(self) -> int:
        return dynamixel_x.ALERT if self._hardware_errors() else 0

    @property
    def torque(self) -> float:
        if self._shut_down:
            self._store(self._table, self.torque_enable, 0)
        return self.held(dynamixel_x.GOAL_PWM) / dynamixel_x.FULL_PWM if self.on else 0.0

    @property
    def position(self) -> int:
        if self._begun is None:
            self._begun = self.encoder // TURN * TURN
        return self.encoder - self._begun + self.held(dynamixel_x.HOMING_OFFSET)

    def measured(self) -> Sequence[tuple[Register, int]]:
        flow = self.load * 1000 * (1.0 if self._stall is None else self._stall)
        return (
            (dynamixel_x.HARDWARE_ERROR, self._hardware_errors()),
            (dynamixel_x.PRESENT_CURRENT, round(flow)),
            (dynamixel_x.PRESENT_VELOCITY, round(self.speed / dynamixel_x.VELOCITY)),
            (dynamixel_x.PRESENT_POSITION, self.position),
            (dynamixel_x.PRESENT_VOLTAGE, round(self.voltage * 10)),
            (dynamixel_x.PRESENT_TEMPERATURE, round(self.temperature)),
        )

    @property
    def _shut_down(self) -> bool:
        return bool(self._hardware_errors() & self.held(dynamixel_x.SHUTDOWN))

    def _hardware_errors(self) -> int:
        tenths, least = self.voltage * 10, self.held(dynamixel_x.MIN_VOLTAGE)
        strange = not least <= tenths <= self.held(dynamixel_x.MAX_VOLTAGE)
        hot = self.temperature > self.held(dynamixel_x.MAX_TEMPERATURE)
        self._errors |= self.forced | (1 if strange else 0) | (4 if hot else 0)
        return self._errors

    def _refused(self, places: range) -> bool:
        fixed = not any(places[0] in part and places[-1] in part for part in WRITABLE)
        return fixed or (places[0] < dynamixel_x.RAM_FROM and self.on)
