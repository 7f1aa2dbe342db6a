"""What serial servos understand, whatever their packets look like: instructions, who is meant, and what gets lost."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from hardware.emulators.servo_table import ServoTable
from hardware.registers import BROADCAST, SYNC_WRITE

Servo = TypeVar("Servo", bound=ServoTable)


class Instruction(IntEnum):
    PING = 1
    READ = 2
    WRITE = 3
    REG_WRITE = 4
    ACTION = 5
    REBOOT = 8
    SYNC_READ = 0x82
    SYNC_WRITE = SYNC_WRITE


class Packet(NamedTuple):
    """One request with a good checksum."""

    id: int
    instruction: int
    parameters: bytes
    size: int  # bytes on the wire
    width: int = 1  # bytes of an address, and of a count

    @property
    def address(self) -> int:
        return int.from_bytes(self.parameters[: self.width], "little")

    @property
    def count(self) -> int:
        """Bytes to read, or bytes for each servo of a sync write."""
        return int.from_bytes(self.parameters[self.width : 2 * self.width], "little")

    @property
    def data(self) -> bytes:
        """What a write holds."""
        return self.parameters[self.width :]

    @property
    def shares(self) -> dict[int, bytes]:
        """The servos that a sync instruction names, and what it holds for each."""
        rest, size = self.parameters[2 * self.width :], self.count if self.instruction == SYNC_WRITE else 0
        starts = range(0, len(rest), size + 1)
        return {rest[start]: rest[start + 1 : start + 1 + size] for start in starts}

    def tells(self, address: int) -> bool:
        """Whether it writes the register at an address, of several servos."""
        return self.instruction == SYNC_WRITE and self.address == address


class Wire(Protocol):
    """How packets look on the wire."""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Bytes in, packets out; whatever is no packet is skipped."""
        ...

    def reply(self, servo: int, error: int, data: bytes) -> bytes:
        """A servo's answer."""
        ...


def targets(packet: Packet, servos: Mapping[int, Servo]) -> list[Servo]:
    """The servos that a packet concerns, in the order of their replies."""
    if packet.instruction in (Instruction.SYNC_READ, SYNC_WRITE):
        return [servos[servo] for servo in packet.shares if servo in servos]
    if packet.id == BROADCAST:
        return list(servos.values())
    return [servos[packet.id]] if packet.id in servos else []


def carry_out(servo: ServoTable, packet: Packet) -> tuple[int, bytes] | None:
    """Do what one packet asks of one servo; the reply's error and data, None where nobody replies."""
    kind, refusal, data = packet.instruction, 0, b""
    if kind in (Instruction.READ, Instruction.SYNC_READ):
        return servo.error, servo.read(packet.address, packet.count)
    if kind == Instruction.PING:
        data = servo.greeting
    elif kind == SYNC_WRITE:
        servo.write(packet.address, packet.shares[servo.id])
    elif kind == Instruction.WRITE:
        refusal = servo.write(packet.address, packet.data)
    elif kind == Instruction.REG_WRITE:
        servo.waiting = packet.address, packet.data
    elif kind == Instruction.ACTION and servo.waiting is not None:
        servo.write(*servo.waiting)
        servo.waiting = None
    elif kind == Instruction.REBOOT:
        servo.power_cycle()
    return None if packet.id == BROADCAST else (servo.error | refusal, data)


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
