"""Real time for deployment: the deadline of whatever is being run, and a process that does not get in its way."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from hardware import realtime
from robo_rl.clock import Deadline
from robo_rl.env import Env
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Step


class PacedEnv(Env):
    """An environment that has no clock of its own, one step a control period."""

    def __init__(self, env: Env) -> None:
        self.env, self.deadline = env, Deadline(env.dt)
        self.obs_spec, self.act_spec, self.n, self.dt = env.obs_spec, env.act_spec, env.n, env.dt

    def reset(self, where: np.ndarray, seeds: Seeds) -> Step:
        return self.env.reset(where, seeds)

    def send(self, action: np.ndarray) -> None:
        self.env.send(action)

    def recv(self) -> Step:
        self.deadline.wait()
        return self.env.recv()

    def close(self) -> None:
        self.env.close()


def paced(env: Env) -> tuple[Env, Deadline]:
    """The environment and the deadline that paces it: its rig's, or one put around it."""
    deadline = deadline_of(env)
    if deadline is not None:
        return env, deadline
    wrapped = PacedEnv(env)
    return wrapped, wrapped.deadline


def deadline_of(env: Env) -> Deadline | None:
    """The deadline that paces an environment; None where nothing does."""
    return getattr(env, "deadline", None) or getattr(getattr(env, "rig", None), "deadline", None)


class Rate:
    """Observer that measures the achieved rate."""

    def __init__(self) -> None:
        self.ticks, self._first, self._last = 0, 0.0, 0.0

    def __call__(self, step: Step, action: Action) -> None:
        self._last = time.monotonic()
        self._first = self._first if self.ticks else self._last
        self.ticks += 1

    @property
    def hz(self) -> float:
        """Ticks a second, 0 before the second one."""
        return (self.ticks - 1) / (self._last - self._first) if self._last > self._first else 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._first if self.ticks else 0.0


def report(rate: Rate, deadline: Deadline) -> dict[str, Any]:
    """Cadence as `result.json` has it: how late wake-ups were [us], how many deadlines were missed."""
    late = deadline.late * 1e6
    p50, p99, worst = np.percentile(late, [50, 99, 100]) if len(late) else (0.0, 0.0, 0.0)
    return {
        "ticks": rate.ticks,
        "rate_hz": rate.hz,
        "wake_p50_us": float(p50),
        "wake_p99_us": float(p99),
        "wake_max_us": float(worst),
        "deadline_misses": int(deadline.misses),
    }


def granted(yes: bool) -> str:
    return "granted" if yes else "not granted"


def driver_rows(reports: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line a driver's process: what it was granted, how late it woke up, what its bus lost."""
    return [
        (
            f"driver {name}",
            f"{report['rate_hz']:.0f} Hz, wake-ups p99 {report['wake_p99_us']:.0f} us, {report['misses']} of "
            f"{report['cycles']} cycles missed, {report['retried']} answers asked for again, {report['failed']} lost; "
            f"SCHED_FIFO {granted(report['sched_fifo'])}, mlockall {granted(report['mlockall'])}",
        )
        for name, report in reports.items()
    ]


@contextmanager
def undisturbed(priority: int = 0) -> Iterator[bool]:
    """No garbage collection while the loop runs, and no other program before it: SCHED_FIFO at this priority (0: do not
    ask), where it is granted. Yields whether it was."""
    gc.collect()
    gc.freeze()
    gc.disable()
    granted = realtime.take_priority(priority)
    try:
        yield granted
    finally:
        if granted:
            realtime.give_back_priority()
        gc.enable()
        gc.unfreeze()
