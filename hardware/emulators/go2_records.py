"""What an emulated Go2 and the process that started it tell one another, through memory that both map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

JOINTS, FEET = 12, 4
NEVER = -1e9  # [s] a time before every other


@dataclass(frozen=True)
class Go2Settings:
    """How an emulated Go2 runs."""

    domain: int
    interface: str = "lo"
    rate: float = 500.0  # [Hz] of states, and of the motors' loop
    timeout: float = 0.1  # [s] without a command, after which the motors damp
    damping: float = 3.0  # [N.m.s/rad] then
    priority: int = 60  # of SCHED_FIFO, where it is granted: a robot does not wait for other programs


def wishes(size: int) -> np.dtype:
    """What the emulator is asked for: faults, and another state of a plant with `size` numbers."""
    return np.dtype(
        [
            ("lost", "<f8"), ("late", "<f8"), ("late_by", "<f8"), ("corrupted", "<f8"), ("duplicated", "<f8"),
            ("frozen", "?"), ("silent", "?"), ("stuck", "?", (JOINTS,)), ("sport", "?"), ("hot", "?"), ("rival", "?"),
            ("tilt", "<f8"), ("falling", "?"), ("placed", "<i8"), ("place", "<f8", (size,)),
        ],
        align=True,
    )  # fmt: skip


def findings(size: int) -> np.dtype:
    """What the emulator says of itself. Times are monotonic [s].

    `told_*` are the extremes of what enabled motors with a position gain were told since the start: position, change
    from one command to the next, and torque asked for at that moment.
    """
    joints = (JOINTS,)
    return np.dtype(
        [
            ("alive", "<i8"), ("ready", "?"), ("reason", "S256"), ("heard", "<i8"), ("refused", "<i8"),
            ("happened", "<i8"), ("timeouts", "<i8"), ("active", "?"), ("active_until", "<f8"),
            ("enabled", "?", joints), ("q", "<f8", joints), ("kp", "<f8", joints), ("kd", "<f8", joints),
            ("tau", "<f8", joints), ("position", "<f8", joints), ("velocity", "<f8", joints),
            ("told_least", "<f8", joints), ("told_most", "<f8", joints), ("told_step", "<f8", joints),
            ("told_torque", "<f8", joints), ("placed", "<i8"), ("time", "<f8"), ("state", "<f8", (size,)),
        ],
        align=True,
    )  # fmt: skip
