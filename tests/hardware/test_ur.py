"""The UR driver through the real SDK, in its own process: what the emulated controller was told, and who stops it."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.emulators.plant import SecondOrder
from hardware.emulators.ur_controller import UrControllerEmulator
from hardware.ur import UrArm
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from tests.contract.robot import RobotContract

UR5E = RobotDescription.load("configs/description/ur5e.yaml")
HOME = UR5E.array("home")
ONE = np.ones(1, bool)
START = HOME + 0.1 * np.array([1, 1, 1, 1, 1, 1, -1])  # [rad]
CALM = DriverSettings(rate=60.0, watchdog=10.0, patience=10.0)  # a busy machine is no fault
SOON = 20.0  # [s] for what has to come, however busy the machine is


class Bench:
    """An emulated controller in this process, its driver in another one."""

    def __init__(self, **options: Any) -> None:
        self.controller = UrControllerEmulator(UR5E, SecondOrder(START), priority=60, rate=125.0)
        options = {"watchdog": 10.0, "max_age": 10.0} | options
        self.arm = DrivenRobot(UrArm(UR5E, **self.controller.wiring, **options), CALM)

    @property
    def program(self):
        return self.controller.program

    def home(self) -> Bench:
        self.arm.connect()
        for _ in range(200):
            if self.arm.home(ONE).all():
                return self
            time.sleep(UR5E.dt)
        raise AssertionError(f"the arm never got home: {self.arm.guard.reasons}")

    def close(self) -> None:
        self.arm.close()
        self.controller.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def build(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield build
    for bench in made:
        bench.close()


class TestUrArm(RobotContract):
    @pytest.fixture(autouse=True)
    def _power(self, make: Callable[..., Bench]) -> None:
        self.build = make

    def make(self) -> DrivenRobot:
        return self.build().arm

    def pass_time(self, robot: DrivenRobot) -> None:
        time.sleep(UR5E.dt)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def fault(bench: Bench) -> str:
    """What a control loop runs into, which reads and writes."""

    def latched() -> bool:
        bench.arm.write(bench.arm.read()[0]["applied"], ONE)
        return bool(bench.arm.guard.faults[0])

    until(latched)
    return bench.arm.guard.reasons[0]


def test_what_the_controller_is_told_begins_where_the_arm_is_and_keeps_the_limits(make) -> None:
    bench = make().home()
    first = bench.program.told[0].target
    assert np.allclose(first, START[:6], atol=1e-6)
    bench.arm.write(bench.arm.read()[0]["applied"] + np.float32(9.0), ONE)
    time.sleep(3 * UR5E.dt)
    targets = np.array([told.target for told in list(bench.program.told)])
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
    until(lambda: "watchdog" in bench.program.stopped)
    assert bench.program.target is None
    os.kill(bench.arm.pids["driver"], signal.SIGCONT)


def test_a_driver_that_is_killed_is_the_watchdogs_case_too(make) -> None:
    bench = make(watchdog=1.0).home()
    os.kill(bench.arm.pids["driver"], signal.SIGKILL)
    until(lambda: "watchdog" in bench.program.stopped)
    assert "the driver's process got signal 9" in fault(bench)


def protect(bench: Bench) -> None:
    bench.program.protect()


def press(bench: Bench) -> None:
    bench.program.emergency()


def hush(bench: Bench) -> None:
    bench.controller.frozen = True


def unplug(bench: Bench) -> None:
    bench.controller.unplug()


FAULTS = [
    (protect, "protective stop; see the teach pendant, then robo-rl reset"),
    (press, "emergency stop"),
    (hush, "no news from the controller for 2."),
    (unplug, "(is lost|gripper: |no news|did not answer)"),  # the SDK may be busy with connecting again
]


@pytest.mark.parametrize(("inject", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_says_what_it_is_and_nothing_is_told_after_it(
    make, inject: Callable[[Bench], None], words: str
) -> None:
    bench = make(max_age=2.0 if inject is hush else 10.0).home()
    inject(bench)
    assert re.search(words, fault(bench))
    told = len(bench.program.told)
    bench.arm.write(bench.arm.read()[0]["applied"] - np.float32(0.01), ONE)
    time.sleep(3 * UR5E.dt)
    assert len(bench.program.told) == told


def test_a_protective_stop_is_cleared_by_people_and_then_the_arm_goes_on(make) -> None:
    bench = make().home()
    bench.program.protect()
    fault(bench)
    bench.program.unlock()
    time.sleep(0.5)  # a person takes longer
    bench.arm.clear()
    bench.home()
    assert bench.program.running and not bench.arm.guard.faults[0]


def test_a_fault_of_ours_brakes_the_arm_and_the_program_stays(make) -> None:
    bench = make().home()
    bench.arm.write(np.full((1, 7), np.nan, np.float32), ONE)
    assert "setpoint is not finite" in fault(bench)
    until(lambda: bench.program.target is None)
    assert bench.program.running


def refused(bench: Bench, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        bench.arm.connect()
    assert "\n" not in str(caught.value)


def test_a_controller_that_is_not_ready_is_refused(make) -> None:
    bench = make()
    bench.program.power = False
    refused(bench, r"the arm is not ready \(power off\): switch it on and release the brakes")
    bench.program.power = True
    bench.program.protect()
    refused(bench, "the controller is in a safety stop; look at the robot, then robo-rl reset")


def test_an_address_without_a_controller_is_refused(make) -> None:
    arm = DrivenRobot(UrArm(UR5E, "127.0.0.1"), CALM)
    with pytest.raises(UserError, match=r"robot.bus=127.0.0.1: no UR controller that takes commands .*is it on"):
        arm.connect()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"watchdog": 0.0}, "watchdog=0.0: valid are times above 0 s"),
        ({"gain": 50}, "gain=50: valid are 100 to 2000"),
        ({"lookahead": 0.5}, "lookahead=0.5: valid are 0.03 to 0.2"),
    ],
)
def test_what_servoj_does_not_take_is_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        UrArm(UR5E, "127.0.0.1", **options)


def test_every_emulated_controller_has_an_address_of_its_own() -> None:
    """So that tests run side by side."""
    one, two = UrControllerEmulator(UR5E), UrControllerEmulator(UR5E)
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
