"""The real driver on the emulated robot, the task's world around it: the contracts, and the specs of its twin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.app.legged import EmulatedLegsRig
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.robot import Rig
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Kind, Step
from tests.contract.robot import RigContract

ONE = np.ones(1, bool)
CALM = [  # a busy machine is late
    "robot.rig.driver.watchdog=20.0", "robot.rig.driver.patience=20.0", "robot.rig.legs.max_silence=20.0",
    "robot.rig.legs.farewell=0.01", "robot.rig.legs.home_speed=0.2",
]  # fmt: skip
made: list[RigEnv] = []


@pytest.fixture(autouse=True)
def _power() -> Iterator[None]:
    made.clear()
    yield
    for env in made:
        env.close()


def make(*words: str) -> RigEnv:
    config = compose("deploy", ["task=go2/joystick", "robot=go2", "robot.bus=emulated", *CALM, *words])
    env = make_env(config.task, config.robot, 1, realtime=True)
    assert isinstance(env, RigEnv)
    made.append(env)
    return env


def begun(env: RigEnv, seed: int) -> Step:
    step = env.reset(ONE, Seeds(seed))
    while step.kind[0] == Kind.RESET:
        assert not any(env.rig.messages), env.rig.messages
        env.send(step.applied)
        step = env.recv()
    return step


class TestRig(RigContract):
    """A robot whose sensors are noisy does not read the same twice within two milliseconds: that test is left out."""

    home_ticks = 400

    def make(self) -> Rig:
        return make().rig

    test_reading_twice_in_a_tick_reads_the_same = None  # type: ignore[assignment]


def test_it_has_the_specs_of_its_simulated_twin() -> None:
    config = compose("deploy", ["task=go2/joystick", "robot=go2_sim"])
    simulated, physical = make_env(config.task, config.robot, 1), make()
    assert simulated.obs_spec.diff(physical.obs_spec) == []
    assert simulated.obs_spec.fingerprint() == physical.obs_spec.fingerprint()
    assert simulated.act_spec == physical.act_spec
    assert (simulated.dt, simulated.limit) == (physical.dt, physical.limit)
    simulated.close()


def test_it_stands_up_and_an_episode_begins_as_its_twins_does() -> None:
    config = compose("deploy", ["task=go2/joystick", "robot=go2_sim"])
    simulated, physical = make_env(config.task, config.robot, 1), make()
    rig = physical.rig
    assert isinstance(rig, EmulatedLegsRig) and rig.world.qpos[0, 2] < 0.2
    step, wanted = begun(physical, 3), simulated.reset(ONE, Seeds(3))
    assert step.first[0] and step.seed[0] == 3
    for key in ("command_velocity", "command_turn"):
        assert np.array_equal(step.obs[key], wanted.obs[key])
    pose = PRIVILEGED + "trunk_pose"
    assert np.allclose(step.obs[pose][0, :3], wanted.obs[pose][0, :3], atol=0.02)
    assert np.abs(step.obs["joint_position"] - wanted.obs["joint_position"]).max() < 0.25
    assert np.abs(step.obs["imu_quaternion"] - wanted.obs["imu_quaternion"]).max() < 0.1
    for _ in range(25):
        physical.send(rig.robots[0].description.array("home").astype(np.float32)[None])
        step = physical.recv()
    weight = 9.81 * float(np.sum(rig.world.model.body_mass))
    assert 0.8 * weight < step.obs["foot_force"].sum() < 1.2 * weight
    assert abs(step.obs["accelerometer"][0, 2] - 9.81) < 1.0
    rig.world.qpos[0, :2] = (3.0, -2.0)  # what the task changes in its copy happens to the robot
    rig.push()
    rig.read()
    assert np.allclose(rig.world.qpos[0, :2], (3.0, -2.0), atol=0.05)
    simulated.close()


@pytest.mark.parametrize("word", ["task.rig.servo=real", "task.rig.randomise=test"])
def test_what_the_emulated_robot_has_not_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=r"task.rig.servo=ideal and task.rig.randomise=none"):
        make(word)
