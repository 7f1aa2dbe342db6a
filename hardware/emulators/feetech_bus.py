"""An emulated bus of Feetech servos."""

from __future__ import annotations

from typing import Any

from hardware.calibration import JointCalibration
from hardware.emulators.feetech_protocol import FeetechWire
from hardware.emulators.feetech_servo import FeetechServo
from hardware.emulators.plant import Plant
from hardware.emulators.servo_bus import ServoBusEmulator
from hardware.feetech import Feetech
from hardware.registers import encode
from robo_rl.robot import RobotDescription


class FeetechBusEmulator(ServoBusEmulator):
    """STS3215 servos, one a joint; further arguments as for `ServoBusEmulator`."""

    def __init__(
        self, description: RobotDescription, plant: Plant | None = None, *, priority: int = 0, **options: Any
    ) -> None:
        super().__init__(_servo, FeetechWire(), Feetech(), description, plant, priority=priority, **options)


def _servo(place: int, joint: JointCalibration) -> FeetechServo:
    """At power-on its goal is the middle of its travel."""
    servo = FeetechServo(joint.id)
    servo.write(servo.goal.address, bytes(encode(2048, servo.goal)))
    return servo
