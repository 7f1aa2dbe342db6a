"""Packets of Feetech's serial protocol, as servos hear and send them.

    request: FF FF id length instruction parameters... checksum
    reply:   FF FF id length error data... checksum

`length` counts what follows it; the checksum is the inverted low byte of the sum from `id` on.
"""

from __future__ import annotations

from collections.abc import Iterator

from hardware.emulators.servo_protocol import Packet
from hardware.sts3215 import HEADER, checksum


class FeetechWire:
    """See `Wire`."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        self._buffer += data
        while (start := self._buffer.find(HEADER)) >= 0:
            self._buffer = self._buffer[start:]
            if len(self._buffer) < 4 or len(self._buffer) < (end := self._buffer[3] + 4):
                return  # the rest has not arrived
            body, check = self._buffer[2 : end - 1], self._buffer[end - 1]
            if end < 6 or checksum(body) != check:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[end:]
            yield Packet(body[0], body[2], body[3:], end)

    def reply(self, servo: int, error: int, data: bytes) -> bytes:
        body = bytes([servo, len(data) + 2, error]) + data
        return HEADER + body + bytes([checksum(body)])
