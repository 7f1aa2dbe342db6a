"""Cadence."""

from __future__ import annotations

import time

import numpy as np
import pytest

from robo_rl.clock import Deadline, Every
from tests.fakes import FakeClock


def test_every_is_true_once_an_interval() -> None:
    every = Every(10)
    assert [count for count in range(0, 50, 3) if every(count)] == [12, 21, 30, 42]


def test_every_can_start_at_once_and_be_switched_off() -> None:
    assert [Every(10, first=True)(0), Every(10)(0), Every(0)(100)] == [True, False, False]


def test_every_does_not_catch_up_after_a_jump() -> None:
    every = Every(10)
    assert [every(95), every(96), every(100)] == [True, False, True]


def fake(dt: float = 0.01) -> tuple[FakeClock, Deadline]:
    clock = FakeClock()
    return clock, Deadline(dt, now=clock, sleep=clock.sleep)


def test_deadline_does_not_drift() -> None:
    clock, deadline = fake()
    deadline.start()
    begin = clock.time
    rng = np.random.default_rng(0)
    for _ in range(1000):
        clock.sleep(rng.uniform(0, 0.009))  # work
        deadline.wait()
    assert clock.time - begin == pytest.approx(10.0, abs=1e-4)
    assert deadline.misses == 0 and deadline.ticks == 1000
    assert deadline.late.shape == (1000,) and (deadline.late < 1e-5).all()


def test_a_missed_deadline_is_counted_and_keeps_the_phase() -> None:
    clock, deadline = fake()
    deadline.start()
    begin = clock.time
    for work in (0.002, 0.035, 0.002):
        clock.sleep(work)
        deadline.wait()
    assert deadline.misses == 1 and deadline.misses_in_a_row == 0
    assert clock.time - begin == pytest.approx(0.05, abs=1e-4)


def test_misses_in_a_row() -> None:
    clock, deadline = fake()
    for work in (0.015, 0.025, 0.015):
        deadline.wait() if deadline.ticks == 0 else None
        clock.sleep(work)
        deadline.wait()
    assert deadline.misses_in_a_row == deadline.misses == 3


def test_deadline_in_real_time() -> None:
    deadline = Deadline(0.002)
    deadline.start()
    begin = time.monotonic()
    for _ in range(50):
        deadline.wait()
    assert time.monotonic() - begin >= 0.0999
    assert (deadline.late >= 0).all()
