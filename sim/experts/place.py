"""Scripted expert for so101/pick_place and so101/stack: grasp the cube, bring it over its place, let go, rise.

Into a bin it drops the cube from above the rim, so that the opening jaws clear the walls; onto a cube it sets it down.
How it moves and why it errs: `sim/experts/top_down.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.experts.top_down import Goal, Sight, TopDownConfig, TopDownExpert, choose


@dataclass(frozen=True)
class PlaceExpertConfig(TopDownConfig):
    """How the expert moves; the defaults are those of so101/pick_place."""

    onto: str = "bin"  # body that the cube is brought to
    support: float = 0.0  # surface for the cube above that body's frame [m]
    drop: float = 0.018  # of the cube's lower face above the surface when it lets go [m]
    rim: float = 0.024  # that the cube's lower face must clear above the surface before it moves sideways [m]
    clear: float = 0.020  # above the drop while it travels [m]
    tolerance: float = 0.010  # misplacement at which it lets go [m]
    grip: float = 0.004  # tool above the cube's centre when it grasps [m]
    half: float = 0.010  # of the cube's width [m]
    retreat: float = 0.095  # tool above the table after it let go [m]


@dataclass(frozen=True)
class StackExpertConfig(PlaceExpertConfig):
    """How the expert moves in so101/stack."""

    onto: str = "base_cube"
    support: float = 0.015
    drop: float = 0.0005
    rim: float = 0.006
    tolerance: float = 0.004


class PlaceExpert(TopDownExpert):
    """Policy over the privileged poses of cube and place, the joint positions and the previous setpoint."""

    config: PlaceExpertConfig

    def __init__(self, n: int, description: str | Path, config: PlaceExpertConfig = PlaceExpertConfig()) -> None:
        super().__init__(n, description, config, f"{config.onto} expert")

    def goal(self, sight: Sight) -> Goal:
        c, cube, place = self.config, sight.pose("cube"), sight.pose(self.config.onto)
        offset = (place - cube)[:, :2]
        away = np.hypot(*offset.T)
        above = cube[:, 2] - c.half - place[:, 2] - c.support  # lower face over the surface
        pick = self.pick(sight, cube, cube[:, 2] + c.grip)
        height = c.drop + np.clip(8.0 * (away - 0.5 * c.tolerance), 0.0, c.clear)
        still = np.zeros(len(cube))
        bring = self.carry(sight, sight.tool, offset, still, above - c.rim, height - above)
        opened = np.clip((sight.grip - c.parallel) / 0.1, 0.0, 1.0)
        placed = (away < c.tolerance * (1.0 + opened)) & (above < c.drop + 0.003 + 0.003 * opened)
        goal = choose(self.held(sight, cube), bring, pick)
        return choose(placed, self.let_go(sight, c.retreat), goal)
