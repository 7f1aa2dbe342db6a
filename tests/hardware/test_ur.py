"""The UR driver through the real SDK: what the emulated controller was told, and who stops it."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardware.device import GuardedRobot
from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.emulators.emulated_ur import EmulatedUr
from hardware.emulators.plant import SecondOrderFactory
from hardware.emulators.ur_records import Event
from hardware.guard import Guard
from hardware.ur import CLOSING, UrArm
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from tests.contract.robot import RobotContract
from tests.waiting import ONE, closed_at_the_end, homed, until

UR5E = RobotDescription.load("configs/description/ur5e.yaml")
HOME = UR5E.array("home")
START = HOME + 0.1 * np.array([1, 1, 1, 1, 1, 1, -1])  # [rad]
CALM = DriverSettings(rate=60.0, watchdog=10.0, patience=10.0)  # a busy machine is no fault


class Bench:
    """An emulated controller and its driver, a process each; with `settings` None the driver is in this process."""

    def __init__(
        self,
        settings: DriverSettings | None = CALM,
        rate: float = 125.0,
        arm: RobotDescription = UR5E,
        **options: Any,
    ) -> None:
        self.controller = EmulatedUr(arm, SecondOrderFactory(tuple(START[: len(arm.joints)])), rate=rate)
        options = {"watchdog": 10.0, "max_age": 10.0} | options
        device = UrArm(arm, **self.controller.wiring, **options)
        self.arm: GuardedRobot = device if settings is None else DrivenRobot(device, settings)

    def home(self) -> Bench:
        homed(self.arm, UR5E.dt)
        return self

    def hold(self) -> None:
        """One control period in which nothing changes."""
        self.arm.write(self.arm.read()[0]["applied"], ONE)
        time.sleep(UR5E.dt)

    def close(self) -> None:
        self.arm.close()
        self.controller.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    with closed_at_the_end(Bench) as build:
        yield build


class TestUrArm(RobotContract):
    @pytest.fixture(autouse=True)
    def _power(self, make: Callable[..., Bench]) -> None:
        self.build = make

    def make(self) -> DrivenRobot:
        return self.build().arm

    def pass_time(self, robot: DrivenRobot) -> None:
        time.sleep(UR5E.dt)


def fault(bench: Bench) -> str:
    """What a control loop runs into, which reads and writes."""

    def latched() -> bool:
        bench.arm.write(bench.arm.read()[0]["applied"], ONE)
        return bool(bench.arm.guard.faults[0])

    until(latched)
    return bench.arm.guard.reasons[0]


def test_what_the_controller_is_told_begins_where_the_arm_is_and_keeps_the_limits(make) -> None:
    bench = make().home()
    first = bench.controller.targets[0]
    assert np.allclose(first, START[:6], atol=1e-6)
    bench.arm.write(bench.arm.read()[0]["applied"] + np.float32(9.0), ONE)
    time.sleep(3 * UR5E.dt)
    targets = bench.controller.targets
    step = UR5E.array("max_speed")[:6] * UR5E.dt / CALM.split(UR5E.dt)
    assert (np.abs(np.diff(targets, axis=0)) <= step + 1e-5).all()
    assert (targets <= UR5E.array("high")[:6] + 1e-6).all()


def test_the_gripper_goes_where_it_is_sent(make) -> None:
    bench = make().home()
    target = HOME.astype(np.float32)[None].copy()
    target[0, 6] = 0.2

    def there() -> bool:
        bench.arm.write(target, ONE)
        return abs(bench.controller.motion.position[6] - 0.2) < 0.01

    until(there)
    until(lambda: abs(bench.arm.read()[0]["joint_position"][0, 6] - 0.2) < 0.02)


def test_the_controllers_watchdog_fires_when_the_driver_hangs(make) -> None:
    """Nothing else stops the arm here: the driver is frozen, not gone."""
    bench = make(watchdog=1.0).home()
    os.kill(bench.arm.pids["driver"], signal.SIGSTOP)
    until(lambda: "watchdog" in bench.controller.stopped)
    assert not bench.controller.led
    os.kill(bench.arm.pids["driver"], signal.SIGCONT)


def test_the_driver_answers_while_the_controller_keeps_it_waiting(make) -> None:
    """Arming the watchdog takes longer than the policy's process waits for an answer, and than news may be old."""
    without_gripper = replace(UR5E, joints=UR5E.joints[:6])
    bench = make(DriverSettings(rate=60.0, watchdog=10.0, patience=0.6), arm=without_gripper, max_age=0.6)
    bench.arm.connect()
    controller = bench.controller.pid
    os.kill(controller, signal.SIGSTOP)
    try:
        end = time.monotonic() + 0.9
        while time.monotonic() < end:
            bench.arm.home(ONE)
    finally:
        os.kill(controller, signal.SIGCONT)
    bench.home()


def test_a_stop_while_the_sdk_waits_returns_at_once_and_the_script_ends_when_it_can(make) -> None:
    """One call of the SDK at a time: none runs beside the one that arms the watchdog."""
    bench = make(None, arm=replace(UR5E, joints=UR5E.joints[:6]))
    bench.arm.connect()
    os.kill(bench.controller.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert not bench.arm.home(ONE).any()
        start = time.monotonic()
        bench.arm.stop()
        stopped = time.monotonic()
        bench.arm.close()
        closed = time.monotonic()
    finally:
        os.kill(bench.controller.pid, signal.SIGCONT)
    assert stopped - start < 0.5 * CLOSING <= closed - stopped < 2 * CLOSING
    until(lambda: not bench.controller.running)
    assert len(bench.controller.targets) == 0


def test_a_driver_that_is_killed_is_the_watchdogs_case_too(make) -> None:
    bench = make(watchdog=1.0).home()
    os.kill(bench.arm.pids["driver"], signal.SIGKILL)
    until(lambda: "watchdog" in bench.controller.stopped)
    assert "the driver's process got signal 9" in fault(bench)


FAULTS = [
    (Event.PROTECTIVE_STOP, "protective stop; see the teach pendant, then robo-rl reset"),
    (Event.EMERGENCY_STOP, "emergency stop"),
    (Event.FREEZE, "no news from the controller for 2."),
    (Event.UNPLUG, "(is lost|gripper: |no news|did not answer)"),  # the SDK may be busy with connecting again
]


@pytest.mark.parametrize(("event", "words"), FAULTS, ids=lambda value: getattr(value, "name", ""))
def test_a_fault_says_what_it_is_and_nothing_is_told_after_it(make, event: Event, words: str) -> None:
    bench = make(max_age=2.0 if event == Event.FREEZE else 10.0).home()
    bench.controller.happen(event)
    assert re.search(words, fault(bench))
    time.sleep(3 * UR5E.dt)  # what was on its way
    told = len(bench.controller.targets)
    bench.arm.write(bench.arm.read()[0]["applied"] - np.float32(0.01), ONE)
    time.sleep(3 * UR5E.dt)
    assert len(bench.controller.targets) == told


def test_a_protective_stop_is_ended_by_recover_and_then_the_arm_goes_on(make) -> None:
    """What `robo-rl reset` does: over the real dashboard, once; it says what there was."""
    bench = make().home()
    bench.controller.happen(Event.PROTECTIVE_STOP)
    fault(bench)
    (found,) = bench.arm.recover()
    assert "PROTECTIVE_STOP" in found and found.endswith("now Safetystatus: NORMAL")
    assert bench.arm.recover() == []
    time.sleep(1.0)  # a person takes longer
    bench.arm.clear()
    bench.home()
    assert bench.controller.running and not bench.arm.guard.faults[0]


def test_an_emergency_stop_is_not_a_programs_to_end(make) -> None:
    bench = make()
    bench.controller.happen(Event.EMERGENCY_STOP)
    (found,) = bench.arm.recover()
    assert found.endswith("now Safetystatus: ROBOT_EMERGENCY_STOP")
    refused(bench, "the controller is in a safety stop")


def test_recovering_needs_a_controller() -> None:
    with pytest.raises(UserError, match=r"robot.bus=127.0.0.1: no UR controller that takes commands"):
        UrArm(UR5E, "127.0.0.1").recover()


def test_a_first_target_too_far_away_is_not_told(make) -> None:
    bench = make(max_first=0.5).home()
    told = len(bench.controller.targets)
    far = bench.arm.read()[0]["applied"] + np.float32(0.6) * np.eye(7, dtype=np.float32)[2]
    bench.arm.write(far, ONE)
    words = "first target too far away: elbow by 0.60 rad, limit 0.50; does the policy begin at the home pose?"
    assert bench.arm.guard.reasons[0] == words
    time.sleep(3 * UR5E.dt)
    assert len(bench.controller.targets) <= told + 2  # those of the last homing tick


def test_a_fault_of_ours_brakes_the_arm_and_the_program_stays(make) -> None:
    bench = make().home()
    bench.arm.write(np.full((1, 7), np.nan, np.float32), ONE)
    assert "setpoint is not finite" in fault(bench)
    until(lambda: not bench.controller.led)
    assert bench.controller.running


def refused(bench: Bench, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        bench.arm.connect()
    assert "\n" not in str(caught.value)


def test_a_controller_that_is_not_ready_is_refused(make) -> None:
    bench = make()
    bench.controller.happen(Event.POWER_OFF)
    refused(bench, r"the arm is not ready \(power off\): switch it on and release the brakes")
    bench.controller.happen(Event.POWER_ON)
    bench.controller.happen(Event.PROTECTIVE_STOP)
    refused(bench, "the controller is in a safety stop; look at the robot, then robo-rl reset")


def test_a_controller_that_somebody_else_commands_is_refused(make) -> None:
    bench = make().home()
    bench.arm.rest()  # the SDK keeps this process waiting
    other = DrivenRobot(UrArm(UR5E, **bench.controller.wiring), CALM)
    with pytest.raises(UserError, match="busy: another program commands the arm; end it first") as caught:
        other.connect()
    assert "\n" not in str(caught.value)
    told = len(bench.controller.targets)
    bench.hold()
    until(lambda: len(bench.controller.targets) > told)
    assert not bench.arm.guard.faults[0]


def test_without_a_drivers_process_the_arm_moves_as_well(make) -> None:
    bench = make(None).home()
    target = HOME.astype(np.float32)[None] + np.float32(0.05)
    until(lambda: np.array_equal(bench.arm.write(target, ONE), target))
    until(lambda: np.allclose(bench.controller.targets[-1], target[0, :6], atol=1e-6))


def test_targets_are_interpolated_up_to_the_drivers_rate(make) -> None:
    """Policy setpoints 30 times a second become servoJ targets 480 times a second, on a straight line."""
    fast = DriverSettings(rate=480.0, watchdog=10.0, patience=10.0)
    bench = make(fast, rate=500.0).home()
    begin, before = len(bench.controller.targets), bench.arm.read()[0]["applied"][0]
    target = before + np.float32(0.02)
    bench.arm.write(target[None], ONE)
    until(lambda: np.allclose(bench.controller.targets[-1], target[:6], atol=1e-7))
    steps = np.diff(np.vstack([before[None, :6], bench.controller.targets[begin:]]), axis=0)
    steps = steps[np.abs(steps).max(axis=1) > 1e-6]  # what holds is told again and again
    assert len(steps) == 16 and np.allclose(steps, 0.02 / 16, atol=1e-5)


def test_an_address_without_a_controller_is_refused(make) -> None:
    arm = DrivenRobot(UrArm(UR5E, "127.0.0.1"), CALM)
    with pytest.raises(UserError, match=r"robot.bus=127.0.0.1: no UR controller that takes commands .*is it on"):
        arm.connect()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"watchdog": 0.0}, "watchdog=0.0: expected a number above 0"),
        ({"max_age": float("nan")}, "max_age=nan: expected a number above 0"),
        ({"max_temperature": float("inf")}, "max_temperature=inf: expected a number above 0"),
        ({"max_first": float("nan")}, "robot.rig.arm.max_first=nan: expected a number above 0, or null"),
        ({"guard": Guard(UR5E, 1, 1 / 600)}, "servoJ would be sent 600 times a second; the controller takes up to 500"),
        ({"gain": 50}, "gain=50: valid are 100 to 2000"),
        ({"lookahead": 0.5}, "lookahead=0.5: valid are 0.03 to 0.2"),
    ],
)
def test_what_servoj_does_not_take_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        UrArm(UR5E, "127.0.0.1", **options).connect()


def test_every_emulated_controller_has_an_address_of_its_own() -> None:
    """So that tests run side by side."""
    one, two = EmulatedUr(UR5E), EmulatedUr(UR5E)
    assert one.address != two.address
    with socket.create_connection((one.address, 29999)) as link:
        assert link.recv(100).startswith(b"Connected: Universal Robots")
        link.sendall(b"robotmode\nsafetystatus\nnonsense\n")
        time.sleep(0.1)
        assert link.recv(400).decode().splitlines() == [
            "Robotmode: RUNNING", "Safetystatus: NORMAL", "could not understand: 'nonsense'"
        ]  # fmt: skip
    one.close()
    two.close()
