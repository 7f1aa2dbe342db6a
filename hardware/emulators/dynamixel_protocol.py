"""Packets of Dynamixel's protocol 2, as servos hear and send them.

    request: FF FF FD 00 id length instruction parameters... checksum
    reply:   FF FF FD 00 id length 55 error data... checksum

`length` (two bytes) counts what follows it; FF FF FD in between is followed by another FD; the checksum is a CRC-16.
"""

from __future__ import annotations

from collections.abc import Iterator

from hardware.dynamixel_x import HEADER, checksum, framed
from hardware.emulators.servo_protocol import Packet

STATUS = 0x55
LONGEST = 1024  # [bytes]


class DynamixelWire:
    """See `Wire`."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        self._buffer += data
        while (start := self._buffer.find(HEADER)) >= 0:
            self._buffer = self._buffer[start:]
            if len(self._buffer) < 7:
                return
            end = 7 + int.from_bytes(self._buffer[5:7], "little")
            if end <= LONGEST and len(self._buffer) < end:
                return  # the rest has not arrived
            whole, check = self._buffer[: end - 2], int.from_bytes(self._buffer[end - 2 : end], "little")
            if not 10 <= end <= LONGEST or checksum(whole) != check:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[end:]
            body = whole[7:].replace(HEADER + b"\xfd", HEADER)
            yield Packet(whole[4], body[0], body[1:], end, width=2)

    def reply(self, servo: int, error: int, data: bytes) -> bytes:
        return framed(servo, bytes([STATUS, error]) + data)
