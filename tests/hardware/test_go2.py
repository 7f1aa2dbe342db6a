"""The Go2's driver on the real middleware against an emulated robot: limits, faults, refusals, and who may die."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.emulators.emulated_go2 import EmulatedGo2, random_domain
from hardware.go2 import Go2
from hardware.servo_health import ServoLimits
from robo_rl.errors import UserError
from robo_rl.robot import Robot
from tests.contract.robot import RobotContract
from tests.hardware.go2_bench import DT, driven, home, legs, power_on, robot
from tests.waiting import ONE, closed_at_the_end, homed, until

QUICK = DriverSettings(rate=500.0, watchdog=0.5, patience=20.0)


@pytest.fixture(scope="module")
def powered() -> Iterator[EmulatedGo2]:
    """One robot for all tests that leave it as it was."""
    emulator = power_on()
    yield emulator
    emulator.close()


@pytest.fixture
def emulator(powered: EmulatedGo2) -> Iterator[EmulatedGo2]:
    yield powered
    powered.ask(
        lost=0.0, late=0.0, corrupted=0.0, duplicated=0.0, frozen=False, silent=False, sport=False, hot=False,
        rival=False, tilt=0.0, falling=False, stuck=False,
    )  # fmt: skip
    powered.place(np.concatenate([home()[0], np.zeros(12)]))


@pytest.fixture
def make(emulator: EmulatedGo2) -> Iterator[Callable[..., Go2]]:
    with closed_at_the_end(partial(legs, emulator)) as build:
        yield build


def hold(robot: Go2) -> None:
    """One cycle of holding the home pose."""
    robot.write(home(), ONE)
    robot.measure()


class TestGo2(RobotContract):
    home_ticks = 2000

    @pytest.fixture(autouse=True)
    def _power(self, make: Callable[..., Go2]) -> None:
        self.build = make

    def make(self) -> Robot:
        return self.build()

    def pass_time(self, robot: Robot) -> None:
        time.sleep(DT)


def test_nothing_is_said_before_it_is_homed(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    one, before = make(), emulator.found["heard"]
    one.connect()
    for _ in range(20):
        one.read()
        time.sleep(DT)
    one.close()
    assert emulator.found["heard"] == before and emulator.found["refused"] == 0


def test_the_joints_go_where_they_are_sent_in_the_robots_order(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    one = homed(make(), DT)
    target = home() + np.linspace(-0.1, 0.1, 12, dtype=np.float32)

    def settled() -> bool:
        return bool(np.abs(emulator.found["position"] - target[0]).max() < 0.01)

    until(settled, lambda: (one.write(target, ONE), one.measure()))
    assert np.allclose(one.read()[0]["joint_position"][0], target[0], atol=0.01)
    found = emulator.found
    assert np.allclose(found["kp"], 60.0) and np.allclose(found["kd"], 5.0) and not found["tau"].any()
    assert robot().names[:3] == ("FR_hip", "FR_thigh", "FR_calf") and robot().names[9] == "RL_hip"


def test_a_held_robot_is_told_so_in_every_cycle(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    """A robot that is told nothing damps; so a driver that has nothing new to say repeats itself."""
    one = homed(make(), DT)
    before = emulator.found["heard"]
    until(lambda: emulator.found["heard"] > before + 20, one.measure)
    assert emulator.found["active"]


wild = st.one_of(st.floats(-(2.0**100), 2.0**100, width=32), st.floats(-4, 4, width=32), st.just(float("nan")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(targets=st.lists(st.lists(wild, min_size=12, max_size=12), min_size=5, max_size=25))
def test_whatever_is_asked_for_the_motors_keep_their_limits(
    emulator: EmulatedGo2, patient: Go2, targets: list[list[float]]
) -> None:
    one = patient
    if one.guard.faults.any():
        one.clear()
    if not one.holding:
        homed(one, DT)
    description = robot()
    for target in targets:
        one.write(np.array([target]), ONE)
        if one.guard.faults.any():
            break
        motor, (position, velocity, _) = one._command["motor"][:12], one._joint_state()
        pull = motor["kp"] * (motor["q"] - position) - motor["kd"] * velocity
        inside = (motor["q"] > description.array("low") + 1e-6) & (motor["q"] < description.array("high") - 1e-6)
        assert (np.abs(pull) <= description.array("max_torque") * 1.001)[inside].all()
        one.measure()
        time.sleep(DT / 2)
    found = emulator.found
    assert (found["told_least"] >= description.array("low") - 1e-6).all()
    assert (found["told_most"] <= description.array("high") + 1e-6).all()


@pytest.fixture
def patient(make: Callable[..., Go2]) -> Go2:
    """Its joints need not follow."""
    return make(limits=ServoLimits(85.0, 24.0, stuck_time=1e9, max_current=None))


FAULTS = [
    ({"tilt": 1.4}, "the trunk is tilted by 1.40 rad, limit 1.20"),
    ({"tilt": float("nan")}, "the trunk is tilted by nan rad"),
    ({"falling": True}, "the robot has been falling for 0."),
    ({"hot": True}, "FR_hip: 99 degrees C, limit 85; FR_thigh"),
    ({"silent": True}, "no state of the robot for 0."),
    ({"frozen": True}, "no state of the robot for 0."),
    ({"stuck": np.arange(12) == 4}, "FL_thigh: stuck 0."),
]


@pytest.mark.parametrize(
    ("wish", "words"), FAULTS, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
def test_a_fault_damps_and_says_why(emulator: EmulatedGo2, make: Callable[..., Go2], wish: Any, words: str) -> None:
    limits = ServoLimits(85.0, 24.0, max_current=None, stuck_error=0.2, stuck_time=0.2)
    one = homed(make(max_silence=0.3, limits=limits), DT)
    emulator.ask(**wish)
    target = home() + np.float32(0.4 if "stuck" in wish else 0.0)
    until(lambda: bool(one.guard.faults[0]), lambda: (one.write(target, ONE), one.measure()))
    assert words in one.guard.reasons[0]
    until(lambda: not emulator.found["active"], one.measure)
    before = emulator.found
    until(lambda: emulator.found["heard"] > before["heard"] + 10, lambda: hold(one))
    after = emulator.found
    assert not after["kp"].any() and not after["tau"].any() and np.allclose(after["kd"], 5.0)


def test_a_fallen_robot_is_not_switched_on(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    emulator.ask(tilt=2.0)
    one, before = make(), emulator.found["heard"]
    one.connect()
    until(lambda: bool(one.guard.faults[0]), lambda: one.home(ONE))
    assert "tilted by 2.00 rad" in one.guard.reasons[0] and emulator.found["heard"] == before


def test_packets_that_go_wrong_end_no_session(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    one = homed(make(), DT)
    emulator.ask(lost=0.02, late=0.02, late_by=0.01, corrupted=0.02, duplicated=0.02)
    refused = emulator.found["refused"]
    until(lambda: emulator.found["refused"] > refused + 3 and one.tally()["failed"] > 3, lambda: hold(one))
    assert not one.guard.faults[0], one.guard.reasons
    assert one.tally()["transactions"] > 50 and emulator.found["happened"] > 20


def test_closing_damps_for_a_while(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    one = homed(make(farewell=0.2), DT)
    before = emulator.found["heard"]
    one.close()
    found = emulator.found
    assert found["heard"] > before + 10 and not found["active"] and np.allclose(found["kd"], 5.0)


def test_a_first_target_too_far_away_ends_in_damping(emulator, make) -> None:
    one = homed(make(max_first=0.3), DT)
    target = home() + 0.1
    target[0, 4] += 0.4  # the second leg's thigh
    one.write(target.astype(np.float32), ONE)
    words = f"first target too far away: {robot().names[4]} by 0.50 rad, limit 0.30; does the policy begin at the home"
    assert one.guard.reasons[0].startswith(words)
    until(lambda: not emulator.found["kp"].any() and emulator.found["kd"].any(), one.measure)


def test_another_publisher_is_refused_and_one_that_appears_is_a_fault(emulator, make) -> None:
    emulator.ask(rival=True)
    with pytest.raises(UserError, match="1 other publisher of rt/lowcmd; end the program that commands the robot"):
        make(patience=1.0).connect()
    emulator.ask(rival=False)
    one = homed(make(), DT)
    emulator.ask(rival=True)
    until(lambda: bool(one.guard.faults[0]), lambda: hold(one))
    assert "another publisher of rt/lowcmd has appeared" in one.guard.reasons[0]


def test_a_robot_that_moves_by_itself_is_refused(emulator: EmulatedGo2, make: Callable[..., Go2]) -> None:
    emulator.ask(sport=True)
    with pytest.raises(
        UserError, match="the robot's own service normal moves its legs; lay the robot down and release"
    ):
        make().connect()


def test_a_robot_that_is_not_there_is_said() -> None:
    with pytest.raises(
        UserError, match=r"robot.bus=lo: no rt/lowstate came within 0.1 s in domain .*; is the robot on"
    ):
        Go2(robot(), "lo", random_domain(), patience=0.1).connect()
    with pytest.raises(UserError, match=r"robot.bus=nowhere0: DDS does not start on this network interface"):
        Go2(robot(), "nowhere0", random_domain()).connect()


def test_an_empty_battery_and_damping_that_is_none_are_said(make: Callable[..., Go2]) -> None:
    with pytest.raises(UserError, match=r"the battery has 29.0 V, limit 31.0; charge it"):
        make(limits=ServoLimits(85.0, 31.0)).connect()
    with pytest.raises(UserError, match=r"robot.rig.legs.damping=0.5: valid are 3 to 8"):
        make(damping=0.5)
    with pytest.raises(UserError, match=r"robot.rig.legs.max_silence=nan: expected a number above 0"):
        make(max_silence=float("nan"))


def test_a_missing_extra_is_said(make: Callable[..., Go2], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedds", None)
    with pytest.raises(UserError, match=r"pip install 'robo-rl\[go2\]'"):
        make().connect()


def silent(one: DrivenRobot) -> None:
    """Nobody asks any more."""


def stop_driver(one: DrivenRobot) -> None:
    os.kill(one.pids["driver"], signal.SIGSTOP)


def kill_driver(one: DrivenRobot) -> None:
    os.kill(one.pids["driver"], signal.SIGKILL)


@pytest.mark.parametrize("inject", [silent, stop_driver, kill_driver], ids=lambda value: value.__name__)
def test_the_robot_damps_whoever_dies(emulator: EmulatedGo2, inject: Callable[[DrivenRobot], None]) -> None:
    with closing(driven(emulator, QUICK)) as one:
        homed(one, 0.02)
        until(lambda: one.home(ONE).all() and emulator.found["active"])  # asking: no silence
        inject(one)
        until(lambda: not emulator.found["active"])
        time.sleep(QUICK.watchdog)  # a driver that goes on after it knows that it was gone for too long
        assert not emulator.found["active"] and emulator.found["kd"].all()
        if inject is stop_driver:
            os.kill(one.pids["driver"], signal.SIGCONT)
            time.sleep(0.2)
            assert not emulator.found["active"]
