"""A rig that is commanded in the space of its robots' tools: between the policy's actions and the joints' setpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robo_rl.joined import joined_feature
from robo_rl.robot import RobotDescription
from robo_rl.spec import Spec
from robo_rl.tool_space import ToolSpace

APPLIED, SETPOINT = "applied", "joint_setpoint"
"""Observations: the last accepted setpoint in the space of the actions, and in that of the joints."""


class ToolActions:
    """Actions of robots that stand side by side, N rows.

    An action that was accepted as it is comes back bit for bit; any other as where the accepted joint setpoints bring
    the tool.

    Attributes:
        spec: of an action.
        applied: (N, A) float32 the last accepted setpoints.
    """

    def __init__(self, descriptions: Sequence[RobotDescription], n: int) -> None:
        self._spaces = [ToolSpace(description) for description in descriptions]
        self.spec = joined_feature([space.spec for space in self._spaces])
        self._ends = np.cumsum([space.spec.size for space in self._spaces])[:-1]
        self._joint_ends = np.cumsum([len(description.joints) for description in descriptions])[:-1]
        self._home = np.concatenate([description.array("home") for description in descriptions]).astype(np.float32)
        self._sent = np.tile(self._home, (n, 1))
        self.applied = self.actions(self._sent)

    def actions(self, joints: np.ndarray) -> np.ndarray:
        """The actions (N, A) float32 that joint setpoints (N, J) [rad] are."""
        parts = zip(self._spaces, np.split(joints, self._joint_ends, axis=1), strict=True)
        return np.concatenate([space.action(part) for space, part in parts], axis=1)

    def observed(self, spec: Spec) -> Spec:
        """What a rig that observes `spec` observes when it is commanded like this."""
        return spec | {APPLIED: self.spec, SETPOINT: spec[APPLIED]}

    def observe(self, obs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same of what it observes."""
        self._follow(obs[APPLIED])
        return obs | {APPLIED: self.applied.copy(), SETPOINT: obs[APPLIED]}

    def home(self, where: np.ndarray) -> None:
        """The rows `where` (N,) bool hold their home pose."""
        if where.any():
            self._sent = np.where(where[:, None], self._home, self._sent)
            self.applied = np.where(where[:, None], self.actions(self._sent), self.applied)

    def write(
        self, action: np.ndarray, live: np.ndarray, command: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Let `command` write joint setpoints for actions (N, A); what was accepted, as actions."""
        targets, there = self._targets(action)
        accepted = command(targets, live)
        exact = live & there & (accepted == targets).all(axis=1)
        self._follow(accepted, exact)
        if exact.any():
            self.applied = np.where(exact[:, None], action, self.applied).astype(np.float32, copy=False)
        return self.applied.copy()

    def _targets(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joint setpoints (N, J), and (N,) bool where they are what was asked for."""
        if len(self._spaces) == 1:
            return self._spaces[0].joints(action, self._sent)
        parts = zip(
            self._spaces,
            np.split(action, self._ends, axis=1),
            np.split(self._sent, self._joint_ends, axis=1),
            strict=True,
        )
        found = [space.joints(part, sent) for space, part, sent in parts]
        return np.concatenate([joints for joints, _ in found], axis=1), np.logical_and.reduce([is_ for _, is_ in found])

    def _follow(self, joints: np.ndarray, but: np.ndarray | bool = False) -> None:
        """The robots hold the setpoints `joints` (N, J); the rows `but` need no new action for that."""
        changed = (joints != self._sent).any(axis=1)
        self._sent = joints.astype(np.float32)
        rows = changed & ~np.asarray(but)
        if rows.any():
            self.applied = np.where(rows[:, None], self.actions(self._sent), self.applied)
