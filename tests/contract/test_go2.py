"""The tasks of the Go2 keep every contract, in simulation."""

from __future__ import annotations

from robo_rl.env import RigEnv
from robo_rl.policy import Policy
from robo_rl.robot import Rig
from robo_rl.types import PRIVILEGED
from tests.contract.env import EnvContract
from tests.contract.policy import PolicyContract
from tests.contract.robot import RigContract
from tests.contract.task import TaskContract
from tests.sim.go2 import CASES, expert, robot


class EnvOf(EnvContract):
    """Random actions make it fall; episodes are cut short, too: the limit is not one of a task's frozen numbers."""

    task: str
    ticks = 75

    def make(self, n: int) -> RigEnv:
        return CASES[self.task].env(n, limit=1.0)


class TestJoystickEnv(EnvOf):
    task = "joystick"


class TestPushRecoveryEnv(EnvOf):
    task = "push_recovery"


class TestRandomisedEnv(EnvContract):
    """With motor models, and other physics in every episode."""

    ticks = 75

    def make(self, n: int) -> RigEnv:
        return CASES["joystick"].env(n, servo="real", randomise="test", limit=1.0)


class TestRig(RigContract):
    def make(self) -> Rig:
        return CASES["joystick"].env(3).rig


class TestRandomisedRig(RigContract):
    def make(self) -> Rig:
        return CASES["push_recovery"].env(3, servo="real", randomise="train").rig


class TestJoystick(TaskContract):
    def make(self, n: int) -> RigEnv:
        return CASES["joystick"].env(n, reward="shaped")


class TestPushRecovery(TaskContract):
    def make(self, n: int) -> RigEnv:
        return CASES["push_recovery"].env(n, reward="shaped")


class TestExpert(PolicyContract):
    _env = CASES["joystick"].env(1)
    obs_spec = _env.obs_spec | _env.rig.privileged()
    act_spec = robot().act_spec

    def make(self, n: int) -> Policy:
        return expert(n)


def test_nothing_privileged_is_in_the_rigs_spec() -> None:
    env = CASES["joystick"].env(1)
    assert not [key for key in env.obs_spec if key.startswith(PRIVILEGED)]
    assert all(key.startswith(PRIVILEGED) for key in env.rig.privileged())
    env.close()
