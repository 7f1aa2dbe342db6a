"""Rigs that are commanded in the space of their tools keep every contract, simulated and physical alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware.emulators.servo_arm import ServoArm
from hardware.rig import DeviceRig
from robo_rl.app.build import make_env, make_expert
from robo_rl.app.compose import compose
from robo_rl.clock import Deadline
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.robot import Rig, RobotDescription, load_descriptions
from robo_rl.seeds import Seeds
from robo_rl.types import Kind, Step
from sim.experts.lift import LiftExpert
from sim.experts.with_tool import WithTool
from sim.rig import SimRig
from tests.contract.env import EnvContract
from tests.contract.policy import PolicyContract
from tests.contract.robot import RigContract
from tests.fakes import FakeClock

DESCRIPTIONS = Path(__file__).parents[2] / "configs" / "description"
SO101 = RobotDescription.load(DESCRIPTIONS / "so101.yaml")
ONE = np.ones(1, bool)


def make(task: str, n: int, *words: str, action: str = "tool") -> RigEnv:
    config = compose("record", [f"task={task}", f"robot.action={action}", "task.rig.nthread=1", *words])
    env = make_env(config.task, config.robot, n)
    assert isinstance(env, RigEnv)
    return env


class TestArmEnv(EnvContract):
    ticks = 45

    def make(self, n: int) -> RigEnv:
        return make("so101/lift", n, "task.task.config.limit=0.6")


class TestArm(RigContract):
    def make(self) -> Rig:
        return make("ur5e/lift", 3).rig


class TestTwoArms(RigContract):
    def make(self) -> Rig:
        return make("so101_pair/handover", 3).rig


class TestDevice(RigContract):
    def make(self) -> Rig:
        return device_rig(SO101)


class TestTwoDevices(RigContract):
    def make(self) -> Rig:
        return device_rig(*load_descriptions(DESCRIPTIONS / "so101_pair.yaml"))


class TestExpert(PolicyContract):
    env = make("so101/lift", 1)
    obs_spec, act_spec = env.obs_spec | env.rig.privileged(), env.act_spec

    def make(self, n: int) -> WithTool:
        return WithTool(LiftExpert(n, DESCRIPTIONS / "so101.yaml"), (SO101,))


def device_rig(*robots: RobotDescription) -> DeviceRig:
    clock = FakeClock()
    deadline = Deadline(robots[0].dt, now=clock, sleep=clock.sleep)
    rig = DeviceRig([ServoArm(robot, now=clock) for robot in robots], deadline=deadline, now=clock)
    rig.command_tools()
    return rig


def homed(rig: Rig) -> np.ndarray:
    """The setpoint (N, A) that a rig holds at home."""
    waiting = np.ones(rig.n, bool)
    while waiting.any():
        waiting = waiting & ~rig.home(waiting, np.arange(rig.n))
        rig.tick(np.zeros(rig.n, bool))
    return rig.read()[0]["applied"]


def test_specs_tell_joint_and_tool_actions_apart() -> None:
    joint, tool = make("so101/lift", 1, action="joint"), make("so101/lift", 1)
    assert joint.obs_spec.fingerprint() != tool.obs_spec.fingerprint() and joint.act_spec != tool.act_spec
    assert tool.obs_spec["applied"] == tool.act_spec and tool.obs_spec["joint_setpoint"] == joint.act_spec
    physical = device_rig(SO101)
    assert physical.act_spec == tool.act_spec
    assert all(physical.obs_spec[key] == tool.obs_spec[key] for key in physical.obs_spec)


def test_what_is_accepted_is_told_in_both_spaces() -> None:
    """A far target: first where the joints' setpoints have brought the tool, in the end the target bit for bit."""
    rig = make("so101/lift", 1).rig
    start = homed(rig)
    target = start + np.array([[0.06, 0.1, -0.05, 0.2, 0.5, -0.3]], np.float32)
    accepted = rig.write(target, ONE)
    rig.tick(ONE)
    obs, stamp = rig.read()
    assert np.array_equal(obs["applied"], accepted) and not np.array_equal(accepted, target)
    assert isinstance(rig, SimRig) and np.array_equal(obs["joint_setpoint"], rig.robots[0].read()[0]["applied"])
    assert set(stamp) == set(obs)
    for _ in range(60):
        accepted = rig.write(target, ONE)
        rig.tick(ONE)
    assert np.array_equal(accepted, target)
    obs, _ = rig.read()
    assert np.abs(obs["tool_pose"][0, :3] - target[0, :3]).max() < 0.02  # gravity bends an ideal servo


def test_a_bad_action_is_a_fault_of_the_guard() -> None:
    rig = make("so101/lift", 2).rig
    action = homed(rig)
    action[1, 0] = np.nan
    held = rig.write(action, np.ones(2, bool))
    assert list(rig.messages) == ["", f"setpoint is not finite: {', '.join(SO101.names[:6])}"]
    assert np.isfinite(held).all()


@settings(max_examples=15, deadline=None)
@given(actions=arrays(np.float32, (6, 2, 6), elements=st.floats(-1e3, 1e3, width=32)))
def test_the_guard_still_bounds_what_the_joints_are_told(actions: np.ndarray) -> None:
    rig = RIG
    homed(rig)
    step = SO101.array("max_speed") * SO101.dt
    last = rig.read()[0]["joint_setpoint"]
    for action in actions:
        rig.write(action, np.ones(2, bool))
        sent = rig.read()[0]["joint_setpoint"]
        assert (np.abs(sent.astype(float) - last) <= step + 1e-6).all()
        assert np.array_equal(sent, np.clip(sent, SO101.array("low"), SO101.array("high")).astype(np.float32))
        last = sent


RIG = make("so101/lift", 2).rig


def test_an_episode_depends_on_its_seed_alone() -> None:
    """What the tool was told before a reset leaves no trace in the episode after it."""
    env = make("so101/lift", 1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        env.reset(ONE, Seeds(0))
        env.send(env.act_spec.clip(rng.uniform(-1, 1, (1, 6))))
        env.recv()
    again, fresh = env.reset(ONE, Seeds(7)), make("so101/lift", 1).reset(ONE, Seeds(7))
    assert all(np.array_equal(again.obs[key], fresh.obs[key]) for key in fresh.obs)


@pytest.mark.parametrize(("task", "episodes"), [("so101/lift", 100), ("ur5e/lift", 20)])
def test_a_scripted_expert_does_the_task_with_its_tool(task: str, episodes: int) -> None:
    config = compose("record", [f"task={task}", "robot.action=tool"])
    env = make(task, min(50, episodes))
    outcomes = evaluate(env, make_expert(config.task, config.robot, env), 1000, episodes)
    assert outcomes.summary(task, "", 0)["success_rate"] >= 0.95
    env.close()


def test_a_robot_without_a_tool_says_so() -> None:
    class Plain(Rig):
        def home(self, where, seeds): ...
        def write(self, action, live): ...
        def tick(self, live): ...
        def read(self): ...

        condition = np.zeros(1)

        def close(self): ...

    with pytest.raises(UserError, match="this rig takes joint setpoints alone"):
        Plain().command_tools()
    with pytest.raises(UserError, match="robot description so101: has no tool_space"):
        rig = device_rig(SO101)
        rig.robots[0].description = replace(SO101, model={})
        rig.command_tools()


CALM = [f"robot.rig.driver.{key}=20.0" for key in ("watchdog", "patience", "stall")]  # [s]; a busy machine is late
BUS = ["robot=so101", "robot.bus=emulated", "robot.rig.arm.patience=0.2", *CALM]


def test_the_driver_on_its_bus_takes_the_tool_where_its_twin_does() -> None:
    """The same line: setpoints of tool and joints equal bit for bit, poses but for what servos add."""
    twin, physical = make("so101/lift", 1), make("so101/lift", 1, *BUS)
    paths = []
    for env in (twin, physical):
        step = env.reset(ONE, Seeds(0))
        while step.kind[0] == Kind.RESET:
            env.send(step.applied)
            step = env.recv()
        paths.append(line(env, step))
        env.close()
    for ours, theirs in zip(*paths, strict=True):
        assert np.array_equal(ours.applied, theirs.applied)
        assert np.array_equal(ours.obs["joint_setpoint"], theirs.obs["joint_setpoint"])
        assert np.abs(ours.obs["tool_pose"] - theirs.obs["tool_pose"])[0, :3].max() < 0.025


def line(env: RigEnv, step: Step) -> list[Step]:
    """A second's slow way to the left, down and around, and half a second's rest."""
    start, steps = step.obs["applied"], []
    way = np.array([[0.03, 0.06, -0.03, -0.2, 0.4, -0.3]], np.float32)
    for tick in range(45):
        env.send(start + way * np.float32(min(1.0, (tick + 1) / 30)))
        steps.append(env.recv())
    return steps
