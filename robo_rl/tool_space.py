"""Actions in the space of a tool: where it should be and how it should be turned, and a setpoint for every joint that
does not carry it. Numpy alone, so that hardware and simulation run the same code.

Differential inverse kinematics: every tick takes a few damped least-squares steps from the joint setpoints that were
accepted last towards the part of the way that the tool's speed allows,

    dq = J' (J J' + damping I)^-1 e = (J' J + damping I)^-1 J' e,

with errors of the orientation weighed so lightly that they never cost more than a fraction of a millimetre of position.
A joint at its limit is left out. All joints slow down together where one would be too fast, so that the tool keeps its
direction, and a singularity costs speed alone; where no step helps, the arm stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.orientation import orientation_of, wrap
from robo_rl.robot import RobotDescription
from robo_rl.spec import Feature

PLACE = ("x", "y", "z")
STEPS = 6  # of the inverse kinematics, a tick, at most
SETTLED = 1e-3  # [rad] joint step after which what is left of the error is of its second order: below 1e-6 m
LENGTH = 0.01  # [m] of position error that counts as much as 1 rad of orientation error
AT_LIMIT = 0.001  # [m] the same once a joint has met its limit: position goes before orientation
DAMPING, GROWTH = 1e-8, 0.05  # [m2/rad2], and by how much it grows with the squared error
TRUST = 0.3  # [rad] that a joint moves in one step, at most
REACHED = (1e-5, 1e-4)  # [m] [rad] that may be left of an action that counts as accepted as it is

Goal = tuple[np.ndarray, np.ndarray]
"""Position (N, 3) [m], and what `Orientation.aim` says of the orientation."""


@dataclass(frozen=True)
class ToolBox:
    """Where a robot's tool may be sent: `tool_space` in its description."""

    low: tuple[float, float, float]  # corner of the box [m], seen from the robot's base, along the rig's axes
    high: tuple[float, float, float]
    tilt: tuple[float, float]  # [rad]; each of its numbers, for an arm that leans in any direction
    speed: float  # of the tool [m/s]
    turn: float  # of its orientation's numbers [rad/s]

    @classmethod
    def of(cls, description: RobotDescription) -> ToolBox:
        """Raises `UserError` where the description has none, or one that does not fit."""
        where = f"robot.action=tool: robot description {description.name}"
        data: Any = description.model.get("tool_space")
        if not description.tool_parent or data is None:
            raise UserError(f"{where}: has no tool_space; use robot.action=joint")
        try:
            box = cls(**data)
            numbers = np.array([*box.low, *box.high, *box.tilt, box.speed, box.turn], float)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: tool_space={data}: {error}") from error
        low, high, (speed, turn) = (*box.low, box.tilt[0]), (*box.high, box.tilt[-1]), numbers[-2:]
        fits = [len(side) for side in (low, high, box.tilt)] == [4, 4, 2] and np.isfinite(numbers).all()
        if not (fits and all(np.less(low, high)) and speed > 0 and turn > 0):
            raise UserError(f"{where}: tool_space={data}: expected low below high, and speeds above 0")
        return box


class ToolSpace:
    """One robot's actions: position [m] and orientation [rad] of its tool, then its other joints [rad].

    Attributes:
        spec: of an action.
    """

    def __init__(self, description: RobotDescription) -> None:
        box = ToolBox.of(description)
        self._kinematics = Kinematics(description)
        self._turning = orientation_of(description, self._kinematics)
        self._columns = self._kinematics.columns
        self._others = np.setdiff1d(np.arange(len(description.joints)), self._columns)
        self._low, self._high = (description.array(side)[self._columns] for side in ("low", "high"))
        self._fastest = (description.array("max_speed") * description.dt)[self._columns]  # [rad] a tick
        self._step, self._turn = box.speed * description.dt, box.turn * description.dt
        turns = len(self._turning.names)
        self._weight, self._weight_at_limit = (np.repeat([1.0, length], [3, turns]) for length in (LENGTH, AT_LIMIT))
        self._reached = np.repeat(REACHED, [3, turns])
        self._identity = np.eye(len(self._columns))
        self.spec = _spec(description, box, self._turning.names, self._others)

    def action(self, joints: np.ndarray) -> np.ndarray:
        """The action (N, A) float32, within its bounds, that joint setpoints (N, J) [rad] are."""
        q = joints.take(self._columns, 1).astype(np.float64)
        here = self._here(self._kinematics.motion(q)[0], q)
        return self.spec.clip(np.concatenate([here, joints.take(self._others, 1)], axis=1))

    def joints(self, action: np.ndarray, sent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A tick's way from the last setpoints `sent` (N, J) float32 [rad] towards actions (N, A).

        Returns joint setpoints (N, J) float32, and (N,) bool where they are what was asked for. What is asked for is
        clamped to the action's bounds; where it is not finite, so are the setpoints.
        """
        finite = np.all(np.isfinite(action), axis=1)
        if not finite.all():
            action = np.where(finite[:, None], action, self.action(sent))
        wanted = np.minimum(np.maximum(action, self.spec.low), self.spec.high)
        pose = wanted[:, : -len(self._others) or None]
        carrying, there = self._search(pose, sent.take(self._columns, 1).astype(np.float64))
        out = sent.copy()
        out[:, self._columns], out[:, self._others] = carrying, wanted[:, pose.shape[1] :]
        out[~finite] = np.nan
        return out, there & finite & np.all(wanted == action, axis=1)

    def _search(self, wanted: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse kinematics (see the module's docstring): (N, C) joint positions, and where they are `wanted`."""
        tool, motion = self._kinematics.motion(start)
        pose, near = self._nearer(self._here(tool, start), wanted)
        goal = pose[:, :3], self._turning.aim(pose[:, 3:])
        q, free, n = start, np.ones_like(start), len(start)
        moving, there = np.ones(n, bool), np.zeros(n, bool)
        first = error = self._error(goal, tool, q)
        for count in range(STEPS):
            if count:
                tool, motion = self._kinematics.motion(q)
                error = self._error(goal, tool, q)
            step, left = self._step_towards(error, motion, free)
            aimed = q + step * moving[:, None]
            q = np.clip(aimed, self._low, self._high)
            settled = moving & (np.abs(step).max(axis=1) < SETTLED)
            if not (aimed == q).all():
                free *= aimed == q
                settled &= (aimed == q).all(axis=1)
            there |= settled & near & (np.abs(left) < self._reached).all(axis=1)
            moving &= ~settled
            if not moving.any():
                break
        else:
            q = self._only_nearer(q, start, goal, first, moving)
        return self._slower(q, start, there)

    def _step_towards(self, error: np.ndarray, motion: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step (N, C) of the joints that are `free` (N, C) 1 or 0, and what it leaves of the error (N, E)."""
        rates = self._turning.rates(motion)
        weight = self._weight
        if not free.all():
            rates = rates * free[..., None]
            weight = np.where(free.all(axis=1, keepdims=True), weight, self._weight_at_limit)
        weighed = rates * weight[..., None, :]
        aim = error * weight
        damping = DAMPING + GROWTH * (aim * aim).sum(axis=1)
        matrix = weighed @ weighed.swapaxes(1, 2)
        matrix += damping[:, None, None] * self._identity
        step = np.linalg.solve(matrix, weighed @ aim[..., None])[..., 0]
        step *= np.minimum(1.0, TRUST / np.maximum(np.abs(step).max(axis=1), 1e-12))[:, None]
        return step, error - (step[:, None] @ rates)[:, 0]

    def _nearer(self, here: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of the way from `here` to `wanted`, (N, 3 + K) each, that a tick allows; where that is all of it."""
        away = wanted - here
        away[:, -1] = wrap(away[:, -1])
        distance = np.sqrt((away[:, :3] * away[:, :3]).sum(axis=1))
        away[:, :3] *= np.minimum(1.0, self._step / np.maximum(distance, 1e-12))[:, None]
        turn = np.abs(away[:, 3:]).max(axis=1)
        np.clip(away[:, 3:], -self._turn, self._turn, out=away[:, 3:])
        return here + away, (distance <= self._step) & (turn <= self._turn)

    def _slower(self, q: np.ndarray, start: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As far towards `q` as the joints' speeds allow, and where that is all of it and `there`."""
        move = q - start
        share = (np.abs(move) / self._fastest).max(axis=1)
        if (share <= 1.0).all():
            return q, there
        slow = start + move / np.maximum(share, 1.0)[:, None]
        return np.where((share > 1.0)[:, None], slow, q), there & (share <= 1.0)

    def _only_nearer(
        self, q: np.ndarray, start: np.ndarray, goal: Goal, first: np.ndarray, moving: np.ndarray
    ) -> np.ndarray:
        """`start` in the rows that are still `moving` and no nearer to the goal than at `first`."""
        last = self._error(goal, self._kinematics.motion(q)[0], q)
        worse = np.linalg.norm(last * self._weight, axis=1) >= np.linalg.norm(first * self._weight, axis=1)
        return np.where((moving & worse)[:, None], start, q)

    def _here(self, tool: np.ndarray, q: np.ndarray) -> np.ndarray:
        """(N, 3 + K) pose of the tool in an action's numbers."""
        return np.concatenate([tool[:, :3, 3], self._turning.numbers(tool, q)], axis=1)

    def _error(self, goal: Goal, tool: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.concatenate([goal[0] - tool[:, :3, 3], self._turning.error(goal[1], tool, q)], axis=1)


def _spec(description: RobotDescription, box: ToolBox, turning: Sequence[str], others: np.ndarray) -> Feature:
    """The action's bounds and names."""
    base, tilts = np.array(description.base_position), len(turning) - 1
    low = [*(base + box.low), *[box.tilt[0]] * tilts, -np.pi, *description.array("low")[others]]
    high = [*(base + box.high), *[box.tilt[1]] * tilts, np.pi, *description.array("high")[others]]
    names = (*PLACE, *turning, *(description.joints[joint].name for joint in others))
    return Feature((len(names),), "float32", low, high, "m", tuple(description.prefix + name for name in names))
