"""What every arm on a servo bus promises, judged by what its emulated servos saw: which faults end in which words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware.calibration import Calibration
from hardware.device import ABANDONED
from hardware.emulators.plant import SecondOrder
from hardware.emulators.servo_bus import Observed, ServoBusEmulator, emulated_calibration
from hardware.guard import Guard
from hardware.registers import encode
from hardware.servo_arm import ServoBusArm
from hardware.servo_health import ServoLimits
from robo_rl.errors import UserError
from tests.contract.robot import RobotContract
from tests.fakes import tiny_arm
from tests.waiting import ONE, homed

ARM = tiny_arm(dt=0.005)
QUICK = replace(ARM, joints=tuple(replace(joint, max_acceleration=600.0) for joint in ARM.joints))
TICK = 2 * np.pi / 4096
STEP = ARM.array("max_speed") * ARM.dt
LIMITS = ServoLimits(stuck_time=0.05)
START = (0.25, 0.6)  # [rad]
NOBODY = 65534  # a user without rights
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.floats(-3, 3, width=32)
HOSTILE = st.lists(arrays(np.float32, (1, 2), elements=ANY), min_size=1, max_size=15)


@contextmanager
def forbidden(port: str) -> Iterator[None]:
    """Nobody but root may open the port, and this process is not root."""
    mode, root = os.stat(port).st_mode, os.geteuid() == 0
    os.chmod(port, 0)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        os.chmod(port, mode)


class Bench:
    """An arm of two servos away from its home pose, and its driver."""

    def __init__(self, bus: type[ServoBusEmulator], arm: type[ServoBusArm], **options: Any) -> None:
        self.bus = bus(ARM, SecondOrder(START), priority=60)  # type: ignore[call-arg]
        options = {"limits": LIMITS, "patience": 0.1, "state_time": 0.01, "calibration": self.bus.calibration} | options
        self.arm = arm(ARM, self.bus.port, **options)

    def home(self) -> Bench:
        homed(self.arm, ARM.dt)
        return self

    def switch_on(self) -> None:
        """The torque comes on, the arm does not move yet; or a fault keeps it off."""
        while not self.arm.holding and not self.arm.guard.faults.any():
            self.arm.home(ONE)

    def tick(self, action: np.ndarray | None = None) -> None:
        """Read, hold or act, wait."""
        self.arm.read()
        self.arm.write(self.arm.guard.sent if action is None else action, ONE)
        time.sleep(ARM.dt)

    def fault(self, ticks: int = 60) -> str:
        """The reason of the fault that comes within so many ticks."""
        for _ in range(ticks):
            if self.arm.guard.faults[0]:
                break
            self.tick()
        return self.arm.guard.reasons[0]

    def angles(self, seen: Observed) -> np.ndarray:
        return self.arm.ticks.angle(seen.goals)

    def torque(self) -> list[bool]:
        return [self.bus.servo(name).on for name in ARM.names]

    def close(self) -> None:
        self.arm.close()
        self.bus.close()


def unplug(bench: Bench) -> None:
    bench.bus.unplug()


def silence(bench: Bench) -> None:
    bench.bus.silence("elbow")


def lose_everything(bench: Bench) -> None:
    bench.bus.faults.lost = 1.0


def corrupt_everything(bench: Bench) -> None:
    bench.bus.faults.corrupted = 1.0


def heat(bench: Bench) -> None:
    bench.bus.servo("elbow").temperature = 66.0


def overheat(bench: Bench) -> None:
    bench.bus.servo("elbow").temperature = 75.0


def sag(bench: Bench) -> None:
    for name in ARM.names:
        bench.bus.servo(name).voltage = 8.5


def overload(bench: Bench) -> None:
    bench.bus.servo("shoulder").forced = 32


def jam(bench: Bench) -> None:
    bench.bus.jam("shoulder")
    for _ in range(40):
        bench.tick(bench.arm.guard.sent - np.float32(0.012))


FAULTS = [
    (unplug, "is lost"),
    (silence, "servo 2: no answer (elbow), readings lost in a row: 3"),
    (lose_everything, "servo 1: no answer (shoulder), readings lost in a row: 3"),
    (corrupt_everything, "servo 1: only broken answers (shoulder)"),
    (heat, "elbow: 66 degrees C, limit 65"),
    (overheat, "elbow: the servo reports overheating"),
    (sag, "shoulder: 8.5 V, limit 9.0; elbow: 8.5 V, limit 9.0"),
    (overload, "shoulder: the servo reports overload"),
    (jam, "shoulder: stuck 0."),
]


class ServoArmContract(RobotContract):
    """Hooks: the classes of arm and emulated bus."""

    arm: type[ServoBusArm]
    bus: type[ServoBusEmulator]
    home_ticks = 400

    @pytest.fixture(autouse=True)
    def _power(self) -> Iterator[None]:
        self.benches: list[Bench] = []
        yield
        for bench in self.benches:
            bench.close()

    def build(self, **options: Any) -> Bench:
        self.benches.append(Bench(self.bus, self.arm, **options))
        return self.benches[-1]

    def make(self) -> ServoBusArm:
        return self.build().arm

    def pass_time(self, robot: ServoBusArm) -> None:
        time.sleep(ARM.dt)

    def refused(self, words: str, **options: Any) -> None:
        """Connecting fails in these words, on one line, and leaves the port free."""
        bench = self.build(**options)
        with pytest.raises(UserError, match=words) as caught:
            bench.arm.connect()
        assert "\n" not in str(caught.value)
        again = self.arm(ARM, bench.bus.port, bench.bus.calibration, patience=0.2)
        again.connect()
        again.close()

    def test_connecting_moves_nothing_and_reads_the_truth(self) -> None:
        bench = self.build()
        bench.arm.connect()
        assert np.allclose(bench.arm.read()[0]["joint_position"], START, atol=TICK)
        assert not bench.bus.observed
        assert bench.arm.state is not None and np.allclose(bench.arm.state.voltage, 12.0)

    def test_torque_comes_after_the_goal_holds_the_measured_position(self) -> None:
        bench = self.build()
        for name in ARM.names:
            servo = bench.bus.servo(name)
            servo.write(servo.goal.address, bytes(encode(2100, servo.goal)))
        bench.home()
        first = next(seen for seen in bench.bus.observed if seen.torque.any())
        assert np.allclose(bench.angles(first), START, atol=TICK)
        assert bench.bus.observed[0].torque.sum() == 0

    def test_switching_on_that_was_left_alone_begins_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bench = self.build()
        bench.arm.connect()
        monkeypatch.setattr(bench.arm.guard, "dt", 0.0)  # one step a call
        bench.arm.home(ONE)
        assert not bench.arm.holding
        bench.bus.plant.position[1] -= 0.1  # somebody moved the limp joint
        time.sleep(ABANDONED + 0.05)
        bench.switch_on()
        assert np.allclose(bench.angles(bench.bus.observed[-1]), (START[0], START[1] - 0.1), atol=TICK)

    @pytest.mark.parametrize("release", [False, True])
    def test_closing_holds_and_release_lets_go(self, release: bool) -> None:
        bench = self.build(release=release).home()
        bench.arm.close()
        time.sleep(0.3)
        assert bench.torque() == [not release] * 2
        assert np.allclose(bench.bus.motion.position, ARM.array("home"), atol=0.05)

    def test_after_closing_another_program_may_open_the_port(self) -> None:
        bench = self.build().home()
        bench.arm.close()
        other = self.arm(ARM, bench.bus.port, bench.bus.calibration, patience=0.2)
        other.connect()
        other.close()

    @pytest.mark.parametrize(("inject", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
    def test_a_fault_says_what_it_is_and_nothing_moves_after_it(
        self, inject: Callable[[Bench], None], words: str
    ) -> None:
        bench = self.build().home()
        inject(bench)
        assert words in bench.fault()
        seen, sent = len(bench.bus.observed), bench.arm.guard.sent
        for _ in range(2):
            bench.tick(sent - np.float32(0.01))
        assert bench.arm.guard.faults[0] and np.array_equal(bench.arm.guard.sent, sent)
        last = bench.angles(bench.bus.observed[seen - 1])
        assert all(np.array_equal(bench.angles(late), last) for late in list(bench.bus.observed)[seen:])

    def test_a_fault_stays_until_it_is_cleared(self) -> None:
        bench = self.build().home()
        heat(bench)
        bench.fault()
        bench.bus.servo("elbow").temperature = 30.0
        for _ in range(5):
            bench.tick()
        assert bench.arm.guard.faults[0] and not bench.arm.home(ONE)[0]
        bench.arm.clear()
        bench.home()

    def test_a_session_survives_one_percent_of_packets_lost_and_broken(self) -> None:
        bench = self.build().home()
        bench.bus.faults.lost = bench.bus.faults.corrupted = bench.bus.faults.duplicated = 0.01
        for _ in range(200):
            bench.tick()
        counters = bench.arm.counters
        assert not bench.arm.guard.faults[0], bench.arm.guard.reasons
        assert counters.retried > 0 and counters.failed == 0

    def test_a_lost_reading_is_replaced_by_the_last_one_with_its_old_stamp(self) -> None:
        bench = self.build(patience=0.02, attempts=2).home()
        _, before = bench.arm.read()
        bench.bus.faults.lost = 1.0
        obs, after = bench.arm.read()
        bench.bus.faults.lost = 0.0
        assert after["joint_position"] == before["joint_position"] and not bench.arm.guard.faults[0]
        assert np.isfinite(obs["joint_position"]).all()
        assert bench.arm.read()[1]["joint_position"] > after["joint_position"]

    def test_losses_that_do_not_follow_one_another_are_no_fault(self) -> None:
        bench = self.build(patience=0.02, attempts=2).home()
        bench.arm.counters.failed = 0
        for _ in range(2):
            bench.bus.faults.lost = 1.0
            bench.arm.read()
            bench.arm.read()
            bench.bus.faults.lost = 0.0
            bench.arm.read()
        assert not bench.arm.guard.faults[0] and bench.arm.counters.failed >= 4

    def test_a_servo_that_is_missing_is_named(self) -> None:
        calibration = emulated_calibration(ARM)
        joints = {**calibration.joints, "elbow": replace(calibration.joints["elbow"], id=7)}
        words = r"servo 7: no answer \(elbow\); check the arm's power"
        self.refused(words, calibration=Calibration("tiny", joints))

    def test_another_arms_calibration_is_refused(self) -> None:
        calibration = emulated_calibration(ARM)
        joints = {**calibration.joints, "elbow": replace(calibration.joints["elbow"], homing_offset=12)}
        words = r"my file: servo 2 \(elbow\) holds homing_offset=-600, the file says 12: it is of another arm"
        self.refused(words, calibration=Calibration("tiny", joints, "my file"))

    def test_servos_that_were_told_apart_wrongly_are_refused(self) -> None:
        """The ids of two joints are exchanged, in the file."""
        joints = dict(emulated_calibration(ARM).joints)
        one, two = joints["shoulder"], joints["elbow"]
        joints |= {"shoulder": replace(one, id=two.id), "elbow": replace(two, id=one.id)}
        words = r"servo 2 \(shoulder\) holds .*: it is of another arm; give this arm's file, or calibrate again"
        self.refused(words, calibration=Calibration("tiny", joints, "my file"))

    def test_a_busy_port_is_refused(self) -> None:
        bench = self.build()
        bench.arm.connect()
        other = self.arm(ARM, bench.bus.port, bench.bus.calibration)
        with pytest.raises(UserError, match=f"robot.bus={bench.bus.port}: busy: another program has the port open"):
            other.connect()

    def test_a_port_that_one_may_not_open_is_refused(self) -> None:
        bench = self.build()
        words = rf"robot.bus={bench.bus.port}: no permission; run: sudo usermod -aG \S+ \$USER, then log in again"
        with forbidden(bench.bus.port), pytest.raises(UserError, match=words):
            bench.arm.connect()
        bench.arm.connect()

    def test_a_first_target_too_far_away_is_a_fault_and_moves_nothing(self) -> None:
        bench = self.build(max_first=0.5).home()
        begin = len(bench.bus.observed)
        bench.tick(bench.arm.guard.sent + np.array([[0.1, 0.7]], np.float32))
        assert bench.fault() == (
            "first target too far away: elbow by 0.70 rad, limit 0.50; does the policy begin at the home pose?"
        )
        assert len(bench.bus.observed) == begin

    def test_a_missing_port_and_a_file_are_refused(self, tmp_path) -> None:
        (tmp_path / "file").write_text("")
        for name, words in (("none", "no such port"), ("file", "cannot be opened")):
            arm = self.arm(ARM, str(tmp_path / name), emulated_calibration(ARM))
            with pytest.raises(UserError, match=words):
                arm.connect()

    def test_an_arm_that_is_not_connected_says_so(self) -> None:
        arm = self.arm(ARM, "/dev/none", emulated_calibration(ARM))
        assert arm.obs_spec == ARM.obs_spec
        with pytest.raises(RuntimeError, match="tiny is not connected"):
            arm.read()
        arm.close()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(HOSTILE, st.booleans())
    def test_whatever_a_policy_asks_for_the_servos_see_nothing_beyond_a_limit(
        self, actions: list[np.ndarray], frozen: bool
    ) -> None:
        """Position, speed and acceleration of the goals, to the rounding to ticks."""
        if not self.benches:
            self.build(guard=Guard(QUICK, 1)).home()
        bench = self.benches[0]
        bench.arm.clear()
        bench.switch_on()
        begin = len(bench.bus.observed) - 1
        for action in actions:
            bench.arm.write(actions[0] if frozen else action, ONE)
        bench.arm.read()  # its answer says that all before it has arrived
        told = list(bench.bus.observed)[begin:]
        goals = np.array([bench.angles(seen) for seen in told])
        goals = np.repeat(goals, [*np.diff([seen.packets for seen in told]), 1], 0)
        moved = np.diff(goals, axis=0)
        assert (goals >= ARM.array("low") - 1e-6).all() and (goals <= ARM.array("high") + 1e-6).all()
        assert (np.abs(moved) <= STEP + TICK).all()
        assert (np.abs(np.diff(moved, axis=0)) <= QUICK.array("max_acceleration") * ARM.dt**2 + 2 * TICK).all()
