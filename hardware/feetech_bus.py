"""A bus of Feetech servos on Feetech's SDK. Importing this module needs the extra `so101`."""

from __future__ import annotations

import scservo_sdk

from hardware.serial_port import ExclusivePort
from hardware.servo_bus import ServoBus

LITTLE_ENDIAN = 0  # the STS series


class FeetechBus(ServoBus):
    """See `ServoBus`."""

    def __init__(self, port: ExclusivePort, attempts: int = 3) -> None:
        super().__init__(port, scservo_sdk, scservo_sdk.PacketHandler(LITTLE_ENDIAN), attempts)
