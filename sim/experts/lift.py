"""Scripted expert for so101/lift: grasp the cube, go up. How it moves and why it errs: `sim/experts/top_down.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.experts.top_down import Goal, Sight, TopDownConfig, TopDownExpert, choose


@dataclass(frozen=True)
class LiftExpertConfig(TopDownConfig):
    """How the expert moves."""

    grip: float = 0.004  # tool above the cube's centre when it grasps [m]
    height: float = 0.070  # of the cube's centre that it lifts to [m]


class LiftExpert(TopDownExpert):
    """Policy over the privileged pose of the cube, the joint positions and the previous setpoint."""

    config: LiftExpertConfig

    def __init__(self, n: int, description: str | Path, config: LiftExpertConfig = LiftExpertConfig()) -> None:
        super().__init__(n, description, config, "lift expert")

    def goal(self, sight: Sight) -> Goal:
        cube = sight.pose("cube")
        pick = self.pick(sight, cube, cube[:, 2] + self.config.grip)
        still, high = np.zeros((len(cube), 2)), np.ones(len(cube))
        up = self.carry(sight, sight.tool, still, still[:, 0], high, self.config.height - cube[:, 2])
        return choose(self.held(sight, cube), up, pick)
