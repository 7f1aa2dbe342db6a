"""Arms on a bus of Dynamixel XL430 and XL330 servos: Koch v1.1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware import dynamixel_x
from hardware.dynamixel_x import MODELS, TRIPPED
from hardware.guardian import Takeover
from hardware.registers import Register
from hardware.servo_arm import ServoBusArm, values
from hardware.servo_family import ServoFamily
from hardware.servo_health import ServoState
from robo_rl.errors import UnknownName, UserError

if TYPE_CHECKING:
    from hardware.servo_bus import ServoBus

LASTING = (  # EEPROM
    (dynamixel_x.STATUS_LEVEL, 2),
    (dynamixel_x.RETURN_DELAY, 0),
    (dynamixel_x.DRIVE_MODE, 0),
    (dynamixel_x.OPERATING_MODE, dynamixel_x.EXTENDED_POSITION),
)
PASSING = (  # lost when the power goes; the guard bounds speed, and a profile below it would only add delay
    (dynamixel_x.PROFILE_ACCELERATION, 0),
    (dynamixel_x.PROFILE_VELOCITY, 0),
)
GAINS = (dynamixel_x.P_GAIN, dynamixel_x.I_GAIN, dynamixel_x.D_GAIN)
STATE = dynamixel_x.BUS_WATCHDOG.address, dynamixel_x.PRESENT_TEMPERATURE.address + 1 - dynamixel_x.BUS_WATCHDOG.address


class Dynamixel(ServoFamily):
    """XL430 and XL330 servos."""

    name, package, module, extra = "Dynamixel", "dynamixel-sdk", "dynamixel_sdk", "koch"
    models = {number: model.name for number, model in MODELS.items()}
    torque, goal = dynamixel_x.TORQUE_ENABLE, dynamixel_x.GOAL_POSITION
    position, velocity = dynamixel_x.PRESENT_POSITION, dynamixel_x.PRESENT_VELOCITY
    velocity_unit = dynamixel_x.VELOCITY
    calibration = {
        "homing_offset": dynamixel_x.HOMING_OFFSET,
        "range_min": dynamixel_x.MIN_POSITION,
        "range_max": dynamixel_x.MAX_POSITION,
    }
    offset_sign = 1

    def bus(self, port: str, baudrate: int, patience: float, attempts: int) -> ServoBus:
        from hardware.dynamixel_bus import DynamixelBus
        from hardware.serial_port import ExclusivePort

        return DynamixelBus(ExclusivePort(port, baudrate, patience), attempts)

    def release(self, ids: Sequence[int]) -> list[bytes]:
        return [dynamixel_x.sync_write(ids, dynamixel_x.TORQUE_ENABLE, 0)]

    def unlock(self, bus: ServoBus, ids: Sequence[int]) -> None:
        """Nothing is locked while the torque is off; but the single-turn mode knows small homing offsets only."""
        for servo in ids:
            bus.write(servo, dynamixel_x.OPERATING_MODE, dynamixel_x.EXTENDED_POSITION)

    def problems(self, bus: ServoBus, ids: Sequence[int], errors: Sequence[int]) -> list[str]:
        register = dynamixel_x.HARDWARE_ERROR
        held, _ = bus.read_all(ids, register.address, register.size)
        alerts = [bits if error & dynamixel_x.ALERT else 0 for error, (bits,) in zip(errors, held, strict=True)]
        return [dynamixel_x.error_names(bits) if bits else "" for bits in alerts]

    def recover(self, bus: ServoBus, ids: Sequence[int]) -> list[str]:
        from hardware.dynamixel_bus import DynamixelBus

        assert isinstance(bus, DynamixelBus)
        found = [bus.read(servo, dynamixel_x.HARDWARE_ERROR) for servo in ids]
        for servo, bits in zip(ids, found, strict=True):
            if bits:
                bus.reboot(servo)
        return [f"{dynamixel_x.error_names(bits)}: rebooted" if bits else "" for bits in found]


class DynamixelArm(ServoBusArm):
    """An arm on ROBOTIS' SDK (extra `koch`); see `ServoBusArm`.

    The servos count turns, so that a travel may lie across their encoder's zero; which turn a servo is in is found when
    it is read first, and after `clear`.

    A servo that hears nothing for `watchdog` seconds stops where it is and takes no goals until it is told to listen
    again: with "hold" the arm needs no guardian.

    Args:
        watchdog: [s] of silence on the bus after which the servos stop by themselves; 0 is never.
        gains: proportional, integral and derivative gain of joints that do not keep the factory's.
    """

    family = Dynamixel()
    motion_block = dynamixel_x.PRESENT_VELOCITY.address, 8
    state_block = STATE

    def __init__(
        self, *arguments: Any, watchdog: float = 0.1, gains: Mapping[str, Sequence[int]] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._watchdog = round(watchdog / dynamixel_x.WATCHDOG)
        if not 0 <= watchdog <= dynamixel_x.LONGEST_WATCHDOG * dynamixel_x.WATCHDOG:
            longest = dynamixel_x.LONGEST_WATCHDOG * dynamixel_x.WATCHDOG
            raise UserError(f"robot.rig.arm.watchdog={watchdog}: valid are 0 (never) to {longest} s")
        self._gains = {name: tuple(gain) for name, gain in (gains or {}).items()}
        for name, gain in self._gains.items():
            if name not in self.description.names:
                raise UnknownName("robot.rig.arm.gains", name, self.description.names)
            if len(gain) != len(GAINS):
                raise UserError(f"robot.rig.arm.gains.{name}={list(gain)}: expected three numbers: P, I, D")
        self._turns: np.ndarray | None = None  # [ticks] of the turns that the servos were in
        self._ampere = np.full(len(self._ids), np.nan)  # [A] a unit of current

    def clear(self) -> None:
        super().clear()
        self._turns = None

    def takeover(self) -> Takeover | None:
        watched = self._watchdog > 0 and self._safe_state == "hold"
        return None if watched else super().takeover()

    def _configure(self, bus: ServoBus, models: Sequence[int]) -> None:
        sensed = [MODELS[model].stall_current is not None for model in models]
        self._ampere, self._turns = np.where(sensed, 1e-3, np.nan), None
        for name, servo in zip(self.description.names, self._ids, strict=True):
            self._require_watchdog(bus, name, servo)
            for register, value in PASSING:
                bus.write(servo, register, value)
            if wrong := [(register, value) for register, value in LASTING if bus.read(servo, register) != value]:
                self._set(bus, servo, wrong)
            for register, gain in zip(GAINS, self._gains.get(name, ()), strict=False):
                bus.write(servo, register, gain)

    def _require_watchdog(self, bus: ServoBus, name: str, servo: int) -> None:
        firmware = bus.read(servo, dynamixel_x.FIRMWARE)
        if self._watchdog and firmware < dynamixel_x.WATCHDOG_FIRMWARE:
            raise UserError(
                f"robot.bus={self.port}: servo {servo} ({name}) has firmware {firmware}, without a bus watchdog; "
                f"update it with Dynamixel Wizard, or give robot.rig.arm.watchdog=0"
            )

    def _set(self, bus: ServoBus, servo: int, wrong: Sequence[tuple[Register, int]]) -> None:
        """Write to the EEPROM, which the servo allows while it is limp. An arm that is held is not let go for it."""
        if bus.read(servo, dynamixel_x.TORQUE_ENABLE):
            raise UserError(
                f"robot.bus={self.port}: servo {servo} holds its torque, but its settings have to change: support the "
                f"arm, switch its power off and on, and start again"
            )
        for register, value in wrong:
            bus.write(servo, register, value)

    def _prepare(self, bus: ServoBus) -> Iterator[None]:
        return self._write_each(bus, dynamixel_x.GOAL_PWM, round(self._torque * dynamixel_x.FULL_PWM))

    def _arm(self, bus: ServoBus) -> Iterator[None]:
        register, wanted = dynamixel_x.BUS_WATCHDOG, self._watchdog
        yield from self._write_each(bus, register, wanted)
        held = self._held(bus, register)
        if held != [wanted] * len(held):
            self._fault(f"bus watchdogs hold {held}, not {wanted}: the servos would not stop by themselves")

    def _disarm(self, bus: ServoBus) -> Iterator[None]:
        return self._write_each(bus, dynamixel_x.BUS_WATCHDOG, 0)

    def _angles(self, ticks: np.ndarray) -> np.ndarray:
        if self._turns is None:
            self._turns = self.ticks.turns(ticks)
        ticks = ticks - self._turns
        lost = np.flatnonzero(np.abs(self.ticks.turns(ticks)) > 0)
        if self.holding and lost.size and not self.guard.faults.any():
            names = ", ".join(self.description.names[joint] for joint in lost)
            self._fault(f"{names}: half a turn beyond the travel; was the servo without power?")
        return self.ticks.straight(ticks)

    def _goals(self, angle: np.ndarray) -> np.ndarray:
        turns = 0 if self._turns is None else self._turns.astype(np.int64)
        return super()._goals(angle) + turns

    def _state(self, data: list[list[int]]) -> ServoState:
        start, _ = self.state_block
        watchdogs = values(data, dynamixel_x.BUS_WATCHDOG, start)
        if self.holding and (watchdogs == TRIPPED).any():
            self._fault(f"the servos stopped by themselves: they heard nothing for {self._period:.2f} s")
        flow = values(data, dynamixel_x.PRESENT_CURRENT, start)
        return ServoState(
            temperature=values(data, dynamixel_x.PRESENT_TEMPERATURE, start),
            voltage=values(data, dynamixel_x.PRESENT_VOLTAGE, start) / 10,
            current=np.abs(flow) * self._ampere,
            load=np.where(np.isnan(self._ampere), flow / 1000, np.nan),
        )

    @property
    def _period(self) -> float:
        """[s] of the bus watchdog."""
        return self._watchdog * dynamixel_x.WATCHDOG
