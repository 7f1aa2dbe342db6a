"""The Go2's messages: their type hashes, their bytes against Cyclone's own serialisation, their checksum."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hardware import go2_messages as messages
from hardware.go2_packets import (
    COMMAND,
    POSITION_STOP,
    STATE,
    VELOCITY_STOP,
    Layout,
    checksum,
    crc32_mpeg2,
    first_command,
)

# As in the C++ headers that Cyclone DDS 0.10.2 generated for the vendor's SDK (unitree_sdk2, idl/go2).
HASHES = [
    (messages.LowCmd, "832876ceec9737d69f6ed62a3f63", "52cc8eb0d427d692aa2b20a90540"),
    (messages.LowState, "853a99e23d0daa1610b65c526b40", "08f239c471d3a27e67e7c7723184"),
]


@pytest.mark.parametrize(("kind", "minimal", "complete"), HASHES, ids=lambda value: getattr(value, "__name__", ""))
def test_type_hashes_are_those_of_the_robots_version(kind: Any, minimal: str, complete: str) -> None:
    info = kind.__idl__.get_type_info()
    assert info.minimal.typeid_with_size.type_id.value.hex() == minimal
    assert info.complete.typeid_with_size.type_id.value.hex() == complete


def random_message(layout: Layout, seed: int) -> np.ndarray:
    """Random in every field; padding stays zero."""
    draw, message = np.random.default_rng(seed), layout.empty()
    fill(message, draw)
    return message


def fill(values: np.ndarray, draw: np.random.Generator) -> None:
    for name in values.dtype.names or ():
        field = values[name]
        if field.dtype.names:
            fill(field, draw)
        elif field.dtype.kind == "f":
            values[name] = draw.normal(size=field.shape)
        else:
            bounds = np.iinfo(field.dtype)
            values[name] = draw.integers(bounds.min, bounds.max, field.shape, endpoint=True)


def flat(value: Any) -> list[float]:
    """All numbers in a message, in the order of its fields."""
    if dataclasses.is_dataclass(value):
        return [number for field in dataclasses.fields(value) for number in flat(getattr(value, field.name))]
    if isinstance(value, np.void | np.ndarray) and value.dtype.names:
        parts = [value] if value.shape == () else value
        return [number for part in parts for name in value.dtype.names for number in flat(part[name])]
    if isinstance(value, bytes):
        return [float(octet) for octet in value]
    if isinstance(value, list | np.ndarray) and np.shape(value) != ():
        return [number for part in value for number in flat(part)]
    return [float(value)]


@pytest.mark.parametrize(("layout", "kind"), [(COMMAND, messages.LowCmd), (STATE, messages.LowState)])
def test_packets_are_what_cyclone_would_have_written(layout: Layout, kind: Any) -> None:
    for seed in range(5):
        message = random_message(layout, seed)
        packet = layout.sealed(message)
        read = kind.deserialize(packet)
        assert flat(read) == flat(message)
        assert read.serialize().ljust(len(packet), b"\0") == packet
        opened = layout.opened(packet)
        assert opened is not None and flat(opened) == flat(message)


def test_sizes_are_those_of_the_robots_structures() -> None:
    assert (COMMAND.record.itemsize, COMMAND.size) == (812, 808)
    assert (STATE.record.itemsize, STATE.size) == (1180, 1176)


def bitwise(words: list[int]) -> int:
    """The checksum as the vendor's documentation has it, one bit after the other."""
    crc = 0xFFFFFFFF
    for word in words:
        for bit in range(31, -1, -1):
            carry = crc >> 31
            crc = crc << 1 & 0xFFFFFFFF
            if carry:
                crc ^= 0x04C11DB7
            if word >> bit & 1:
                crc ^= 0x04C11DB7
    return crc


def test_the_checksum_is_the_bitwise_one() -> None:
    assert crc32_mpeg2(b"123456789") == 0x0376E6E7  # the catalogue's check value
    assert crc32_mpeg2(b"") == 0xFFFFFFFF
    draw = np.random.default_rng(0)
    for count in (1, 2, 50, 202):
        words = draw.integers(0, 2**32, count, np.uint32)
        assert checksum(words.astype("<u4").tobytes()) == bitwise(words.tolist())


@pytest.mark.parametrize("layout", [COMMAND, STATE])
def test_a_packet_that_is_not_whole_is_refused(layout: Layout) -> None:
    """One wrong bit is noticed wherever it is, but in padding, where it changes nothing."""
    message = random_message(layout, 3)
    packet = layout.sealed(message)
    refused = 0
    for place in range(4, len(packet)):
        wrong = bytearray(packet)
        wrong[place] ^= 1 << place % 8
        opened = layout.opened(bytes(wrong))
        refused += opened is None
        assert opened is None or flat(opened) == flat(message)
    assert refused > 0.85 * len(packet)
    assert layout.opened(packet[:-1]) is None and layout.opened(packet + b"\0") is None
    assert layout.opened(b"\x00\x00" + packet[2:]) is None  # big-endian
    assert layout.opened(b"") is None


def test_the_first_command_moves_nothing() -> None:
    message = first_command()
    motor = message["motor"]
    assert bytes(message["head"]) == b"\xfe\xef" and message["level_flag"] == 0xFF
    assert (motor["mode"] == 1).all() and not motor["kp"].any() and not motor["kd"].any() and not motor["tau"].any()
    assert (motor["q"] == np.float32(POSITION_STOP)).all() and (motor["dq"] == np.float32(VELOCITY_STOP)).all()
