"""Packing and unpacking the Go2's low-level messages without the middleware's generated code, which takes five times as
long: a message is one NumPy record in the layout of the robot's C struct.

On the wire (CDR) a message lacks the four bytes of padding that the C struct has before its first motor; all that
comes after it keeps its place. The checksum is one over the C struct: CRC-32/MPEG-2 of its little-endian words, the
last of which is the checksum itself.
"""

from __future__ import annotations

import zlib

import numpy as np

from robo_rl.errors import MissingExtra

MOTORS = 20  # in a message; a Go2 has the first twelve
POSITION_STOP = 2.146e9  # [rad] and ...
VELOCITY_STOP = 16000.0  # [rad/s]: what says that no target is meant
HEAD = (0xFE, 0xEF)
LOW_LEVEL = 0xFF
ENABLED = 1  # of a motor's `mode`; 0 is off
_ENCAPSULATION = b"\x00\x01\x00\x00"  # CDR, little-endian
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_COMMAND = np.dtype(
    [
        ("head", "u1", 2), ("level_flag", "u1"), ("frame_reserve", "u1"), ("sn", "<u4", 2), ("version", "<u4", 2),
        ("bandwidth", "<u2"),
        ("motor", np.dtype(
            [("mode", "u1"), ("q", "<f4"), ("dq", "<f4"), ("tau", "<f4"), ("kp", "<f4"), ("kd", "<f4"),
             ("reserve", "<u4", 3)], align=True), MOTORS),
        ("bms", "u1", 4), ("wireless_remote", "u1", 40), ("led", "u1", 12), ("fan", "u1", 2), ("gpio", "u1"),
        ("reserve", "<u4"), ("crc", "<u4"),
    ],
    align=True,
)  # fmt: skip
_STATE = np.dtype(
    [
        ("head", "u1", 2), ("level_flag", "u1"), ("frame_reserve", "u1"), ("sn", "<u4", 2), ("version", "<u4", 2),
        ("bandwidth", "<u2"),
        ("imu", np.dtype(
            [("quaternion", "<f4", 4), ("gyroscope", "<f4", 3), ("accelerometer", "<f4", 3), ("rpy", "<f4", 3),
             ("temperature", "u1")], align=True)),
        ("motor", np.dtype(
            [("mode", "u1"), ("q", "<f4"), ("dq", "<f4"), ("ddq", "<f4"), ("tau", "<f4"), ("q_raw", "<f4"),
             ("dq_raw", "<f4"), ("ddq_raw", "<f4"), ("temperature", "u1"), ("lost", "<u4"), ("reserve", "<u4", 2)],
            align=True), MOTORS),
        ("bms", np.dtype(
            [("version", "u1", 2), ("status", "u1"), ("charge", "u1"), ("current", "<i4"), ("cycle", "<u2"),
             ("bq_ntc", "u1", 2), ("mcu_ntc", "u1", 2), ("cells", "<u2", 15)], align=True)),
        ("foot_force", "<i2", 4), ("foot_force_est", "<i2", 4), ("tick", "<u4"), ("wireless_remote", "u1", 40),
        ("bit_flag", "u1"), ("adc_reel", "<f4"), ("ntc", "u1", 2), ("voltage", "<f4"), ("current", "<f4"),
        ("fan_frequency", "<u2", 4), ("reserve", "<u4"), ("crc", "<u4"),
    ],
    align=True,
)  # fmt: skip


def require_dds() -> None:
    """Raise `UserError` where the middleware is not installed."""
    try:
        import cyclonedds  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("cyclonedds", "go2") from error


class Layout:
    """How one kind of message lies in memory and on the wire.

    Args:
        record: its C struct.
        before: bytes before the padding that ends in front of the first motor.
        gap: bytes on the wire between the first motor's mode and its first number.
    """

    def __init__(self, record: np.dtype, before: int, gap: int) -> None:
        self.record, self._before, self._gap = record, before, gap
        assert record.fields is not None
        self._motor = int(record.fields["motor"][1])
        self.size = record.itemsize - 4  # bytes on the wire

    def empty(self) -> np.ndarray:
        """A record () of zeros."""
        return np.zeros((), self.record)

    def sealed(self, message: np.ndarray) -> bytes:
        """What goes on the wire: `message` () with its checksum written into it."""
        data = message.tobytes()
        message["crc"] = crc = checksum(data[:-4])
        first = self._motor
        return b"".join(
            (_ENCAPSULATION, data[: self._before], data[first : first + 1], bytes(self._gap), data[first + 4 : -4],
             crc.to_bytes(4, "little"))
        )  # fmt: skip

    def opened(self, packet: bytes) -> np.ndarray | None:
        """The message () in a packet; None where it is not a whole one with a correct checksum."""
        if len(packet) != 4 + self.size or packet[:2] != _ENCAPSULATION[:2]:
            return None
        body, start, last = packet[4:], self._before, self._before + 1 + self._gap
        padding = bytes(self._motor - start)
        data = b"".join((body[:start], padding, body[start : start + 1], bytes(3), body[last:]))
        message = np.frombuffer(data, self.record)[0]
        return message if int(message["crc"]) == checksum(data[:-4]) else None


COMMAND = Layout(_COMMAND, 22, 1)
STATE = Layout(_STATE, 77, 2)


def checksum(data: bytes) -> int:
    """CRC-32/MPEG-2 of little-endian words: the highest byte of each goes first."""
    return crc32_mpeg2(np.frombuffer(data, "<u4").byteswap().tobytes())


def crc32_mpeg2(data: bytes) -> int:
    """CRC-32/MPEG-2: polynomial 0x04C11DB7, start 0xFFFFFFFF, nothing reflected, no final inversion.

    zlib's CRC has the same polynomial, reflected: reversed bits in, reversed bits out.
    """
    crc = zlib.crc32(data.translate(_REVERSED)) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


def first_command() -> np.ndarray:
    """A command () that moves nothing: motors enabled, no target, no gains."""
    message = COMMAND.empty()
    message["head"], message["level_flag"] = HEAD, LOW_LEVEL
    motor = message["motor"]
    motor["mode"], motor["q"], motor["dq"] = ENABLED, POSITION_STOP, VELOCITY_STOP
    return message
