"""What the policy's process and a driver's process tell one another, through memory that both map.

Each side writes a record of its own and reads the other's; neither ever waits for the other. A record is guarded by a
sequence number, odd while it is being written, so that whoever reads it knows whether it is whole. (That the numbers
are seen in the order in which they are written is what x86-64 promises of plain stores.)
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from enum import IntEnum
from typing import Any

import numpy as np

REASON = 512  # bytes of a text
TRIES = 100  # to read a record that is being written; its writer may have been stopped in the middle of it
_HEAD = 8  # bytes


class Ask(IntEnum):
    """What the policy's process wants. Everything it asks says that it is alive, too."""

    BEAT = 0
    HOME = 1
    FOLLOW = 2
    FAULT = 3
    CLEAR = 4
    REST = 5
    CLOSE = 6


class Phase(IntEnum):
    """Where the driver is in its life; after `REFUSED` and `CLOSED` it ends."""

    STARTING = 0
    READY = 1
    REFUSED = 2
    CLOSED = 3


def command_record(joints: int) -> np.dtype:
    """From the policy's process to the driver."""
    return np.dtype(
        [("number", "<i8"), ("ask", "<i8"), ("target", "<f4", (joints,)), ("reason", f"S{REASON}")], align=True
    )


def state_record(joints: int, senses: int) -> np.dtype:
    """From the driver to the policy's process."""
    vector = ("<f8", (joints,))
    return np.dtype(
        [
            ("phase", "<i8"), ("answered", "<i8"), ("home", "?"), ("fault", "?"), ("reason", f"S{REASON}"),
            ("accepted", "<f4", (joints,)), ("setpoint", "<f4", (joints,)),
            ("position", *vector), ("velocity", *vector), ("stamp", "<f8"), ("sensed", "<f4", (senses,)),
            ("cycles", "<i8"), ("misses", "<i8"), ("late_p50", "<f8"), ("late_p99", "<f8"), ("late_max", "<f8"),
            ("transactions", "<i8"), ("retried", "<i8"), ("failed", "<i8"),
            ("fifo", "?"), ("locked", "?"), ("guardian", "<i8"),
        ],
        align=True,
    )  # fmt: skip


class Slot:
    """One record in shared memory, with one writer."""

    def __init__(self, memory: memoryview, record: np.dtype) -> None:
        self._sequence = np.frombuffer(memory[:_HEAD], "<i8")
        self._data = memory[_HEAD : _HEAD + record.itemsize]
        self._record = np.frombuffer(self._data, record)
        self._kind = record
        self._seen = 0  # sequence number of the last record that was read

    @staticmethod
    def size(record: np.dtype) -> int:
        """Bytes of memory, a multiple of 64."""
        return -(-(_HEAD + record.itemsize) // 64) * 64

    def write(self, **fields: Any) -> None:
        """Change some fields."""
        self._sequence[0] += 1
        for name, value in fields.items():
            self._record[name][0] = value
        self._sequence[0] += 1

    def read(self) -> dict[str, Any] | None:
        """All fields, None where the record has not been whole since it was read last."""
        for _ in range(TRIES):
            before = int(self._sequence[0])
            data = bytes(self._data)
            if before % 2 == 0 and before == int(self._sequence[0]):
                self._seen = before
                one = np.frombuffer(data, self._kind)[0]
                return {name: one[name] for name in self._kind.names or ()}
        return None

    @property
    def fresh(self) -> bool:
        """Whether it was written since it was read last."""
        return int(self._sequence[0]) != self._seen


class Bell:
    """Wakes a process that waits for it; ringing never blocks."""

    def __init__(self, number: int | None = None) -> None:
        self.number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if number is None else number

    def ring(self) -> None:
        with suppress(BlockingIOError):  # it has been ringing for very long
            os.eventfd_write(self.number, 1)

    def wait(self, seconds: float, *others: int) -> None:
        """Until it rings or one of the other file descriptors is readable, at most so long [s]."""
        ready, _, _ = select.select((self.number, *others), (), (), max(0.0, seconds))  # poll knows milliseconds only
        if self.number in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self.number)

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.number)


class Exchange:
    """Both records of one driver in its block of memory, and the bells of the two sides.

    Args:
        memory: `size(joints, senses)` zeroed bytes that both sides map.
        joints: of the robot.
        senses: numbers that it measures besides.
        command_bell, answer_bell: wake the driver, and the policy's process.
    """

    def __init__(self, memory: memoryview, joints: int, senses: int, command_bell: Bell, answer_bell: Bell) -> None:
        split = Slot.size(command_record(joints))
        self.command = Slot(memory[:split], command_record(joints))
        self.state = Slot(memory[split:], state_record(joints, senses))
        self.command_bell, self.answer_bell = command_bell, answer_bell

    @staticmethod
    def size(joints: int, senses: int) -> int:
        return Slot.size(command_record(joints)) + Slot.size(state_record(joints, senses))
