"""What tests of other processes and of robots in real time wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np

from hardware.device import GuardedRobot

ONE = np.ones(1, bool)
SOON = 120.0  # [s] for what has to come, however busy the machine is

AnyRobot = TypeVar("AnyRobot", bound=GuardedRobot)


class Closable(Protocol):
    def close(self) -> None: ...


Made = TypeVar("Made", bound=Closable)


def until(condition: Callable[[], bool], meanwhile: Callable[[], Any] = lambda: None, every: float = 0.002) -> None:
    """Look every so many seconds whether it is so."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        meanwhile()
        time.sleep(every)


def homed(robot: AnyRobot, dt: float) -> AnyRobot:
    """The robot, connected and at home; it is told to go there every `dt` seconds."""
    robot.connect()
    end = time.monotonic() + SOON
    while not robot.home(ONE).all():
        assert time.monotonic() < end, f"it never got home: {robot.guard.reasons}"
        time.sleep(dt)
    return robot


@contextmanager
def closed_at_the_end(make: Callable[..., Made]) -> Iterator[Callable[..., Made]]:
    """The same function; what it has made is closed when the test is over, the last one first."""
    with ExitStack() as made:
        yield lambda *arguments, **options: made.enter_context(closing(make(*arguments, **options)))
