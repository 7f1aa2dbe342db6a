"""The table-top tasks beside so101/insert_peg keep every contract, and pass other libraries' checkers."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from hardware.emulators.servo_arm import EmulatedTracker, ServoArm
from hardware.rig import DeviceRig
from robo_rl.adapt.gymnasium_out import GymnasiumEnv
from robo_rl.adapt.register import TASKS, register
from robo_rl.env import RigEnv
from robo_rl.robot import Rig, RobotDescription
from tests.contract.env import EnvContract
from tests.contract.robot import RigContract
from tests.contract.task import TaskContract
from tests.sim.table_tasks import CASES, Case


class EnvOf(EnvContract):
    """Episodes are cut short: the limit is not one of a task's frozen numbers."""

    task: str
    ticks = 75

    def make(self, n: int) -> RigEnv:
        return CASES[self.task].env(n, limit=1.0)


class RigOf(RigContract):
    task: str

    def make(self) -> Rig:
        return CASES[self.task].env(3).rig


class TaskOf(TaskContract):
    task: str

    def make(self, n: int) -> RigEnv:
        return CASES[self.task].env(n, reward="shaped")


class TestLiftEnv(EnvOf):
    task = "lift"


class TestLiftRig(RigOf):
    task = "lift"


class TestLift(TaskOf):
    task = "lift"


class TestPickPlaceEnv(EnvOf):
    task = "pick_place"


class TestPickPlace(TaskOf):
    task = "pick_place"


class TestStackEnv(EnvOf):
    task = "stack"


class TestStack(TaskOf):
    task = "stack"


class TestOpenDrawerEnv(EnvOf):
    task = "open_drawer"


class TestOpenDrawerRig(RigOf):
    task = "open_drawer"  # its tracker computes a pose


class TestOpenDrawer(TaskOf):
    task = "open_drawer"


class TestKochLiftEnv(EnvOf):
    task = "koch_lift"


class TestKochLiftRig(RigOf):
    task = "koch_lift"


class TestKochLift(TaskOf):
    task = "koch_lift"


class TestUr5eLiftEnv(EnvOf):
    task = "ur5e_lift"


class TestUr5eLiftRig(RigOf):
    task = "ur5e_lift"


class TestUr5eLift(TaskOf):
    task = "ur5e_lift"


class TestRandomisedEnv(EnvOf):
    """With servo models, and other physics in every episode."""

    def make(self, n: int) -> RigEnv:
        return CASES["lift"].env(n, servo="real", randomise="test", limit=1.0)


class TestRandomisedRig(RigContract):
    def make(self) -> Rig:
        return CASES["stack"].env(3, servo="real", randomise="train").rig


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_physical_rig_would_have_the_same_fingerprint(case: Case) -> None:
    simulated, description = case.env(1).rig, RobotDescription.load(case.description)
    poses = dict.fromkeys(case.config.bodies, (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    physical = DeviceRig([ServoArm(description)], [EmulatedTracker(poses)])
    assert simulated.obs_spec.diff(physical.obs_spec) == []
    assert simulated.obs_spec.fingerprint() == physical.obs_spec.fingerprint()
    simulated.close()


@pytest.mark.parametrize("name", TASKS)
def test_other_libraries_checkers_pass(name: str) -> None:
    register()
    env = gymnasium.make(name, nthread=1).unwrapped
    assert isinstance(env, GymnasiumEnv)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|render|symmetric).*")
        check_env(env, skip_render_check=True)
    env.close()
    flat = gymnasium.make(name, nthread=1, flatten=True).unwrapped
    sb3_check_env(flat, warn=False)
    flat.close()


@pytest.mark.parametrize("name", TASKS)
def test_the_vector_environment_has_rows(name: str) -> None:
    envs = gymnasium.make_vec(name, num_envs=3, nthread=1)
    obs, info = envs.reset(seed=5)
    assert info["episode_seed"].tolist() == [5, 6, 7] and envs.observation_space.contains(obs)
    _, reward, terminated, truncated, _ = envs.step(obs["applied"])
    assert np.array_equal(reward, np.zeros(3)) and not (terminated | truncated).any()
    envs.close()
