"""Dynamixel X on protocol 2: the part of the control table that this project uses, and the packets of a guardian.

Source: ROBOTIS e-Manual, XL430-W250 and XL330-M288 (the two share all addresses below). Signed numbers are two's
complement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hardware.registers import BROADCAST, SYNC_WRITE, TURN, Register, encode

HEADER = b"\xff\xff\xfd"  # of a packet; stuffed with another FD where it stands inside of one
RAM_FROM = 64  # registers below this address are EEPROM, read-only while the torque is on

MODEL_NUMBER = Register(0, 2)
FIRMWARE = Register(6, 1)
RETURN_DELAY = Register(9, 1)  # [2 us]
DRIVE_MODE = Register(10, 1)
OPERATING_MODE = Register(11, 1)
HOMING_OFFSET = Register(20, 4, complement=True)  # [ticks]: present position = encoder + offset
MAX_TEMPERATURE = Register(31, 1)  # [degrees C]
MAX_VOLTAGE = Register(32, 2)  # [0.1 V]
MIN_VOLTAGE = Register(34, 2)  # [0.1 V]
PWM_LIMIT = Register(36, 2)  # [1/885]
MAX_POSITION = Register(48, 4)  # [ticks], of the single-turn mode
MIN_POSITION = Register(52, 4)  # [ticks]
SHUTDOWN = Register(63, 1)  # hardware errors that switch the torque off
TORQUE_ENABLE = Register(64, 1)
STATUS_LEVEL = Register(68, 1)  # 2: every instruction is answered
HARDWARE_ERROR = Register(70, 1)  # holds until a reboot
D_GAIN = Register(80, 2)
I_GAIN = Register(82, 2)
P_GAIN = Register(84, 2)
BUS_WATCHDOG = Register(98, 1, complement=True)  # [20 ms] of silence; 0 is off, -1 has tripped
GOAL_PWM = Register(100, 2, complement=True)  # [1/885]: the most that is used in the position modes
GOAL_CURRENT = Register(102, 2, complement=True)
GOAL_VELOCITY = Register(104, 4, complement=True)
PROFILE_ACCELERATION = Register(108, 4)  # 0 is none
PROFILE_VELOCITY = Register(112, 4)  # 0 is none
GOAL_POSITION = Register(116, 4, complement=True)  # [ticks]
PRESENT_CURRENT = Register(126, 2, complement=True)  # [mA]; a servo without a sensor has its load here [0.1 %]
PRESENT_VELOCITY = Register(128, 4, complement=True)  # [0.229 rpm]
PRESENT_POSITION = Register(132, 4, complement=True)  # [ticks]
PRESENT_VOLTAGE = Register(144, 2)  # [0.1 V]
PRESENT_TEMPERATURE = Register(146, 1)  # [degrees C]

EXTENDED_POSITION = 4  # the operating mode that counts turns: no travel has the encoder's zero in the way
FULL_PWM = 885
VELOCITY = 0.229 * TURN / 60  # [ticks/s] a unit of velocity
WATCHDOG = 0.02  # [s] a unit of the bus watchdog
TRIPPED = -1
LONGEST_WATCHDOG = 127  # [20 ms]
WATCHDOG_FIRMWARE = 38  # the first that has a bus watchdog

ALERT = 0x80  # bit of a reply's error byte: the hardware error register says more
REFUSALS = {1: "it failed", 2: "unknown instruction", 3: "checksum", 4: "out of range", 5: "wrong length",
            6: "beyond a limit", 7: "read-only now"}  # fmt: skip
HARDWARE_ERRORS = {1: "input voltage", 4: "overheating", 8: "encoder", 16: "electrical shock", 32: "overload"}
"""Bits of the hardware error register."""


class Model(NamedTuple):
    """One servo of the family."""

    name: str
    stall_current: float | None  # [A]; None: it has no current sensor, and reports its load in that place


MODELS = {
    1060: Model("an XL430-W250", None),
    1190: Model("an XL330-M077", 1.47),
    1200: Model("an XL330-M288", 1.47),
}


def error_names(bits: int) -> str:
    """Bits of the hardware error register in words."""
    return ", ".join(name for bit, name in HARDWARE_ERRORS.items() if bits & bit) or f"error {bits}"


def checksum(data: bytes) -> int:
    """CRC-16 of a packet, polynomial 0x8005, most significant bit first, from 0."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _TABLE[crc >> 8 ^ byte]
    return crc


def _remainder(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


_TABLE = tuple(map(_remainder, range(256)))


def framed(servo: int, body: bytes) -> bytes:
    """A packet: header, id, length, `body` (instruction and parameters, stuffed), checksum."""
    body = body.replace(HEADER, HEADER + b"\xfd")
    packet = HEADER + bytes([0, servo]) + (len(body) + 2).to_bytes(2, "little") + body
    return packet + checksum(packet).to_bytes(2, "little")


def sync_write(servos: Sequence[int], register: Register, value: int) -> bytes:
    """The packet that writes one register of several servos; none of them answers."""
    data = bytes(encode(value, register))
    shares = b"".join(bytes([servo]) + data for servo in servos)
    head = register.address.to_bytes(2, "little") + register.size.to_bytes(2, "little")
    return framed(BROADCAST, bytes([SYNC_WRITE]) + head + shares)
