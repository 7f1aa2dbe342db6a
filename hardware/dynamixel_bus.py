"""A bus of Dynamixel servos on ROBOTIS' SDK. Importing this module needs the extra `koch`."""

from __future__ import annotations

import dynamixel_sdk

from hardware.dynamixel_x import ALERT, REFUSALS
from hardware.serial_port import ExclusivePort
from hardware.servo_bus import ServoBus

PROTOCOL = 2.0


class DynamixelBus(ServoBus):
    """See `ServoBus`."""

    def __init__(self, port: ExclusivePort, attempts: int = 3) -> None:
        super().__init__(port, dynamixel_sdk, dynamixel_sdk.PacketHandler(PROTOCOL), attempts)

    def reboot(self, servo: int) -> None:
        """Restart a servo: its hardware errors are forgotten, its torque is off."""

        def ask() -> tuple[None, int, int]:
            result, _ = self._packets.reboot(self._port, servo)
            return None, result, servo

        self._try(ask)

    def _refusal(self, error: int) -> str:
        number = error & ~ALERT
        return REFUSALS.get(number, f"error {number}") if number else ""
