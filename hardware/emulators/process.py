"""Emulated devices that are processes of their own, seen from the process that started them.

A record of wishes goes there and a record of findings comes back, through memory that both map. Findings begin with
`ready`, `reason` (why it did not start) and `placed`; wishes hold `placed` and `place`, see `EmulatedProcess.place`.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hardware.exchange import Slot
from robo_rl.child import Child, shared
from robo_rl.errors import UserError

START = 30.0  # [s] that it may take to start: a world is compiled
HEED = 1.0  # [s] in which a wish is heeded


class EmulatedProcess:
    """Power on at `__init__`, off at `close`.

    Args:
        module: runs as `python -m MODULE FD PARENT SIZES...`, and gets `given`, pickled, on its standard input.
        sizes: further arguments of the module: of its records.
        wishes, findings: the records.
        given: what it is made of.
        further: bytes of memory behind the two records.
    """

    def __init__(
        self, module: str, sizes: tuple[int, ...], wishes: np.dtype, findings: np.dtype, given: Any, further: int = 0
    ) -> None:
        split, end = Slot.size(wishes), Slot.size(wishes) + Slot.size(findings)
        self._module = module
        self._child = Child(module, end + further, sizes)
        self._asked, self._found = Slot(self._child.memory[:split], wishes), Slot(self._child.memory[split:], findings)
        self._further = self._child.memory[end:]
        self._placed = 0
        self._child.tell(pickle.dumps(given))
        self._wait()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def found(self) -> dict[str, Any]:
        """What it says of itself."""
        while (found := self._found.read()) is None:
            time.sleep(1e-4)
        return found

    def place(self, state: np.ndarray) -> None:
        """Change the plant's state where `state` (K,) is a number, and wait until that has happened."""
        self._placed += 1
        self._asked.write(place=state, placed=self._placed)
        self._heeded(lambda: self.found["placed"] == self._placed)

    def close(self) -> None:
        """May be called twice."""
        self._child.end()
        if not self._child.wait(2.0):
            self._child.kill()

    def _heeded(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + HEED
        while not done() and time.monotonic() < end:
            time.sleep(2e-4)

    def _wait(self) -> None:
        """Until it is there."""
        end = time.monotonic() + START
        while not self.found["ready"]:
            if not self._child.running or time.monotonic() > end:
                reason = self.found["reason"].decode(errors="replace")
                self.close()
                raise UserError(reason or f"the emulated device did not start ({self._module})")
            time.sleep(0.005)


def attached(number: int, wishes: np.dtype, findings: np.dtype, further: int = 0) -> tuple[Slot, Slot, memoryview]:
    """The device's side: both records behind a file descriptor, and the memory behind them."""
    split, end = Slot.size(wishes), Slot.size(wishes) + Slot.size(findings)
    block = shared(number, end + further)
    return Slot(block[:split], wishes), Slot(block[split:], findings), block[end:]
