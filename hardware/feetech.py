"""Arms on a bus of Feetech STS3215 servos: SO-100, SO-101."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hardware import sts3215
from hardware.servo_arm import ServoBusArm, values
from hardware.servo_family import ServoFamily
from hardware.servo_health import ServoState

if TYPE_CHECKING:
    from hardware.servo_bus import ServoBus

SETTINGS = (  # LeRobot's gains for these arms: softer than the factory's, which oscillate
    (sts3215.OPERATING_MODE, 0),
    (sts3215.RETURN_DELAY, 0),
    (sts3215.P_GAIN, 16),
    (sts3215.I_GAIN, 0),
    (sts3215.D_GAIN, 32),
    (sts3215.ACCELERATION, 0),  # the guard bounds speed; a second profile below it would only add delay
)


class Feetech(ServoFamily):
    """STS3215 servos."""

    name, package, module, extra = "Feetech", "feetech-servo-sdk", "scservo_sdk", "so101"
    models = {sts3215.MODEL: "an STS3215"}
    torque, goal = sts3215.TORQUE_ENABLE, sts3215.GOAL_POSITION
    position, velocity = sts3215.PRESENT_POSITION, sts3215.PRESENT_VELOCITY
    calibration = {
        "homing_offset": sts3215.HOMING_OFFSET,
        "range_min": sts3215.MIN_POSITION,
        "range_max": sts3215.MAX_POSITION,
    }
    offset_sign = -1

    def bus(self, port: str, baudrate: int, patience: float, attempts: int) -> ServoBus:
        from hardware.feetech_bus import FeetechBus
        from hardware.serial_port import ExclusivePort

        return FeetechBus(ExclusivePort(port, baudrate, patience), attempts)

    def release(self, ids: Sequence[int]) -> list[bytes]:
        return [sts3215.sync_write(ids, sts3215.TORQUE_ENABLE, 0)]

    def unlock(self, bus: ServoBus, ids: Sequence[int]) -> None:
        for servo in ids:
            bus.write(servo, sts3215.LOCK, 0)

    def lock(self, bus: ServoBus, ids: Sequence[int]) -> None:
        for servo in ids:
            bus.write(servo, sts3215.LOCK, 1)

    def problems(self, bus: ServoBus, ids: Sequence[int], errors: Sequence[int]) -> list[str]:
        return [sts3215.error_names(error) for error in errors]

    def recover(self, bus: ServoBus, ids: Sequence[int]) -> list[str]:
        _, errors = bus.read_all(ids, self.position.address, self.position.size)
        problems = self.problems(bus, ids, errors)
        return [f"{text}: it lasts as long as its cause" if text else "" for text in problems]


class FeetechArm(ServoBusArm):
    """An arm on Feetech's SDK (extra `so101`); see `ServoBusArm`."""

    family = Feetech()
    motion_block = (sts3215.PRESENT_POSITION.address, sts3215.MOTION_BYTES)
    state_block = (sts3215.PRESENT_POSITION.address, sts3215.STATE_BYTES)

    def _configure(self, bus: ServoBus, models: Sequence[int]) -> None:
        for servo in self._ids:
            bus.write(servo, sts3215.TORQUE_LIMIT, round(1000 * self._torque))
            wrong = [(register, value) for register, value in SETTINGS if bus.read(servo, register) != value]
            if not wrong:
                continue
            self.family.unlock(bus, [servo])
            for register, value in wrong:
                bus.write(servo, register, value)
            self.family.lock(bus, [servo])

    def _state(self, data: list[list[int]]) -> ServoState:
        start, _ = self.state_block
        return ServoState(
            temperature=values(data, sts3215.PRESENT_TEMPERATURE, start),
            voltage=values(data, sts3215.PRESENT_VOLTAGE, start) / 10,
            current=np.abs(values(data, sts3215.PRESENT_CURRENT, start)) * sts3215.AMPERE,
            load=values(data, sts3215.PRESENT_LOAD, start) / 1000,
        )
