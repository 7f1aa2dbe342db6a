"""Scripted expert for the lift tasks: grasp the cube, go up. How it moves, and why it errs: see `top_down.py`."""

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


@dataclass(frozen=True)
class KochLiftExpertConfig(LiftExpertConfig):
    """How the expert moves in koch/lift: smaller steps, a smaller cube."""

    pace: tuple[float, float] = (0.05, 0.09)
    closed: float = 0.10
    parallel: float = 0.34
    hover: float = 0.030
    height: float = 0.060


@dataclass(frozen=True)
class Ur5eLiftExpertConfig(LiftExpertConfig):
    """How the expert moves in ur5e/lift: a larger cube, and two fingers that move alike."""

    pace: tuple[float, float] = (0.20, 0.35)
    opened: float = 0.72
    closed: float = 0.32
    parallel: float = 0.47
    noise: float = 0.003
    hover: float = 0.060
    approach: float = 0.0
    grip: float = 0.0
    height: float = 0.22


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
