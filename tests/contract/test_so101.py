"""The real driver on the emulated bus, the task's world behind it: it keeps the contracts, and has its twin's specs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.app.emulated import EmulatedRig
from robo_rl.env import RigEnv
from robo_rl.robot import Rig
from robo_rl.seeds import Seeds
from robo_rl.types import Kind
from tests.contract.robot import RigContract

ONE = np.ones(1, bool)
SETTLE = 20  # [ticks] until a held arm has stopped swinging


@pytest.fixture(autouse=True)
def _power(request: pytest.FixtureRequest) -> Iterator[None]:
    made.clear()
    yield
    for env in made:
        env.close()


made: list[RigEnv] = []


def make() -> RigEnv:
    calm = [f"robot.rig.driver.{key}=20.0" for key in ("watchdog", "patience", "stall")]  # [s]; a busy machine is late
    config = compose("deploy", ["robot=so101", "robot.bus=emulated", "robot.rig.arm.patience=0.2", *calm])
    env = make_env(config.task, config.robot, 1, realtime=True)
    assert isinstance(env, RigEnv)
    made.append(env)
    return env


class TestRig(RigContract):
    def make(self) -> Rig:
        return make().rig

    def homed(self) -> Rig:
        rig = super().homed()
        for _ in range(SETTLE):
            rig.tick(ONE & False)
        return rig


def test_it_has_the_specs_of_its_simulated_twin() -> None:
    config = compose("deploy", ["robot=so101_sim"])
    simulated, physical = make_env(config.task, config.robot, 1), make()
    assert simulated.obs_spec.diff(physical.obs_spec) == []
    assert simulated.obs_spec.fingerprint() == physical.obs_spec.fingerprint()
    assert simulated.act_spec == physical.act_spec
    assert (simulated.dt, simulated.limit) == (physical.dt, physical.limit)
    simulated.close()


def test_an_episode_begins_as_its_twins_does() -> None:
    """Objects lie where the seed puts them, the arm is at home; and again in a second episode after the first."""
    config = compose("deploy", ["robot=so101_sim"])
    simulated, physical = make_env(config.task, config.robot, 1), make()
    for seed in (3, 4):
        wanted = simulated.reset(ONE, Seeds(seed))
        step = physical.reset(ONE, Seeds(seed))
        while step.kind[0] == Kind.RESET:
            physical.send(step.applied)
            step = physical.recv()
        assert step.first[0] and step.seed[0] == seed
        for key in ("peg_pose", "block_pose"):
            assert np.allclose(step.obs[key], wanted.obs[key], atol=1e-3), key
        assert np.abs(step.obs["joint_position"] - wanted.obs["joint_position"]).max() < 0.06
        assert np.array_equal(step.obs["applied"], wanted.obs["applied"])
    simulated.close()


def test_the_arm_in_the_world_goes_where_the_driver_sends_it() -> None:
    env = make()
    assert isinstance(env.rig, EmulatedRig)
    step = env.reset(ONE, Seeds(0))
    while step.kind[0] == Kind.RESET:
        env.send(step.applied)
        step = env.recv()
    target = step.obs["applied"] + np.array([[0.4, -0.1, 0.1, -0.2, 0.5, 0.2]], np.float32)
    for _ in range(30):
        env.send(target)
        step = env.recv()
    truth = [env.rig.world.qpos[0, env.rig.world.model.joint(name).qposadr[0]] for name in env.act_spec.names]
    assert np.array_equal(step.applied, target)
    assert np.allclose(step.obs["joint_position"][0], truth, atol=3e-3)
    assert np.allclose(truth, target[0], atol=0.06)
