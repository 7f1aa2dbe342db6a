"""A scripted expert for joints where the tool is commanded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.tool_actions import APPLIED, SETPOINT, ToolActions
from robo_rl.types import Action, Obs


class WithTool(Policy):
    """What `expert` does with the joints of these robots, as actions of their tools (N, A); it sees joint setpoints."""

    def __init__(self, expert: Policy, robots: tuple[RobotDescription, ...]) -> None:
        self.expert, self._tools = expert, ToolActions(robots, 1)
        self.extra_spec = expert.extra_spec

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self.expert.reset(where, seeds)

    def act(self, obs: Obs) -> Action:
        action = self.expert.act({**obs, APPLIED: obs[SETPOINT]})
        return Action(self._tools.actions(action.value), action.extra)

    def state(self) -> dict[str, np.ndarray]:
        return self.expert.state()

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self.expert.load(state)
