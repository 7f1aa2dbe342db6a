"""The bundled task keeps every contract."""

from __future__ import annotations

from pathlib import Path

from hardware.guard import Guard
from robo_rl.env import RigEnv
from robo_rl.robot import Rig, RobotDescription
from sim.tasks.insert_peg import InsertPeg, make_rig
from tests.contract.env import EnvContract
from tests.contract.robot import RigContract
from tests.contract.task import TaskContract

SO101 = Path(__file__).parents[2] / "configs" / "description" / "so101.yaml"


def make_env(n: int) -> RigEnv:
    rig = make_rig(SO101, n, 1, Guard(RobotDescription.load(SO101), n))
    return RigEnv(rig, InsertPeg(rig.world))


class TestEnv(EnvContract):
    ticks = 480

    def make(self, n: int) -> RigEnv:
        return make_env(n)


class TestRig(RigContract):
    def make(self) -> Rig:
        return make_env(3).rig


class TestTask(TaskContract):
    def make(self, n: int) -> RigEnv:
        return make_env(n)
