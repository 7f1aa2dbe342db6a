"""Universal Robots' real-time data exchange, as a controller speaks it (RTDE guide, protocol version 2).

packet: size (2 bytes, of the whole), type (1 byte), payload; big-endian
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

HEAD = struct.Struct(">HB")
VERSION = 2


class Kind(IntEnum):
    """Types of packets."""

    PROTOCOL = 86
    CONTROLLER = 118
    OUTPUTS = 79
    INPUTS = 73
    START = 83
    PAUSE = 80
    DATA = 85


class Field(NamedTuple):
    """A type of variable: its name in the protocol, and its format."""

    name: str
    format: str
    length: int = 1


DOUBLE, INT32, UINT32 = Field("DOUBLE", "d"), Field("INT32", "i"), Field("UINT32", "I")
UINT64, UINT8, VECTOR6D = Field("UINT64", "Q"), Field("UINT8", "B"), Field("VECTOR6D", "6d", 6)
FIELDS: Mapping[str, Field] = {
    "timestamp": DOUBLE, "speed_scaling": DOUBLE, "target_speed_fraction": DOUBLE, "external_force_torque": VECTOR6D,
    "actual_q": VECTOR6D, "actual_qd": VECTOR6D, "target_q": VECTOR6D, "joint_temperatures": VECTOR6D,
    "actual_current": VECTOR6D, "robot_mode": INT32, "safety_mode": INT32, "runtime_state": UINT32,
    "robot_status_bits": UINT32, "safety_status_bits": UINT32, "actual_digital_output_bits": UINT64,
}  # fmt: skip


def field(name: str) -> Field | None:
    """The type of a variable; None where this controller has none of that name."""
    if name.startswith(("input_int_register_", "output_int_register_")):
        return INT32
    if name.startswith(("input_double_register_", "output_double_register_")):
        return DOUBLE
    return FIELDS.get(name)


class Recipe:
    """Variables that travel together, in this order."""

    def __init__(self, number: int, names: Sequence[str]) -> None:
        self.number, self.names = number, tuple(names)
        found = [field(name) for name in names]
        self.types = ["NOT_FOUND" if one is None else one.name for one in found]
        self._fields = [one for one in found if one is not None]
        self._struct = struct.Struct(">B" + "".join(one.format for one in self._fields))

    def pack(self, values: Mapping[str, float | int | Sequence[float]]) -> bytes:
        """A data packet; what `values` does not hold is 0."""
        flat: list[float | int] = []
        for name, one in zip(self.names, self._fields, strict=True):
            value = values.get(name, 0)
            flat += list(value) if isinstance(value, Sequence) else [value] * one.length
        return packet(Kind.DATA, self._struct.pack(self.number, *flat))

    def unpack(self, payload: bytes) -> dict[str, float | int]:
        """Numbers of a data packet, the first of each vector."""
        flat, found, place = self._struct.unpack(payload), {}, 1
        for name, one in zip(self.names, self._fields, strict=True):
            found[name] = flat[place]
            place += one.length
        return found


class Parser:
    """Bytes in, packets (type, payload) out."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            size, kind = HEAD.unpack_from(self._buffer)
            if len(self._buffer) < size:
                return
            payload, self._buffer = self._buffer[HEAD.size : size], self._buffer[size:]
            yield kind, payload


def packet(kind: Kind, payload: bytes) -> bytes:
    return HEAD.pack(HEAD.size + len(payload), kind) + payload


def names_in(payload: bytes) -> list[str]:
    """The variables that a recipe asks for; clients end their list with a comma."""
    return [name for name in payload.decode().split(",") if name]
