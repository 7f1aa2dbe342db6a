"""Scripted expert for so101/open_drawer: grasp the knob, pull along the drawer's axis.

How it moves and why it errs: `sim/experts/top_down.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.experts.top_down import Goal, Sight, TopDownConfig, TopDownExpert, choose
from sim.poses import yaw_of


@dataclass(frozen=True)
class OpenDrawerExpertConfig(TopDownConfig):
    """How the expert moves."""

    pull: float = 0.060  # opening that it pulls to [m]


class OpenDrawerExpert(TopDownExpert):
    """Policy over the privileged poses of cabinet and drawer, the joint positions and the previous setpoint."""

    config: OpenDrawerExpertConfig

    def __init__(
        self, n: int, description: str | Path, config: OpenDrawerExpertConfig = OpenDrawerExpertConfig()
    ) -> None:
        super().__init__(n, description, config, "open_drawer expert")

    def goal(self, sight: Sight) -> Goal:
        cabinet, knob = sight.pose("cabinet"), sight.pose("drawer")
        yaw = yaw_of(cabinet[:, 3:])
        out = -np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        goal = knob[:, :3].copy()
        goal[:, :2] = cabinet[:, :2] + self.config.pull * out
        pull = goal, yaw, np.full(len(goal), self.config.closed)
        return choose(self.held(sight, knob), pull, self.pick(sight, knob, knob[:, 2]))
