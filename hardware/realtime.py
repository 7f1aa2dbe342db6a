"""What an operating system may grant a process that has to be on time."""

from __future__ import annotations

import ctypes
import gc
import os
from typing import NamedTuple

MCL_CURRENT, MCL_FUTURE = 1, 2


class Granted(NamedTuple):
    """What this process was granted."""

    fifo: bool  # SCHED_FIFO: no ordinary process takes the processor away
    locked: bool  # mlockall: no page fault waits for the disk

    @property
    def text(self) -> str:
        names = {"SCHED_FIFO": self.fifo, "mlockall": self.locked}
        return ", ".join(f"{name} {'granted' if granted else 'refused'}" for name, granted in names.items())


def acquire(priority: int) -> Granted:
    """Ask for SCHED_FIFO at a priority (1 to 99; 0 asks for nothing) and for locked memory, and stop collecting
    garbage."""
    gc.collect()
    gc.freeze()
    gc.disable()
    return Granted(take_priority(priority), priority > 0 and _lock())


def take_priority(priority: int) -> bool:
    """SCHED_FIFO for the thread that calls; whether it was granted. 0 asks for nothing. What it starts is an ordinary
    program: a child that imports its modules would keep everybody waiting."""
    if priority == 0:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:
        return False
    return True


def grants(priority: int) -> bool:
    """Whether `take_priority` would be granted; nothing changes."""
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    granted = take_priority(priority)
    if granted:
        os.sched_setscheduler(0, policy, parameter)
    return granted


def give_back_priority() -> None:
    """Back among the ordinary programs."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _lock() -> bool:
    """Memory that is not there when it is locked would kill the process later: that, too, is asked for here."""
    return ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) == 0
