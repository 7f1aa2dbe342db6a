"""The arm behind its driver's process: the contract of every robot, and who may die without harm for long."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware import sts3215
from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.plant import SecondOrder
from hardware.feetech import FeetechArm
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from tests.contract.robot import RobotContract
from tests.fakes import tiny_arm
from tests.waiting import ONE, closed_at_the_end, homed, until

ARM = tiny_arm(dt=0.04)
SO101 = RobotDescription.load(Path(__file__).parents[2] / "configs" / "description" / "so101.yaml")
TICK = 2 * np.pi / 4096
START = (0.2, 0.5)  # [rad]
CALM = DriverSettings(rate=100.0, watchdog=10.0, patience=10.0, stall=10.0)  # a busy machine is no fault
QUICK = DriverSettings(rate=100.0, watchdog=0.3, patience=10.0, stall=0.3)


class Bench:
    """An emulated arm in this process, of two servos unless told otherwise, its driver in another one."""

    def __init__(self, settings: DriverSettings = CALM, arm: RobotDescription = ARM, **options: Any) -> None:
        self.bus = FeetechBusEmulator(arm, SecondOrder(START) if arm is ARM else None, priority=60)
        options = {"patience": 0.2, "calibration": self.bus.calibration} | options
        self.arm = DrivenRobot(FeetechArm(arm, self.bus.port, **options), settings)

    def home(self) -> Bench:
        homed(self.arm, ARM.dt)
        return self

    def torque(self) -> list[int]:
        names = self.arm.description.names
        return [self.bus.servo(name).get(sts3215.TORQUE_ENABLE) for name in names]

    def goals(self) -> np.ndarray:
        return np.array([seen.goals for seen in list(self.bus.observed)])

    def close(self) -> None:
        self.arm.close()
        self.bus.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    with closed_at_the_end(Bench) as build:
        yield build


class TestDrivenRobot(RobotContract):
    @pytest.fixture(autouse=True)
    def _power(self, make: Callable[..., Bench]) -> None:
        self.build = make

    def make(self) -> DrivenRobot:
        return self.build().arm

    def pass_time(self, robot: DrivenRobot) -> None:
        time.sleep(ARM.dt)


def test_servos_that_answer_late_are_switched_on_without_silence(make: Callable[..., Bench]) -> None:
    """All of their answers together take longer than who commands and who watches the driver would wait."""
    bench = make(DriverSettings(rate=25.0, watchdog=1.0, patience=1.0, stall=1.0), arm=SO101, patience=0.4)
    bench.arm.connect()
    bench.bus.faults.late, bench.bus.faults.late_by = 1.0, 0.15  # a cycle asks three times, switching on a dozen times
    until(lambda: bool(bench.arm.home(ONE).any()) or all(bench.torque()) or bool(bench.arm.guard.faults[0]))
    bench.bus.faults.late = 0.0
    assert bench.home().torque() == [1] * 6


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    bench = Bench().home()
    yield bench
    bench.close()


def way(bench: Bench, by: float) -> np.ndarray:
    """What the servos are told (K, 2) [rad], from where they are to a target so far away [rad]."""
    before, begin = bench.arm.read()[0]["applied"], len(bench.bus.observed)
    target = before + np.float32(by)
    assert np.array_equal(bench.arm.write(target, ONE), target)
    ticks = bench.arm._device.ticks
    until(lambda: np.array_equal(bench.goals()[-1], ticks.goal(target[0])))
    return np.array([ticks.angle(goals) for goals in bench.goals()[begin - 1 :]])


def test_a_setpoint_is_split_into_the_steps_of_the_bus(shared: Bench) -> None:
    steps = way(shared, 0.08)
    assert len(steps) == 5 and np.abs(np.diff(steps, axis=0) - 0.02).max() <= TICK


@pytest.mark.parametrize(("spread", "steps"), [(0.25, [0.02]), (0.5, [0.01, 0.01])])
def test_the_way_to_a_target_takes_its_share_of_the_control_period(make: Callable[..., Bench], spread, steps) -> None:
    told = way(make(replace(CALM, spread=spread)).home(), 0.02)
    assert np.allclose(np.diff(told, axis=0), np.array(steps)[:, None], atol=TICK)


def test_a_setpoint_moves_over_some_of_its_control_period() -> None:
    for wrong in (0.0, 1.5):
        with pytest.raises(UserError, match=f"robot.rig.driver.spread={wrong}: expected"):
            DriverSettings(spread=wrong)
    for key in ("rate", "watchdog", "patience", "stall"):
        for number in (0.0, float("nan"), float("inf")):
            with pytest.raises(UserError, match=f"robot.rig.driver.{key}={number}: expected"):
                DriverSettings(**{key: number})
    with pytest.raises(UserError, match=r"robot.rig.driver.priority=500: expected a whole number from 0 to 99"):
        DriverSettings(priority=500)


def test_the_bus_sees_no_step_beyond_its_own_limit(shared: Bench) -> None:
    """A jump of the policy becomes steps of the bus's period, and what is accepted is where they lead."""
    bench = shared
    begin = len(bench.bus.observed)
    before = bench.arm.read()[0]["applied"]
    accepted = bench.arm.write(np.array([[9.0, -9.0]]), ONE)
    assert np.abs(accepted - before).max() == pytest.approx(3.0 * ARM.dt, abs=1e-5)
    time.sleep(3 * ARM.dt)
    steps = np.array([bench.arm._device.ticks.angle(goals) for goals in bench.goals()[begin - 1 :]])
    assert np.abs(np.diff(steps, axis=0)).max() <= 3.0 * ARM.dt / 4 + TICK


def test_what_the_system_granted_and_what_the_bus_lost_is_reported(shared: Bench) -> None:
    bench = shared
    bench.bus.faults.lost = 0.05
    until(lambda: bench.arm.report["retried"] > 0)
    bench.bus.faults.lost = 0.0
    report = bench.arm.report
    assert report["rate_hz"] == 100.0 and report["guardian"] is True
    assert isinstance(report["sched_fifo"], bool) and report["cycles"] > 10


def silent(bench: Bench) -> None:
    """Nobody asks any more."""


def stop_driver(bench: Bench) -> None:
    os.kill(bench.arm.pids["driver"], signal.SIGSTOP)


def kill_driver(bench: Bench) -> None:
    os.kill(bench.arm.pids["driver"], signal.SIGKILL)


def kill_guardian(bench: Bench) -> None:
    os.kill(bench.arm.pids["guardian"], signal.SIGKILL)


def unplug_servo(bench: Bench) -> None:
    bench.bus.servo("elbow").forced = 32  # overload


DEATHS = [
    (silent, "the policy was silent for 0."),
    (stop_driver, "the driver's process got signal 9"),
    (kill_driver, "the driver's process got signal 9"),
    (kill_guardian, "the guardian's process is gone"),
    (unplug_servo, "elbow: the servo reports overload"),
]


@pytest.mark.parametrize(("inject", "words"), DEATHS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_arm_lets_go_and_says_why(make: Callable[..., Bench], inject: Callable[[Bench], None], words: str) -> None:
    bench = make(QUICK, safe="release").home()
    assert bench.torque() == [1, 1]
    inject(bench)
    until(lambda: bench.torque() == [0, 0])
    until(lambda: bool(bench.arm.read() and bench.arm.guard.faults[0]))
    assert words in bench.arm.guard.reasons[0]
    bench.arm.write(bench.arm.read()[0]["applied"] - np.float32(0.01), ONE)
    time.sleep(3 * ARM.dt)
    assert bench.torque() == [0, 0]


def test_holding_is_the_safe_state_unless_another_is_asked_for(make: Callable[..., Bench]) -> None:
    bench = make(QUICK).home()
    bench.arm.write(bench.arm.read()[0]["applied"] + np.float32(0.1), ONE)
    until(lambda: bool(bench.arm.read() and bench.arm.guard.faults[0]))
    seen = len(bench.bus.observed)
    bench.arm.write(bench.arm.read()[0]["applied"] - np.float32(0.1), ONE)
    time.sleep(3 * ARM.dt)
    assert len(bench.bus.observed) == seen and bench.torque() == [1, 1]


def test_a_fault_found_here_stops_the_arm_there(make: Callable[..., Bench]) -> None:
    bench = make(safe="release").home()
    bench.arm.guard.stale(9.0, what="tracker")
    bench.arm.write(bench.arm.read()[0]["applied"], ONE & False)
    until(lambda: bench.torque() == [0, 0])
    bench.arm.clear()
    bench.home()
    assert bench.torque() == [1, 1]


def test_not_a_number_is_refused_there(make: Callable[..., Bench]) -> None:
    bench = make().home()
    bench.arm.write(np.array([[0.3, np.nan]], np.float32), ONE)
    assert bench.arm.guard.reasons[0] == "setpoint is not finite: elbow"


def test_a_first_target_too_far_away_is_refused_there(make: Callable[..., Bench]) -> None:
    bench = make(max_first=0.5).home()
    begin = len(bench.bus.observed)
    bench.arm.write(bench.arm.read()[0]["applied"] + np.array([[0.1, 0.7]], np.float32), ONE)
    assert "first target too far away: elbow by 0.70 rad, limit 0.50" in bench.arm.guard.reasons[0]
    time.sleep(3 * ARM.dt)
    assert len(bench.bus.observed) == begin


def test_what_keeps_it_from_connecting_is_said_here(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.bus.silence("elbow")
    with pytest.raises(UserError, match=r"servo 2: no answer \(elbow\); check the arm's power"):
        bench.arm.connect()


def test_closing_leaves_the_port_to_others(make: Callable[..., Bench]) -> None:
    bench = make().home()
    bench.arm.close()
    other = FeetechArm(ARM, bench.bus.port, bench.bus.calibration, patience=0.2)
    other.connect()
    assert bench.torque() == [1, 1]
    other.close()
