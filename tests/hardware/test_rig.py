"""Emulated devices under the real rig, in a time of the test's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.emulators.servo_arm import EmulatedTracker, ServoArm
from hardware.rig import DeviceRig
from robo_rl.clock import Deadline
from robo_rl.env import RigEnv
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec
from robo_rl.tracking import pose_key, tracker_spec
from robo_rl.types import Kind, Reason, Step
from tests.contract.env import EnvContract
from tests.contract.robot import RigContract, RobotContract
from tests.fakes import FakeClock, IdleTask, tiny_arm

ARM = tiny_arm()
HOME = ARM.array("home").astype(np.float32)
POSE = (0.1, 0.2, 0.0, 1.0, 0.0, 0.0, 0.0)
ONE = np.ones(1, bool)


class Bench:
    """An arm away from home, a tracker, a rig and an env on one clock."""

    def __init__(self, limit: float = 0.3, start: tuple[float, float] = (0.0, 0.0)) -> None:
        self.clock = FakeClock()
        self.arm = ServoArm(ARM, start=start, now=self.clock)
        self.tracker = EmulatedTracker({"peg": POSE}, now=self.clock)
        deadline = Deadline(ARM.dt, now=self.clock, sleep=self.clock.sleep)
        self.rig = DeviceRig([self.arm], [self.tracker], deadline, now=self.clock)
        self.env = RigEnv(self.rig, IdleTask(limit))
        self.step: Step | None = None

    def begin(self) -> Step:
        """Home, up to FIRST."""
        self.step = self.env.reset(ONE, Seeds(0))
        while not self.step.first[0]:
            self.tick(np.full((1, 2), np.nan))
        return self.step

    def tick(self, action: np.ndarray, late: float = 0.0) -> Step:
        self.env.send(action)
        self.clock.sleep(late)
        self.step = self.env.recv()
        return self.step


class TestServoArm(RobotContract):
    def make(self) -> ServoArm:
        self.clock = FakeClock()
        return ServoArm(ARM, start=(0.0, 0.0), now=self.clock)

    def pass_time(self, robot: ServoArm) -> None:
        self.clock.sleep(ARM.dt)


class TestDeviceRig(RigContract):
    def make(self) -> DeviceRig:
        return Bench().rig


class TestDeviceEnv(EnvContract):
    sizes = (1,)
    ticks = 150

    def make(self, n: int) -> RigEnv:
        return Bench().env


def test_the_spec_is_the_descriptions_and_the_trackers() -> None:
    spec = Bench().rig.obs_spec
    assert spec == ARM.obs_spec | tracker_spec(["peg"])
    assert spec.fingerprint() == Spec.from_json(spec.to_json()).fingerprint()


def test_homing_takes_ticks_and_ends_at_home() -> None:
    bench = Bench()
    step = bench.begin()
    assert bench.rig.deadline.ticks > 5
    assert np.allclose(step.obs["joint_position"], HOME, atol=0.05)
    assert np.array_equal(step.obs["applied"][0], HOME)
    assert np.array_equal(step.obs[pose_key("peg")], np.array([POSE], np.float32))


def test_homing_ramps_at_half_speed() -> None:
    bench = Bench()
    bench.begin()
    steps = np.abs(np.diff(np.stack([[0.0, 0.0], *bench.arm.received]), axis=0)).max()
    assert steps <= 0.5 * 3.0 * ARM.dt + 1e-6


def test_nothing_is_written_between_last_and_homing() -> None:
    bench = Bench(limit=0.1)
    bench.begin()
    while not bench.step.last[0]:
        bench.tick(HOME[None])
    before = bench.arm.writes
    bench.env.send(np.full((1, 2), 9.0))
    assert bench.arm.writes == before


def test_the_motors_never_see_anything_else_than_the_guard_lets_through() -> None:
    bench, rng = Bench(limit=60.0), np.random.default_rng(0)
    bench.begin()
    for _ in range(300):
        bench.tick(rng.normal(0, 5, (1, 2)))
    sent = np.stack(bench.arm.received).astype(np.float64)
    assert np.isfinite(sent).all()
    assert (sent >= ARM.array("low") - 1e-6).all() and (sent <= ARM.array("high") + 1e-6).all()
    assert (np.abs(np.diff(sent, axis=0)) <= 3.0 * ARM.dt + 1e-6).all()


def inject_nan(bench: Bench) -> Step:
    return bench.tick(np.full((1, 2), np.nan))


def inject_stuck_bus(bench: Bench) -> Step:
    bench.arm.stuck = True
    for _ in range(11):
        step = bench.tick(HOME[None])
    return step


def inject_broken_reading(bench: Bench) -> Step:
    bench.arm.broken = True
    return bench.tick(HOME[None])


def inject_late_policy(bench: Bench) -> Step:
    for _ in range(5):
        step = bench.tick(HOME[None], late=2 * ARM.dt)
    return step


def inject_stuck_tracker(bench: Bench) -> Step:
    time = bench.clock.time
    bench.tracker._now = lambda: time
    for _ in range(26):
        step = bench.tick(HOME[None])
    return step


@pytest.mark.parametrize(
    ("inject", "message"),
    [
        (inject_nan, "setpoint is not finite: shoulder, elbow"),
        (inject_stuck_bus, "joint state is 0.2"),
        (inject_broken_reading, "measured joint state is not finite"),
        (inject_late_policy, "5 deadlines missed in a row"),
        (inject_stuck_tracker, "peg_pose is 0.5"),
    ],
)
def test_a_fault_ends_the_episode_holds_and_stays(inject, message: str) -> None:
    bench = Bench(limit=5.0)
    bench.begin()
    step = inject(bench)
    assert step.last[0] and step.reason[0] == Reason.FAULT
    assert message in bench.rig.messages[0]
    writes = bench.arm.writes
    bench.arm.stuck = bench.arm.broken = False
    for _ in range(20):
        step = bench.tick(HOME[None])
        assert step.kind[0] == Kind.RESET and bench.rig.condition[0] == Reason.FAULT
    assert bench.arm.writes == writes


def test_after_a_fault_is_cleared_it_homes_from_where_it_is() -> None:
    bench = Bench(limit=5.0)
    bench.begin()
    inject_nan(bench)
    bench.tick(HOME[None])
    bench.rig.clear()
    kinds = [int(bench.tick(HOME[None]).kind[0]) for _ in range(40)]
    assert Kind.FIRST in kinds and list(bench.rig.messages) == [""]


def test_one_arms_fault_holds_the_other() -> None:
    clock = FakeClock()
    arms = [ServoArm(replace(ARM, prefix=prefix), now=clock) for prefix in ("left/", "right/")]
    rig = DeviceRig(arms, deadline=Deadline(ARM.dt, now=clock, sleep=clock.sleep), now=clock)
    while not rig.home(ONE, np.zeros(1, np.int64)).all():
        rig.tick(ONE & False)
    assert rig.act_spec.shape == (4,)
    rig.write(np.array([[*HOME, np.nan, 0.0]]), ONE)
    writes = [arm.writes for arm in arms]
    rig.write(np.array([[*HOME, *HOME]]) + 0.01, ONE)
    assert [arm.writes for arm in arms] == writes


def test_the_rig_keeps_its_rate() -> None:
    bench = Bench(limit=60.0)
    bench.begin()
    begin = bench.clock.time
    for _ in range(100):
        bench.tick(HOME[None], late=0.5 * ARM.dt)
    assert bench.clock.time - begin == pytest.approx(100 * ARM.dt, abs=1e-3)
    assert bench.rig.deadline.misses == 0


def test_close_stops_the_devices_once() -> None:
    bench = Bench()
    bench.rig.close()
    bench.rig.close()
    assert bench.arm.closed


def test_a_robot_may_begin_elsewhere_than_at_home_within_its_limits() -> None:
    bench = Bench()
    bench.rig.start_at(np.array([0.1, 9.0]))
    step = bench.begin()
    assert np.allclose(step.obs["applied"], [[0.1, ARM.joints[1].high]])
