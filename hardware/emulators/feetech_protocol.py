"""The servos' side of Feetech's serial protocol: parsing requests, forming replies, and losing some of them.

    request: FF FF id length instruction parameters... checksum
    reply:   FF FF id length error data... checksum

`length` counts what follows it; the checksum is the inverted low byte of the sum from `id` on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from hardware.emulators.servo_table import ServoTable
from hardware.sts3215 import BROADCAST, HEADER, checksum


class Instruction(IntEnum):
    PING = 1
    READ = 2
    WRITE = 3
    REG_WRITE = 4
    ACTION = 5
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


class Packet(NamedTuple):
    """One request with a good checksum."""

    id: int
    instruction: int
    parameters: bytes

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.parameters) + 6

    def tells(self, address: int) -> bool:
        """Whether it writes the register at an address, of several servos."""
        return self.instruction == Instruction.SYNC_WRITE and self.parameters[0] == address

    def share(self, servo: int) -> bytes:
        """What a sync write holds for one servo."""
        size, rest = self.parameters[1], self.parameters[2:]
        for start in range(0, len(rest), size + 1):
            if rest[start] == servo:
                return rest[start + 1 : start + 1 + size]
        return b""


class Parser:
    """Bytes in, packets out; whatever is no packet is skipped."""

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
            yield Packet(body[0], body[2], body[3:])


def reply(servo: int, error: int, data: bytes) -> bytes:
    body = bytes([servo, len(data) + 2, error]) + data
    return HEADER + body + bytes([checksum(body)])


def targets(packet: Packet, servos: Mapping[int, ServoTable]) -> list[ServoTable]:
    """The servos that a packet concerns, in the order of their replies."""
    if packet.instruction == Instruction.SYNC_READ:
        return [servos[servo] for servo in packet.parameters[2:] if servo in servos]
    if packet.instruction == Instruction.SYNC_WRITE:
        named = packet.parameters[2 :: packet.parameters[1] + 1]
        return [servos[servo] for servo in named if servo in servos]
    if packet.id == BROADCAST:
        return list(servos.values())
    return [servos[packet.id]] if packet.id in servos else []


@dataclass
class Faults:
    """Shares of packets that go wrong. `lost` holds for requests and replies, the others for replies."""

    lost: float = 0.0
    late: float = 0.0
    late_by: float = 0.02  # [s]
    corrupted: float = 0.0  # one bit is wrong
    duplicated: float = 0.0
    happened: int = 0  # packets that went wrong
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def loses(self) -> bool:
        """Whether this packet is lost."""
        return self._draw(self.lost)

    def apply(self, due: float, data: bytes) -> list[tuple[float, bytes]]:
        """What becomes of a reply that is due at a time [s]."""
        if self.loses():
            return []
        if self._draw(self.corrupted):
            place = self.rng.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1 << self.rng.randrange(8)]) + data[place + 1 :]
        if self._draw(self.late):
            due += self.late_by
        return [(due, data)] * (2 if self._draw(self.duplicated) else 1)

    def _draw(self, share: float) -> bool:
        hit = share > 0 and self.rng.random() < share
        self.happened += hit
        return hit
