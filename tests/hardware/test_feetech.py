"""The Feetech driver through the real SDK: what the emulated servos saw, and which faults end in which words."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware import sts3215
from hardware.calibration import Calibration
from hardware.emulators.feetech_bus import FeetechBusEmulator, Observed, emulated_calibration
from hardware.emulators.plant import SecondOrder
from hardware.feetech import FeetechArm
from hardware.feetech_port import _advice
from hardware.servo_health import ServoHealth, ServoLimits, ServoState
from robo_rl.errors import UserError
from tests.contract.robot import RobotContract
from tests.fakes import tiny_arm

ARM = tiny_arm(dt=0.005)
ONE = np.ones(1, bool)
TICK = 2 * np.pi / 4096
STEP = ARM.array("max_speed") * ARM.dt
LIMITS = ServoLimits(stuck_time=0.05)
START = (0.0, 0.2)  # [rad]


class Bench:
    """An arm of two servos away from its home pose, and its driver."""

    def __init__(self, **options: Any) -> None:
        self.bus = FeetechBusEmulator(ARM, SecondOrder(START))
        options = {"limits": LIMITS, "patience": 0.2, "state_time": 0.01, "calibration": self.bus.calibration} | options
        self.arm = FeetechArm(ARM, self.bus.port, **options)

    def home(self) -> Bench:
        self.arm.connect()
        for _ in range(400):
            if self.arm.home(ONE).all():
                return self
            time.sleep(ARM.dt)
        raise AssertionError(f"the arm never got home: {self.arm.guard.reasons}")

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

    def close(self) -> None:
        self.arm.close()
        self.bus.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


class TestFeetechArm(RobotContract):
    home_ticks = 400

    @pytest.fixture(autouse=True)
    def _power(self) -> Iterator[None]:
        self.benches: list[Bench] = []
        yield
        for bench in self.benches:
            bench.close()

    def make(self) -> FeetechArm:
        self.benches.append(Bench())
        return self.benches[-1].arm

    def pass_time(self, robot: FeetechArm) -> None:
        time.sleep(ARM.dt)


def angles(bench: Bench, seen: Observed) -> np.ndarray:
    return bench.arm.ticks.angle(seen.goals)


def test_connecting_moves_nothing_and_reads_the_truth(bench: Bench) -> None:
    bench.arm.connect()
    assert np.allclose(bench.arm.read()[0]["joint_position"], START, atol=TICK)
    assert not bench.bus.observed
    assert bench.arm.state is not None and np.allclose(bench.arm.state.voltage, 12.0)


def test_torque_comes_after_the_goal_holds_the_measured_position(bench: Bench) -> None:
    bench.home()
    first = next(seen for seen in bench.bus.observed if seen.torque.any())
    assert np.allclose(angles(bench, first), START, atol=TICK)
    assert bench.bus.observed[0].torque.sum() == 0


def test_settings_are_written_once(bench: Bench) -> None:
    bench.arm.connect()
    servo = bench.bus.servo("elbow")
    assert servo.get(sts3215.P_GAIN) == 16 and servo.get(sts3215.LOCK) == 1
    servo.power_cycle()
    assert servo.get(sts3215.P_GAIN) == 16
    bench.arm.close()
    before = bench.arm
    bench.arm = FeetechArm(ARM, before.port, before.calibration)
    bench.arm.connect()
    assert bench.arm.counters.transactions < 60


def test_closing_holds_and_release_lets_go() -> None:
    for release in (False, True):
        bench = Bench(release=release).home()
        bench.arm.close()
        time.sleep(0.05)
        assert [bench.bus.servo(name).get(sts3215.TORQUE_ENABLE) for name in ARM.names] == [not release] * 2
        bench.close()


def test_after_closing_another_program_may_open_the_port(bench: Bench) -> None:
    bench.home()
    bench.arm.close()
    other = FeetechArm(ARM, bench.bus.port, bench.bus.calibration, patience=0.2)
    other.connect()
    other.close()


ANY = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.floats(-3, 3, width=32)
HOSTILE = st.lists(arrays(np.float32, (1, 2), elements=ANY), min_size=1, max_size=15)


@pytest.fixture(scope="module")
def hostile() -> Iterator[Bench]:
    made = Bench().home()
    yield made
    made.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE, st.booleans())
def test_whatever_a_policy_asks_for_the_servos_see_nothing_beyond_a_limit(
    hostile: Bench, actions: list[np.ndarray], frozen: bool
) -> None:
    bench = hostile
    bench.arm.clear()
    bench.home()
    begin = len(bench.bus.observed) - 1
    for action in actions:
        bench.arm.write(actions[0] if frozen else action, ONE)
    bench.arm.read()  # its answer says that all before it has arrived
    goals = np.array([angles(bench, seen) for seen in list(bench.bus.observed)[begin:]])
    assert (goals >= ARM.array("low") - 1e-6).all() and (goals <= ARM.array("high") + 1e-6).all()
    assert (np.abs(np.diff(goals, axis=0)) <= STEP + TICK).all()


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
    bench.bus.servo("elbow").temperature = 72.0


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


@pytest.mark.parametrize(("inject", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_says_what_it_is_and_nothing_moves_after_it(
    bench: Bench, inject: Callable[[Bench], None], words: str
) -> None:
    bench.home()
    inject(bench)
    assert words in bench.fault()
    seen, sent = len(bench.bus.observed), bench.arm.guard.sent
    for _ in range(2):
        bench.tick(sent - np.float32(0.01))
    assert bench.arm.guard.faults[0] and np.array_equal(bench.arm.guard.sent, sent)
    assert all(np.array_equal(angles(bench, late), angles(bench, bench.bus.observed[seen - 1]))
               for late in list(bench.bus.observed)[seen:])  # fmt: skip


def test_a_fault_stays_until_it_is_cleared(bench: Bench) -> None:
    bench.home()
    heat(bench)
    bench.fault()
    bench.bus.servo("elbow").temperature = 30.0
    for _ in range(5):
        bench.tick()
    assert bench.arm.guard.faults[0] and not bench.arm.home(ONE)[0]
    bench.arm.clear()
    bench.home()


def test_a_session_survives_one_percent_of_packets_lost_and_broken() -> None:
    bench = Bench().home()
    bench.bus.faults.lost = bench.bus.faults.corrupted = bench.bus.faults.duplicated = 0.01
    for _ in range(200):
        bench.tick()
    counters = bench.arm.counters
    assert not bench.arm.guard.faults[0], bench.arm.guard.reasons
    assert counters.retried > 0 and counters.failed == 0
    bench.close()


def test_a_lost_reading_is_replaced_by_the_last_one_with_its_old_stamp(bench: Bench) -> None:
    bench.home()
    _, before = bench.arm.read()
    bench.bus.faults.lost = 1.0
    obs, after = bench.arm.read()
    bench.bus.faults.lost = 0.0
    assert after["joint_position"] == before["joint_position"] and not bench.arm.guard.faults[0]
    assert np.isfinite(obs["joint_position"]).all()
    assert bench.arm.read()[1]["joint_position"] > after["joint_position"]


def test_losses_that_do_not_follow_one_another_are_no_fault(bench: Bench) -> None:
    bench.home()
    for _ in range(2):
        bench.bus.faults.lost = 1.0
        bench.arm.read()
        bench.arm.read()
        bench.bus.faults.lost = 0.0
        bench.arm.read()
    assert not bench.arm.guard.faults[0] and bench.arm.counters.failed == 4


def refused(words: str, **options: Any) -> None:
    """Connecting fails in these words, on one line, and leaves the port free."""
    bench = Bench(**options)
    with pytest.raises(UserError, match=words) as caught:
        bench.arm.connect()
    assert "\n" not in str(caught.value)
    bench.close()


def test_a_servo_that_is_missing_is_named() -> None:
    calibration = emulated_calibration(ARM)
    joints = {**calibration.joints, "elbow": replace(calibration.joints["elbow"], id=7)}
    refused(r"servo 7: no answer \(elbow\); check the arm's power", calibration=Calibration("tiny", joints))


def test_another_arms_calibration_is_refused() -> None:
    calibration = emulated_calibration(ARM)
    joints = {**calibration.joints, "elbow": replace(calibration.joints["elbow"], homing_offset=12)}
    words = r"my file: servo 2 \(elbow\) holds homing_offset=-600, the file says 12: it is of another arm"
    refused(words, calibration=Calibration("tiny", joints, "my file"))


def test_another_servo_is_refused(bench: Bench) -> None:
    bench.bus.servo("elbow").set(sts3215.MODEL_NUMBER, 2825)
    with pytest.raises(UserError, match=r"servo 2 \(elbow\) is model 2825; expected an STS3215, model 777"):
        bench.arm.connect()
    bench.bus.servo("elbow").set(sts3215.MODEL_NUMBER, sts3215.MODEL)
    bench.arm.connect()  # the port was released


def test_a_busy_port_is_refused(bench: Bench) -> None:
    bench.arm.connect()
    other = FeetechArm(ARM, bench.bus.port, bench.bus.calibration)
    with pytest.raises(UserError, match=f"robot.bus={bench.bus.port}: busy: another program has the port open"):
        other.connect()


def test_a_missing_port_and_a_file_are_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for name, words in (("none", "no such port"), ("file", "cannot be opened")):
        arm = FeetechArm(ARM, str(tmp_path / name), emulated_calibration(ARM))
        with pytest.raises(UserError, match=words):
            arm.connect()


def test_no_permission_names_the_group(bench: Bench) -> None:
    advice = _advice(bench.bus.port, PermissionError(13, "Permission denied"))
    assert advice.startswith("no permission; run: sudo usermod -aG ") and "$USER" in advice


def test_a_missing_extra_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("hardware.feetech_bus", "hardware.feetech_port"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "scservo_sdk", None)
    with pytest.raises(UserError, match=r"pip install 'robo-rl\[so101\]'"):
        bench.arm.connect()


def test_an_arm_that_is_not_connected_says_so() -> None:
    arm = FeetechArm(ARM, "/dev/none", emulated_calibration(ARM))
    assert arm.obs_spec == ARM.obs_spec
    with pytest.raises(RuntimeError, match="tiny is not connected"):
        arm.read()
    arm.close()


def state(current: float) -> ServoState:
    return ServoState(np.full(2, 30.0), np.full(2, 12.0), np.array([0.1, current]), np.zeros(2))


def test_current_is_judged_over_several_readings() -> None:
    health = ServoHealth(ARM.names, ServoLimits(max_current=3.0, current_samples=3))
    peaks = [health.watch(state(current)) for current in (3.1, 3.1, 0.1, 3.1, 3.1)]
    assert peaks == [""] * 5
    assert health.watch(state(3.1)) == "elbow: over-current, 3.1 A, limit 3.0"


def test_a_joint_that_moves_is_not_stuck() -> None:
    health = ServoHealth(ARM.names, ServoLimits(stuck_error=0.3, stuck_speed=0.05, stuck_time=1.0))
    far, slow = np.array([0.0, 0.5]), np.zeros(2)
    assert health.moving(far, slow, 10.0) == health.moving(far, slow, 10.9) == ""
    assert health.moving(far, np.array([0.0, 0.2]), 11.5) == ""  # it moves: the count starts over
    assert health.moving(far, slow, 12.0) == ""
    assert health.moving(far, slow, 13.1) == "elbow: stuck 0.50 rad away from its setpoint for 1.0 s"
