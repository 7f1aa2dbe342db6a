"""An emulated bus of Dynamixel servos: a Koch arm's XL430 and XL330."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from hardware.calibration import JointCalibration
from hardware.dynamixel import Dynamixel
from hardware.emulators.dynamixel_protocol import DynamixelWire
from hardware.emulators.dynamixel_servo import DynamixelServo
from hardware.emulators.plant import Plant
from hardware.emulators.servo_bus import ServoBusEmulator
from robo_rl.robot import RobotDescription

SHOULDER, ARM = 1060, 1200  # models of the first two joints, and of the others


class DynamixelBusEmulator(ServoBusEmulator):
    """Dynamixel servos, one a joint; further arguments as for `ServoBusEmulator`."""

    def __init__(
        self, description: RobotDescription, plant: Plant | None = None, *, priority: int = 0, **options: Any
    ) -> None:
        self._dynamixels: list[DynamixelServo] = []
        self._stopped_at: dict[int, float] = {}  # joint index -> [rad] where its watchdog stopped it
        super().__init__(self._servo, DynamixelWire(), Dynamixel(), description, plant, priority=priority, **options)
        for servo in self._dynamixels:
            servo.power_cycle()

    def servo(self, name: str) -> DynamixelServo:
        return self._dynamixels[self.description.names.index(name)]

    def _servo(self, place: int, joint: JointCalibration) -> DynamixelServo:
        self._dynamixels.append(DynamixelServo(joint.id, SHOULDER if place < 2 else ARM))
        return self._dynamixels[-1]

    def _heard_one(self) -> None:
        now = time.monotonic()
        for servo in self._dynamixels:
            if servo.id not in self._silent:
                servo.hear(now)

    def _aims(self) -> np.ndarray:
        """Goals count turns: one that is a turn away is a turn away."""
        lead = [servo.position - servo.encoder for servo in self._dynamixels]
        goals = np.array([servo.held(servo.goal) for servo in self._dynamixels]) - lead + self._mounted
        aims = self._ticks.straight(goals)
        for joint, servo in enumerate(self._dynamixels):
            servo.watch(time.monotonic())
            if not servo.tripped:
                self._stopped_at.pop(joint, None)
            else:
                aims[joint] = self._stopped_at.setdefault(joint, float(self._motion.position[joint]))
        return aims
