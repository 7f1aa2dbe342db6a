"""What a physical robot promises on its emulated bus, the task's world behind it: the contract of every rig, and that
it is its simulated twin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.app.emulated import EmulatedRig
from robo_rl.env import Env, RigEnv
from robo_rl.robot import Rig
from robo_rl.seeds import Seeds
from robo_rl.types import Kind, Step
from tests.contract.robot import RigContract

ONE = np.ones(1, bool)
SETTLE = 20  # [ticks] until a held arm has stopped swinging


class TwinContract:
    """Hooks: names of robot and task, keys of the objects that the task places, further overrides, how far joints may
    be off their setpoints [rad], a move (A,) from home that is done within a second [rad]."""

    robot: str
    task: str
    objects: tuple[str, ...]
    options: tuple[str, ...] = ()
    calm: tuple[str, ...] = ("watchdog", "patience", "stall")  # of its driver [s]; a busy machine is late
    tolerance = 0.06
    move: tuple[float, ...]

    @pytest.fixture(autouse=True)
    def _power(self) -> Iterator[None]:
        self.made: list[Env] = []
        yield
        for env in self.made:
            env.close()

    def physical(self) -> RigEnv:
        calm = [f"robot.rig.driver.{key}=20.0" for key in self.calm] + ["+robot.guard.max_misses=100000"]
        return self._env([f"robot={self.robot}", f"task={self.task}", "robot.bus=emulated", *calm, *self.options])

    def twin(self) -> RigEnv:
        return self._env([f"robot={self.robot}_sim", f"task={self.task}"])

    def _env(self, words: list[str]) -> RigEnv:
        config = compose("deploy", words)
        env = make_env(config.task, config.robot, 1, realtime=True)
        assert isinstance(env, RigEnv)
        self.made.append(env)
        return env

    @staticmethod
    def begin(env: RigEnv, seed: int) -> Step:
        step = env.reset(ONE, Seeds(seed))
        while step.kind[0] == Kind.RESET:
            env.send(step.applied)
            step = env.recv()
            assert not any(env.rig.messages), env.rig.messages  # else it would never come home
        return step

    def test_it_has_the_specs_of_its_simulated_twin(self) -> None:
        simulated, physical = self.twin(), self.physical()
        assert simulated.obs_spec.diff(physical.obs_spec) == []
        assert simulated.obs_spec.fingerprint() == physical.obs_spec.fingerprint()
        assert simulated.act_spec == physical.act_spec
        assert (simulated.dt, simulated.limit) == (physical.dt, physical.limit)

    def test_an_episode_begins_as_its_twins_does(self) -> None:
        """Objects lie where the seed puts them, the arm is at home; and again in a second episode after the first."""
        simulated, physical = self.twin(), self.physical()
        for seed in (3, 4):
            wanted, step = simulated.reset(ONE, Seeds(seed)), self.begin(physical, seed)
            assert step.first[0] and step.seed[0] == seed
            for key in self.objects:
                assert np.allclose(step.obs[key], wanted.obs[key], atol=1e-3), key
            assert np.abs(step.obs["joint_position"] - wanted.obs["joint_position"]).max() < self.tolerance
            assert np.array_equal(step.obs["applied"], wanted.obs["applied"])

    def test_the_arm_in_the_world_goes_where_the_driver_sends_it(self) -> None:
        env = self.physical()
        assert isinstance(env.rig, EmulatedRig)
        step = self.begin(env, 0)
        target = step.obs["applied"] + np.array([self.move], np.float32)
        for _ in range(30):
            env.send(target)
            step = env.recv()
        truth = [env.rig.world.qpos[0, env.rig.world.model.joint(name).qposadr[0]] for name in env.act_spec.names]
        assert np.array_equal(step.applied, target)
        assert np.allclose(step.obs["joint_position"][0], truth, atol=3e-3)
        assert np.allclose(truth, target[0], atol=self.tolerance)


class EmulatedArmContract(TwinContract, RigContract):
    """Both contracts."""

    def make(self) -> Rig:
        return self.physical().rig

    def homed(self) -> Rig:
        rig = super().homed()
        for _ in range(SETTLE):
            rig.tick(ONE & False)
        return rig
