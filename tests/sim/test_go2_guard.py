"""Tilt and fall of the simulated Go2: its guard latches them as the physical one does; a fall is the task's failure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hardware.guard import Guard
from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.env import RigEnv
from robo_rl.seeds import Seeds
from robo_rl.types import Kind, Reason, Step
from sim.legs import QUIET
from sim.tasks.joystick import Joystick, JoystickConfig
from sim.tasks.legged import make_rig
from tests.sim.go2 import GO2, robot, still

CONFIG = JoystickConfig()


def begun(tilt: float = CONFIG.tilt) -> tuple[RigEnv, Step]:
    """Two rows whose IMU has no noise, and a task to which a fall is a tilt beyond `tilt` [rad]."""
    config = replace(CONFIG, tilt=tilt)
    rig = make_rig(GO2, 2, config, 1, Guard(robot(), 2), QUIET)
    env = RigEnv(rig, Joystick(rig.world, config))
    return env, env.reset(np.ones(2, bool), Seeds(0))


def lift(env: RigEnv, row: int, tilt: float) -> None:
    """Put a row's trunk high into the air, tilted [rad]: nothing turns it there."""
    env.rig.world.qpos[row, 2:7] = [3.0, np.cos(tilt / 2), np.sin(tilt / 2), 0.0, 0.0]


def test_a_robot_that_falls_freely_is_a_fault_like_the_physical_one() -> None:
    env, step = begun()
    lift(env, 1, 0.0)
    ticks = 0
    while not step.last.any():
        step, ticks = still(env, step), ticks + 1
    assert 0.15 < ticks * env.dt < 0.21  # the task still sees an upright robot that touches nothing
    assert step.last.tolist() == [False, True] and step.reason[1] == Reason.FAULT and step.discount[1] == 0.0
    assert env.rig.messages == ["", "the robot has been falling for 0.16 s, limit 0.15"]
    assert still(env, step).kind[1] == Kind.FIRST and env.rig.messages == ["", ""]


def test_a_tilt_is_a_fault_where_the_task_does_not_mind() -> None:
    env, step = begun(tilt=3.0)
    lift(env, 0, 1.3)
    step = still(env, step)
    assert step.reason.tolist() == [Reason.FAULT, Reason.RUNNING]
    assert env.rig.messages == ["the trunk is tilted by 1.30 rad, limit 1.20", ""]


def test_a_fall_by_both_measures_at_once_is_the_tasks_failure() -> None:
    env, step = begun()
    lift(env, 0, 1.3)
    step = still(env, step)
    assert step.last.tolist() == [True, False] and step.reason[0] == Reason.FAILURE
    assert step.discount[0] == 0.0 and step.reward[0] == 0.0 and env.rig.messages[0]


def test_the_task_ends_a_fall_before_the_guard_does() -> None:
    env, step = begun()
    lift(env, 0, 1.1)
    step = still(env, step)
    assert step.reason[0] == Reason.FAILURE and env.rig.messages == ["", ""]


def test_the_limits_are_the_guards_in_simulation_and_on_hardware() -> None:
    both = [compose("deploy", ["task=go2/joystick", f"robot={name}"]).robot for name in ("go2_sim", "go2")]
    assert both[0].guard.balance == both[1].guard.balance
    config = compose("deploy", ["task=go2/joystick", "robot.guard.balance.max_tilt=0.9"])
    env = make_env(config.task, config.robot, 1)
    assert isinstance(env, RigEnv)
    step = env.reset(np.ones(1, bool), Seeds(0))
    lift(env, 0, 0.95)
    still(env, step)
    assert "limit 0.90" in env.rig.messages[0]
    env.close()
