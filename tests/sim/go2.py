"""The tasks of the Go2, and ways to run them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.guard import Guard
from robo_rl.env import RigEnv
from robo_rl.robot import RobotDescription
from robo_rl.types import Step
from sim.experts.trot import TrotExpert
from sim.legs import USUAL, ImuNoise
from sim.tasks.joystick import Joystick, JoystickConfig
from sim.tasks.legged import LeggedConfig, LeggedTask, make_rig
from sim.tasks.push_recovery import PushRecovery, PushRecoveryConfig
from sim.world import World

GO2 = Path(__file__).parents[2] / "configs" / "description" / "go2.yaml"


@functools.cache
def robot() -> RobotDescription:
    return RobotDescription.load(GO2)


@dataclass(frozen=True)
class Case:
    """One task, with the guard."""

    task: Callable[[World, Any], LeggedTask]
    config: LeggedConfig

    def env(
        self, n: int, servo: str = "ideal", randomise: str = "none", noise: ImuNoise = USUAL, **changes: Any
    ) -> RigEnv:
        """n rows; `changes` of the task's config."""
        config = replace(self.config, **changes)
        rig = make_rig(GO2, n, config, 1, Guard(robot(), n), noise, servo=servo, randomise=randomise)
        return RigEnv(rig, self.task(rig.world, config))


CASES = {
    "joystick": Case(Joystick, JoystickConfig()),
    "push_recovery": Case(PushRecovery, PushRecoveryConfig()),
}


def expert(n: int) -> TrotExpert:
    return TrotExpert(n, GO2)


def still(env: RigEnv, step: Step) -> Step:
    """One tick of holding the home pose."""
    env.send(np.tile(robot().array("home").astype(np.float32), (env.n, 1)))
    return env.recv()
