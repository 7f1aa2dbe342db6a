"""Scripted expert for so101/insert_peg: grasp the peg, bring it over the hole, lower it along a funnel.

It turns the peg the short way without using the symmetry of a square, so that what it does is continuous in what it
sees. How it moves and why it errs: `sim/experts/top_down.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.experts.top_down import Goal, Sight, TopDownConfig, TopDownExpert, choose, misplacement, wrap
from sim.poses import yaw_of


@dataclass(frozen=True)
class InsertPegExpertConfig(TopDownConfig):
    """How the expert moves."""

    grasp_height: float = 0.040  # tool above the table when it grasps [m]
    clear: float = 0.036  # height of the peg's lower end while it travels [m]
    peg_height: float = 0.060  # [m]
    integral: float = 0.6  # share of the setpoint's lead over the measured tool that is kept: less lasting error
    hole_depth: float = 0.025  # [m]


class InsertPegExpert(TopDownExpert):
    """Policy over the privileged poses of peg and block, the joint positions and the previous setpoint."""

    config: InsertPegExpertConfig

    def __init__(
        self, n: int, description: str | Path, config: InsertPegExpertConfig = InsertPegExpertConfig()
    ) -> None:
        super().__init__(n, description, config, "insert_peg expert")

    def goal(self, sight: Sight) -> Goal:
        peg, block = sight.pose("peg"), sight.pose("block")
        pick = self.pick(sight, peg, self.config.grasp_height)
        return choose(self.held(sight, peg), self._insert(sight, peg, block), pick)

    def _insert(self, sight: Sight, peg: np.ndarray, block: np.ndarray) -> Goal:
        """Up, over the hole, down along a funnel; the peg, not the tool, is what is brought to the hole."""
        c = self.config
        lower = peg[:, 2] - c.peg_height / 2
        offset = (block - peg)[:, :2]
        twist = wrap(yaw_of(block[:, 3:]) - yaw_of(peg[:, 3:]))
        error = misplacement(offset, twist)
        inside = (lower < c.hole_depth - 0.001) & (error < 0.006)
        height = np.where(inside, 0.0, np.clip(16.0 * (error - 0.0025), 0.0, c.clear))
        tool = sight.tool + c.integral * (sight.led - sight.tool)
        return self.carry(sight, tool, offset, twist, lower - c.hole_depth - 0.001, height - lower)
