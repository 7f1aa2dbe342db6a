"""Keys through a real pseudo-terminal, and the task in which a person judges."""

from __future__ import annotations

import termios
import time
from collections.abc import Iterator

import numpy as np
import pytest

from hardware.emulators.servo_arm import ServoArm
from hardware.operator import OperatorTask
from hardware.rig import DeviceRig
from robo_rl.clock import Deadline
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.seeds import Seeds
from robo_rl.types import Kind, Reason, Step, Success
from tests.fakes import FakeClock, tiny_arm
from tests.hardware.terminal import Terminal, terminal

ONE = np.ones(1, bool)


@pytest.fixture
def person() -> Iterator[Terminal]:
    with terminal() as made:
        yield made


def typed(person: Terminal, names: str) -> list[str]:
    """Keys, as soon as they have gone through the terminal."""
    end = time.monotonic() + 5
    while not (found := person.keys.take(names)) and time.monotonic() < end:
        time.sleep(0.001)
    return found


def test_keys_are_taken_by_those_they_are_meant_for(person: Terminal) -> None:
    person.type("axb")
    assert typed(person, "x") == ["x"]
    assert person.keys.take("ab") == ["a", "b"] and person.keys.take("abx") == []


def test_keys_have_names(person: Terminal) -> None:
    person.type("\x1b[A \n\x1bq")
    assert typed(person, ["up", "space", "enter", "escape", "q"]) == ["up", "space", "enter", "escape", "q"]  # type: ignore[arg-type]


def test_the_terminal_is_put_back(person: Terminal) -> None:
    number = person._end
    during = termios.tcgetattr(number)[3]
    person.keys.close()
    after = termios.tcgetattr(number)[3]
    assert not during & termios.ICANON and after & termios.ICANON and after & termios.ECHO


class Bench:
    """An arm, a person and an env."""

    def __init__(self, person: Terminal, limit: float = 1.0) -> None:
        self.lines: list[str] = []
        clock = FakeClock()
        arm = tiny_arm()
        rig = DeviceRig([ServoArm(arm, now=clock)], deadline=Deadline(arm.dt, now=clock, sleep=clock.sleep), now=clock)
        self.task = OperatorTask("reach", limit, person.keys, self.lines.append)
        self.env = RigEnv(rig, self.task)
        self.step = self.env.reset(ONE, Seeds(0))

    def until(self, kind: Kind, ticks: int = 500) -> Step:
        for _ in range(ticks):
            if self.step.kind[0] == kind:
                return self.step
            self.env.send(self.step.obs["applied"])
            self.step = self.env.recv()
            time.sleep(0.0005)
        raise AssertionError(f"no {kind.name} within {ticks} ticks")


@pytest.mark.parametrize(("key", "success", "reason"), [("y", 1, Reason.SUCCESS), ("n", 0, Reason.FAILURE)])
def test_a_person_begins_and_labels(person: Terminal, key: str, success: int, reason: Reason) -> None:
    bench = Bench(person)
    for _ in range(2):
        with pytest.raises(AssertionError, match="no FIRST"):
            bench.until(Kind.FIRST, 60)
        person.type("\n")
        bench.until(Kind.FIRST)
        person.type(key)
        step = bench.until(Kind.LAST)
        assert (step.success[0], step.reason[0], step.discount[0]) == (success, reason, 0)
        bench.until(Kind.RESET)
    assert len(bench.lines) >= 2 and "press Enter" in bench.lines[0]


def test_what_was_typed_before_the_question_is_no_answer(person: Terminal) -> None:
    person.type("\nx")
    assert typed(person, "x") == ["x"]  # Enter lies there by now
    bench = Bench(person)
    with pytest.raises(AssertionError, match="no FIRST"):
        bench.until(Kind.FIRST, 60)


def test_an_episode_that_nobody_ends_is_a_failure(person: Terminal) -> None:
    bench = Bench(person, limit=0.2)
    with pytest.raises(AssertionError):
        bench.until(Kind.FIRST, 60)
    person.type("\n")
    step = bench.until(Kind.LAST)
    assert step.reason[0] == Reason.TIMEOUT and step.success[0] == Success.NO and step.discount[0] == 1


def test_without_a_terminal_no_episode_begins(person: Terminal) -> None:
    bench = Bench(person)
    person.hang_up()
    with pytest.raises(UserError, match="nobody can say when an episode begins"):
        bench.until(Kind.FIRST, 100)
