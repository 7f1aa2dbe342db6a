"""The guardian: a small process that watches a driver's process where nothing in the device does.

It has inherited the driver's port. When the driver dies or stalls, it ends the driver for good and writes what brings
the safe state. It needs no reading, no SDK and no numbers, so that little can keep it from doing so.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from robo_rl.child import Child, left_alone, shared

_COUNT = struct.Struct("<qq")  # cycles of the driver; 1 when it has ended by itself
TIMES, GAP = 5, 0.005  # how often the packets are written, and how far apart [s]: nobody answers them


class Takeover(NamedTuple):
    """What a guardian needs: the port's file descriptor, and the packets that bring the safe state."""

    port: int
    packets: Sequence[bytes]


class Guardian:
    """The driver's side.

    Args:
        takeover: what it is to do.
        stall: [s] without a beat, after which it does it.
        priority: of SCHED_FIFO, where it is granted.
    """

    def __init__(self, takeover: Takeover, stall: float, priority: int) -> None:
        arguments = (takeover.port, round(stall * 1e6), priority)
        self._child = Child("hardware.guardian", _COUNT.size, arguments, (takeover.port,))
        self._child.tell(b"".join(packet.hex().encode() + b"\n" for packet in takeover.packets) + b"\n")
        self._beats = 0

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.running

    def beat(self) -> None:
        """The driver is well."""
        self._beats += 1
        _COUNT.pack_into(self._child.memory, 0, self._beats, 0)

    def dismiss(self) -> None:
        """The driver ends by itself."""
        _COUNT.pack_into(self._child.memory, 0, self._beats, 1)
        self._child.end()
        self._child.wait(1.0)


def watch(memory: memoryview, parent: int, stall: float) -> bool:
    """Until the driver ends; whether the safe state is to be brought.

    The first stall counts from the first beat: connecting takes its time.
    """
    beats, since = 0, time.monotonic()
    while not left_alone(parent, stall / 5):
        count, _ = _COUNT.unpack_from(memory)
        now = time.monotonic()
        if count != beats or count == 0:
            beats, since = count, now
        elif now - since > stall:
            return True
    return not _COUNT.unpack_from(memory)[1]


def take_over(port: int, packets: Sequence[bytes], parent: int) -> None:
    """End the driver, if it is still there, and write the packets."""
    if os.getppid() == parent:
        with suppress(ProcessLookupError):
            os.kill(parent, signal.SIGKILL)
    for _ in range(TIMES):
        for packet in packets:
            with suppress(OSError):  # the port is gone: nobody can do anything
                os.write(port, packet)
        time.sleep(GAP)


def main(number: int, parent: int, port: int, stall: int, priority: int) -> None:
    packets = [bytes.fromhex(line) for line in iter(lambda: sys.stdin.readline().strip(), "")]
    from hardware import realtime  # after the packets are safe

    realtime.acquire(priority)
    if watch(shared(number, _COUNT.size), parent, stall / 1e6):
        take_over(port, packets, parent)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
