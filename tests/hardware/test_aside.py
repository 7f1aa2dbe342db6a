"""Calls beside the loop: one at a time, whoever gave up on the last one."""

from __future__ import annotations

import threading
import time

import pytest

from hardware.aside import Aside


def patient(call) -> object:
    while True:
        try:
            next(call)
        except StopIteration as over:
            return over.value


def test_a_call_returns_and_raises_what_it_did() -> None:
    aside = Aside()
    assert patient(aside(lambda: 3)) == 3
    with pytest.raises(ZeroDivisionError):
        patient(aside(lambda: 1 / 0))
    assert patient(aside(lambda: 4)) == 4  # what became of the last one is nobody's any more


def test_a_call_waits_for_one_that_was_given_up() -> None:
    aside, go, done = Aside(), threading.Event(), []
    first = aside(lambda: (go.wait(), done.append(1)))
    next(first)
    second = aside(lambda: done.append(2))
    for _ in range(5):
        next(second)
    assert aside.busy and not done
    go.set()
    patient(second)
    assert done == [1, 2]


def test_what_comes_then_waits_a_while_and_comes_late_where_that_was_too_short() -> None:
    aside, go, done = Aside(), threading.Event(), []
    aside.then(1.0, lambda: done.append("idle"))
    assert done == ["idle"]
    next(aside(lambda: (go.wait(), done.append("call"))))
    begun = time.monotonic()
    aside.then(0.05, lambda: done.append("late"))
    assert 0.05 <= time.monotonic() - begun < 1.0 and done == ["idle"]
    go.set()
    while aside.busy or len(done) < 3:
        time.sleep(0.001)
    assert done == ["idle", "call", "late"]
