"""Processes of this project's own that share a block of memory with the process that started them.

The block is a file in memory without a name, handed down as a file descriptor. The end of standard input, or another
parent, tells the child that the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from typing import IO


class Child:
    """The parent's side: `python -m MODULE FD PARENT ARGUMENTS...` in a session of its own, so that Ctrl-C in a
    terminal reaches the parent alone.

    Args:
        module: what runs.
        size: bytes of shared memory, zeroed.
        arguments: of the command line.
        fds: further file descriptors that it inherits.

    Raises:
        OSError: there is not enough memory.
    """

    def __init__(self, module: str, size: int, arguments: Sequence[int | float] = (), fds: Sequence[int] = ()) -> None:
        number = os.memfd_create(module)
        try:
            os.ftruncate(number, size)
            self.memory = shared(number, size)
            words = ("-m", module, number, os.getpid(), *arguments)
            self._process = subprocess.Popen(
                [sys.executable, *map(str, words)], stdin=subprocess.PIPE, pass_fds=(number, *fds),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(number)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, data: bytes) -> None:
        """Write to its standard input. That it died shows in `ended`."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(data)
            self._input.flush()

    def end(self) -> None:
        """Close its standard input: nothing more comes."""
        with contextlib.suppress(OSError):
            self._input.close()

    def wait(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def ended(self) -> str:
        """How it ended in words, "" while it runs or where nothing went wrong."""
        code = self._process.poll()
        if not code:
            return ""
        return f"got signal {-code}" if code < 0 else f"ended with {code}"

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin


def shared(number: int, size: int) -> memoryview:
    """The block behind a file descriptor."""
    return memoryview(mmap.mmap(number, size))


def left_alone(parent: int, seconds: float = 0.0) -> bool:
    """The child's side: wait; whether the parent has closed standard input or is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) or os.getppid() != parent
