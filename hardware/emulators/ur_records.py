"""What an emulated UR controller and the process that started it tell one another, through memory that both map."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hardware.emulators.ur_program import JOINTS

MEMORY = 1 << 16  # the latest of what the arm was told: two minutes at 500 Hz


@dataclass(frozen=True)
class UrSettings:
    """How an emulated controller runs."""

    rate: float = 500.0  # [Hz] of its cycle, and the most that a client gets
    priority: int = 60  # of SCHED_FIFO, where it is granted: a controller does not wait for other programs


class Event(IntEnum):
    """What happens to the robot."""

    NOTHING = 0
    PROTECTIVE_STOP = 1
    EMERGENCY_STOP = 2
    UNLOCK = 3
    POWER_OFF = 4
    POWER_ON = 5
    FREEZE = 6  # it sends nothing any more
    UNPLUG = 7


def wishes(size: int) -> np.dtype:
    """What the emulator is asked for: events by their number, and another state of a plant with `size` numbers."""
    return np.dtype([("number", "<i8"), ("event", "<i8"), ("placed", "<i8"), ("place", "<f8", (size,))], align=True)


def findings(joints: int, size: int) -> np.dtype:
    """What the emulator says of itself. `led`: the arm follows a target; `stopped`: why its program ended; `told`: how
    often the arm was told something so far."""
    vector = ("<f8", (joints,))
    return np.dtype(
        [
            ("ready", "?"), ("reason", "S256"), ("address", "S32"), ("number", "<i8"), ("placed", "<i8"),
            ("running", "?"), ("led", "?"), ("stopped", "S256"), ("told", "<i8"),
            ("position", *vector), ("velocity", *vector), ("load", *vector), ("state", "<f8", (size,)),
        ],
        align=True,
    )  # fmt: skip


TOLD = np.dtype([("time", "<f8"), ("target", "<f8", (JOINTS,)), ("servo", "?")], align=True)
"""One thing the arm was told [s, rad]: a target of servoJ, or (`servo` false) to stop there."""
