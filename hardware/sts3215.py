"""Feetech STS3215: the part of its control table that this project uses.

Source: Feetech's STS3215 memory table. Signed words are sign and magnitude.
"""

from __future__ import annotations

from collections.abc import Sequence

from hardware.registers import BROADCAST, SYNC_WRITE, Register, encode

MODEL = 777
HEADER = b"\xff\xff"  # of a packet
LOCK_FROM = 40  # registers below this address are EEPROM

MODEL_NUMBER = Register(3, 2)
RETURN_DELAY = Register(7, 1)  # [2 us]
MIN_POSITION = Register(9, 2)  # [ticks]
MAX_POSITION = Register(11, 2)  # [ticks]
MAX_TEMPERATURE = Register(13, 1)  # [degrees C]
MAX_VOLTAGE = Register(14, 1)  # [0.1 V]
MIN_VOLTAGE = Register(15, 1)  # [0.1 V]
UNLOADING = Register(19, 1)  # error bits that switch the torque off
P_GAIN = Register(21, 1)
D_GAIN = Register(22, 1)
I_GAIN = Register(23, 1)
HOMING_OFFSET = Register(31, 2, 11)  # [ticks]: present position = encoder - offset
OPERATING_MODE = Register(33, 1)  # 0 is position
TORQUE_ENABLE = Register(40, 1)
ACCELERATION = Register(41, 1)  # [100 ticks/s2]; 0 is unlimited
GOAL_POSITION = Register(42, 2, 15)  # [ticks]
TORQUE_LIMIT = Register(48, 2)  # [0.1 %]
LOCK = Register(55, 1)  # 1: writes to EEPROM registers are lost at power-off
PRESENT_POSITION = Register(56, 2, 15)  # [ticks]
PRESENT_VELOCITY = Register(58, 2, 15)  # [ticks/s]
PRESENT_LOAD = Register(60, 2, 10)  # [0.1 %] of the stall torque
PRESENT_VOLTAGE = Register(62, 1)  # [0.1 V]
PRESENT_TEMPERATURE = Register(63, 1)  # [degrees C]
PRESENT_CURRENT = Register(69, 2, 15)  # [6.5 mA]

AMPERE = 0.0065  # [A] a unit of current
MOTION_BYTES = 4  # position and velocity, from PRESENT_POSITION on
STATE_BYTES = 15  # everything measured, from PRESENT_POSITION on

ERRORS = {1: "voltage", 2: "angle sensor", 4: "overheating", 8: "over-current", 32: "overload"}
"""Bits of the error byte in every reply."""


def error_names(bits: int) -> str:
    """Error bits of a reply in words, "" where none is set."""
    if not bits:
        return ""
    return ", ".join(name for bit, name in ERRORS.items() if bits & bit) or f"error {bits}"


def checksum(body: bytes) -> int:
    """Checksum over a packet from its id on: the inverted low byte of the sum."""
    return ~sum(body) & 0xFF


def sync_write(servos: Sequence[int], register: Register, value: int) -> bytes:
    """The packet that writes one register of several servos; none of them answers."""
    data = bytes(encode(value, register))
    shares = b"".join(bytes([servo]) + data for servo in servos)
    body = bytes([BROADCAST, len(shares) + 4, SYNC_WRITE, register.address, register.size]) + shares
    return HEADER + body + bytes([checksum(body)])
