"""A copy of the world that an emulator moves in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import numpy as np

from hardware.emulators.process import EmulatedProcess
from robo_rl.app.world_plant import ROW
from sim.world import World

OWN = 2  # numbers at the end of a state that are the copy's own: seed and tick of the episode


class Mirror(AbstractContextManager["Mirror"]):
    """Keeps `world` equal to the one in the process of `emulator`, both ways.

    It is a lock as well: whoever holds it sees the world as it is now, and what they have changed when they let go
    happens there, too. Its holder may take it again.
    """

    def __init__(self, world: World, emulator: EmulatedProcess) -> None:
        self.world, self.emulator = world, emulator
        self._held = 0
        self._seen = world.save_state(ROW)[0]

    def look(self, adjust: Callable[[Mapping[str, Any]], None] = lambda found: None) -> Mapping[str, Any]:
        """Make the copy equal; what the emulator says of itself. `adjust` sets what the copy has otherwise."""
        found = self.emulator.found
        state = found["state"][None].copy()
        state[0, -OWN:] = self.world.save_state(ROW)[0, -OWN:]
        self.world.load_state(ROW, state)
        adjust(found)
        self._seen = self.world.save_state(ROW)[0]
        return found

    def push(self) -> None:
        """Change the emulator's world where the copy was changed since it was looked at."""
        now = self.world.save_state(ROW)[0]
        changed = now != self._seen
        changed[-OWN:] = False
        if changed.any():
            self.emulator.place(np.where(changed, now, np.nan))
            self._seen = now

    def __enter__(self) -> Self:
        if not self._held:
            self.look()
        self._held += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._held -= 1
        if not self._held:
            self.push()


class MirroredBus:
    """An emulator in a process of its own as an `EmulatedBus`."""

    def __init__(self, world: World, emulator: EmulatedProcess) -> None:
        self.emulator = emulator
        self.lock: AbstractContextManager = Mirror(world, emulator)

    def close(self) -> None:
        self.emulator.close()
