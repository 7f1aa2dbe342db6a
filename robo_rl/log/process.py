"""The recorder's own process: it empties a ring in shared memory, so that compressing never takes the control loop's
time, and outlives the control loop, so that nothing that was in the ring is lost with it.

The ring is a file in memory without a name, handed down as a file descriptor; the end of standard input, or another
parent, says that no more ticks come.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import subprocess
import sys
import time
from typing import IO

from robo_rl.log.drain import Drain, Recording
from robo_rl.log.header import to_text
from robo_rl.log.layout import Layout
from robo_rl.log.ring import TickRing

NICE = 5
PATIENCE = 60.0  # [s] that the process may take to write what was waiting
LOOK = 0.1  # [s] between two looks at whether it lives


class RecorderProcess:
    """The control loop's side: creates the ring and starts the process that empties it.

    Raises:
        OSError: there is not enough memory.
    """

    def __init__(self, layout: Layout, recording: Recording, slots: int) -> None:
        rows = len(recording.rows)
        number = os.memfd_create("recorder")
        try:
            size = TickRing.size(layout, slots, rows)
            os.ftruncate(number, size)
            self.ring = TickRing(layout, slots, rows, memoryview(mmap.mmap(number, size)))
            arguments = ("-m", "robo_rl.log.process", number, os.getpid(), slots)
            self._process = subprocess.Popen(
                [sys.executable, *map(str, arguments)], stdin=subprocess.PIPE, pass_fds=(number,),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(number)
        self._looked = time.monotonic()
        self._send(to_text(recording.to_json()))

    @property
    def pid(self) -> int:
        return self._process.pid

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
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.ring.stop("the disk is too slow")
            self._process.kill()
            self._process.wait()
        self._check()

    def _send(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died: the next look says so
            self._input.write(text.encode() + b"\n")
            self._input.flush()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _check(self) -> None:
        code = self._process.poll()
        if code:
            self.ring.stop(f"the recorder's process {f'got signal {-code}' if code < 0 else f'ended with {code}'}")


def _wait(parent: int, seconds: float) -> bool:
    """Wait; whether the control loop has closed the log or is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) or os.getppid() != parent


def _step_back() -> None:
    """Leave the processor to the control loop, whose real-time priority is inherited."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(NICE)


def main(number: int, parent: int, slots: int) -> int:
    """Exit code: 0 everything was written, 1 the ring says why not."""
    _step_back()
    recording = Recording.from_json(json.loads(sys.stdin.buffer.readline()))
    layout, rows = recording.layout, len(recording.rows)
    size = TickRing.size(layout, slots, rows)
    drain = Drain(TickRing(layout, slots, rows, memoryview(mmap.mmap(number, size))), recording)
    drain.work(lambda seconds: _wait(parent, seconds))
    return 0 if drain.error is None else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
