"""What simulated and physical rigs share: robots side by side, sensors, and the space in which they are commanded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robo_rl.joined import joined_feature, joined_readings, joined_spec
from robo_rl.robot import Rig, Robot, Sensor, Stamp
from robo_rl.tool_actions import APPLIED, SETPOINT, ToolActions
from robo_rl.types import Obs


class RobotsRig(Rig):
    """A rig whose actions (N, A) are its robots' setpoints side by side, or what brings their tools somewhere.

    Subclasses call `_homed` when robots have come home, and observe them through `_joined`.
    """

    def __init__(self, robots: Sequence[Robot], sensors: Sequence[Sensor]) -> None:
        self.obs_spec = joined_spec([robot.obs_spec for robot in robots])
        for sensor in sensors:
            self.obs_spec = self.obs_spec | sensor.obs_spec
        self.act_spec = joined_feature([robot.act_spec for robot in robots])
        self._robots, self._ends = tuple(robots), np.cumsum([robot.act_spec.size for robot in robots])[:-1]
        self._tools: ToolActions | None = None

    def command_tools(self) -> None:
        """Be commanded in the space of the robots' tools from now on (`robo_rl/tool_space.py`).

        Raises `UserError` where a robot has no such space.
        """
        self._tools = ToolActions([robot.description for robot in self._robots], self.n)
        self.act_spec, self.obs_spec = self._tools.spec, self._tools.observed(self.obs_spec)

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        if self._tools is None:
            return self._command(action, live)
        return self._tools.write(action, live, self._command)

    def _command(self, setpoint: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Joint setpoints (N, J) to every robot; what was accepted."""
        if len(self._robots) == 1:
            return self._robots[0].write(setpoint, live)
        parts = zip(self._robots, np.split(setpoint, self._ends, axis=1), strict=True)
        return np.concatenate([robot.write(part, live) for robot, part in parts], axis=1)

    def _homed(self, where: np.ndarray) -> np.ndarray:
        """The rows `where` (N,) bool have come home."""
        if self._tools is not None:
            self._tools.home(where)
        return where

    def _joined(self, readings: Sequence[tuple[Obs, Stamp]]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What the robots have read, as what the rig observes of them."""
        obs, stamp = joined_readings(readings)
        if self._tools is None:
            return obs, stamp
        return self._tools.observe(obs), stamp | {SETPOINT: stamp[APPLIED]}
