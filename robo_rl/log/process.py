"""The recorder's own process: it empties a ring in shared memory, so that compressing never takes the control loop's
time, and outlives the control loop, so that nothing that was in the ring is lost with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

import numpy as np

from robo_rl.child import Child, left_alone, shared
from robo_rl.log.drain import Drain, Recording
from robo_rl.log.header import to_text
from robo_rl.log.layout import Layout
from robo_rl.log.picture_ring import PictureRing
from robo_rl.log.ring import TickRing

NICE = 5
PATIENCE = 60.0  # [s] that the process may take to write what was waiting
LOOK = 0.1  # [s] between two looks at whether it lives
START = 20.0  # [s] that its start is waited for: ticks that come before it are lost where it is killed


class RecorderProcess:
    """The control loop's side: creates the ring, starts the process that empties it, and waits until it does.

    Raises:
        OSError: there is not enough memory.
    """

    def __init__(self, layout: Layout, recording: Recording, slots: int) -> None:
        self._child = Child("robo_rl.log.process", _size(layout, slots, recording), (slots,))
        np.frombuffer(self._child.memory, np.uint8).fill(0)  # its pages are there before a tick needs them
        self.ring, self.pictures = _rings(layout, slots, recording, self._child.memory)
        self._looked = time.monotonic()
        self._child.tell(to_text(recording.to_json()).encode() + b"\n")
        end = time.monotonic() + START
        while not self.ring.read and self._child.running and time.monotonic() < end:
            time.sleep(0.002)

    @property
    def pid(self) -> int:
        return self._child.pid

    def wake(self) -> None:
        """The process looks into the ring by itself."""

    def look(self) -> None:
        """Stop the ring where the process has ended. Cheap enough for every tick."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            self._check()

    def close(self) -> None:
        """Wait until everything is written."""
        self._child.end()
        if not self._child.wait(PATIENCE):
            self.ring.stop("the disk is too slow")
            self._child.kill()
        self._check()

    def _check(self) -> None:
        if how := self._child.ended:
            self.ring.stop(f"the recorder's process {how}")


def _first(layout: Layout, slots: int, rows: int) -> int:
    """Bytes of the ticks' ring, up to where the pictures' begins: a multiple of eight."""
    return -(-TickRing.size(layout, slots, rows) // 8) * 8


def _size(layout: Layout, slots: int, recording: Recording) -> int:
    rows = len(recording.rows)
    return _first(layout, slots, rows) + PictureRing.size(layout, rows, recording.backlog)


def _rings(layout: Layout, slots: int, recording: Recording, memory: memoryview) -> tuple[TickRing, PictureRing]:
    rows = len(recording.rows)
    first = _first(layout, slots, rows)
    pictures = PictureRing(layout, rows, recording.backlog, memory[first:])
    return TickRing(layout, slots, rows, memory[:first]), pictures


def _step_back() -> None:
    """Leave the processor to the control loop, whose real-time priority is inherited."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(NICE)


def main(number: int, parent: int, slots: int) -> int:
    """Exit code: 0 everything was written, 1 the ring says why not."""
    _step_back()
    recording = Recording.from_json(json.loads(sys.stdin.buffer.readline()))
    layout = recording.layout
    memory = shared(number, _size(layout, slots, recording))
    ring, pictures = _rings(layout, slots, recording, memory)
    drain = Drain(ring, pictures, recording)
    ring.begin_reading()
    drain.work(lambda seconds: left_alone(parent, seconds))
    return 0 if drain.error is None else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
