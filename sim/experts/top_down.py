"""Stages that the scripted experts share: reach and grasp a part, carry it, let go, rise.

An expert looks at the true poses and reads its phase from the state at every tick (is the part between the closed
jaws? is it above its place?), never from a timer; the tool's height follows the remaining error like a funnel: so a
clone can infer both from what it observes. Imperfection: an Ornstein-Uhlenbeck disturbance of the joints, mean zero,
and a pace drawn for each episode.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robo_rl import random
from robo_rl.errors import UserError
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.types import PRIVILEGED, Action, Obs
from sim.experts.six_joint_arm import SixJointArm
from sim.experts.top_down_arm import TopDownArm
from sim.poses import yaw_of


@dataclass(frozen=True)
class TopDownConfig:
    """How an expert moves."""

    pace: tuple[float, float] = (0.06, 0.11)  # tool speed, drawn for each episode [m/s]
    turn: float = 1.5  # tool yaw rate [rad/s]
    grip_speed: float = 1.5  # [rad/s]
    opened: float = 1.0  # gripper before the grasp [rad]
    closed: float = 0.15  # gripper setpoint in the grasp [rad]
    parallel: float = 0.30  # gripper angle on a part [rad]
    noise: float = 0.006  # standard deviation of the joint disturbance [rad]
    noise_time: float = 0.25  # correlation time of the disturbance [s]
    hover: float = 0.035  # above the grasp while approaching [m]
    approach: float = 0.012  # the fixed jaw's clearance before closing [m]


@dataclass(frozen=True)
class Sight:
    """What an expert sees of one arm at a tick, N rows; places are in the arm's base frame."""

    obs: Obs
    base: np.ndarray  # (3,) of the arm in the rig's frame [m]
    applied: np.ndarray  # (N, J + 1) last setpoint: joints, then gripper [rad]
    grip: np.ndarray  # (N,) measured [rad]
    tool: np.ndarray  # (N, 3) measured [m]
    yaw: np.ndarray  # (N,) measured [rad]
    led: np.ndarray  # (N, 3) where the last setpoint leads the tool [m]
    heading: np.ndarray  # (N,) and its yaw [rad]
    sag: np.ndarray  # (N, J) that gravity turns the joints by [rad]

    def pose(self, body: str) -> np.ndarray:
        """True pose (N, 7) of a tracked body."""
        pose = self.obs[f"{PRIVILEGED}{body}_pose"].astype(np.float64)
        pose[:, :3] -= self.base
        return pose


Goal = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Tool position (N, 3) [m], yaw (N,) [rad] and gripper angle (N,) [rad] to move to now."""


class Hand:
    """One arm with its gripper pointing down: what it sees, and its way to a goal, with a disturbance.

    Args:
        n: rows.
        robot: description of the arm.
        config: how to move.
        name: of its streams of random numbers.
        first: its first joint's column in the rig's observations and actions.
    """

    def __init__(self, n: int, robot: RobotDescription, config: TopDownConfig, name: str, first: int = 0) -> None:
        self.config, self.arm, self.dt = config, arm_of(robot), robot.dt
        self._base, self._columns = np.array(robot.base_position), slice(first, first + len(robot.joints))
        self._seed, self._tick = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._noise = np.zeros((n, len(robot.joints) - 1))
        self._pace = np.full(n, config.pace[0])
        self._stream = random.stream(name)

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        low, high = self.config.pace
        draw = random.uniform(seeds, 0, self._stream + 1, 1)[:, 0]
        self._pace = np.where(where, low + (high - low) * draw, self._pace)
        self._seed = np.where(where, seeds, self._seed)
        self._tick = np.where(where, 0, self._tick)
        self._noise = np.where(where[:, None], 0.0, self._noise)

    def look(self, obs: Obs) -> Sight:
        """What there is to see now."""
        measured = obs["joint_position"][:, self._columns].astype(np.float64)
        applied = obs["applied"][:, self._columns].astype(np.float64)
        sag = self.arm.sag(measured[:, :-1])
        led, heading, _ = self.arm.forward(applied[:, :-1] - self._noise + sag)
        tool, yaw, _ = self.arm.forward(measured[:, :-1])
        return Sight(obs, self._base, applied, measured[:, -1], tool, yaw, led, heading, sag)

    def move(self, sight: Sight, goal: Goal) -> np.ndarray:
        """Setpoints (N, J + 1) float32 [rad], one period's move towards the goal."""
        target, towards, grip = goal
        q = self._step(target - sight.led, wrap(towards - sight.heading), sight.led, sight.heading)
        self._disturb()
        setpoint = q - sight.sag + self._noise
        grip_step, last = self.config.grip_speed * self.dt, sight.applied[:, -1]
        grip = last + np.clip(grip - last, -grip_step, grip_step)
        return np.concatenate([setpoint, grip[:, None]], axis=1).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        return {"seed": self._seed, "tick": self._tick, "noise": self._noise, "pace": self._pace}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._seed, self._tick = state["seed"].copy(), state["tick"].copy()
        self._noise, self._pace = state["noise"].copy(), state["pace"].copy()

    def held(self, sight: Sight, part: np.ndarray) -> np.ndarray:
        """(N,) bool: the part (N, 7) is between the closed jaws."""
        tool = sight.tool
        near = (np.hypot(*(tool - part[:, :3])[:, :2].T) < 0.012) & (np.abs(tool[:, 2] - part[:, 2]) < 0.025)
        return near & (sight.grip < self.config.parallel + 0.06)

    def pick(self, sight: Sight, part: np.ndarray, height: np.ndarray | float) -> Goal:
        """Over the part (N, 7), down along a funnel to the tool height `height` [m], close."""
        c, tool = self.config, sight.tool
        turn = yaw_of(part[:, 3:])
        closing = np.clip((c.opened - sight.grip) / (c.opened - c.parallel), 0.0, 1.0)  # 0 open, 1 on the part
        side = np.stack([-np.sin(turn), np.cos(turn)], axis=1)
        goal = part[:, :3].copy()
        goal[:, :2] -= c.approach * (1 - closing)[:, None] * side
        error = np.hypot(*(tool - goal)[:, :2].T) + 0.02 * np.abs(wrap(sight.yaw - turn))
        started = closing > 0.25
        goal[:, 2] = height + np.where(started, 0.0, np.clip(6.0 * (error - 0.005), 0.0, c.hover))
        there = (error < 0.008) & (tool[:, 2] < height + 0.006)
        near = (error < 0.015) & (tool[:, 2] < height + 0.015)
        return goal, turn, np.where(there | (near & started), c.closed, c.opened)

    def carry(
        self, sight: Sight, tool: np.ndarray, offset: np.ndarray, twist: np.ndarray, above: np.ndarray, rise: np.ndarray
    ) -> Goal:
        """Move a held part by `offset` (N, 2) [m], `twist` (N,) [rad] and `rise` (N,) [m] from the tool at `tool`.

        Sideways only once its lower end is `above` (N,) [m] whatever it must clear, or where it is nearly there.
        """
        error = misplacement(offset, twist)
        travel = np.clip(above / 0.005, 0.0, 1.0)
        travel = np.where(error < 0.01, 1.0, travel)[:, None]
        goal = tool.copy()
        goal[:, :2] += travel * offset
        goal[:, 2] += rise
        return goal, sight.yaw + travel[:, 0] * twist, np.full(len(tool), self.config.closed)

    def let_go(self, sight: Sight, height: float) -> Goal:
        """Open where the tool is; once the jaws are open, rise straight up to the tool height `height` [m]."""
        c, goal = self.config, sight.tool.copy()
        free = sight.grip > c.parallel + 0.15
        goal[:, 2] = np.where(free, height, goal[:, 2])
        return goal, sight.yaw, np.full(len(goal), c.opened)

    def _step(self, away: np.ndarray, turn: np.ndarray, tool: np.ndarray, heading: np.ndarray) -> np.ndarray:
        """Joint positions (N, J) one period's move further from the tool pose `tool`, `heading`."""
        step = self._pace * self.dt
        distance = np.sqrt((away * away).sum(1))
        move = away * np.minimum(1.0, step / np.maximum(distance, 1e-9))[:, None]
        limit = self.config.turn * self.dt
        return self.arm.inverse(tool + move, heading + np.clip(turn, -limit, limit))

    def _disturb(self) -> None:
        """Ornstein-Uhlenbeck: dx = -x / T dt + sigma sqrt(2 / T) dW, exactly discretised; mean zero."""
        keep = np.exp(-self.dt / self.config.noise_time)
        draw = random.normal(self._seed, self._tick, self._stream, self._noise.shape[1])
        self._noise = keep * self._noise + self.config.noise * np.sqrt(1 - keep**2) * draw
        self._tick = self._tick + 1


class TopDownExpert(Hand, Policy):
    """Policy over privileged poses, the joint positions and the previous setpoint. Subclasses say where to go.

    Args:
        n: rows.
        description: file of the arm's description.
        config: how to move.
        name: of the expert's streams of random numbers.
    """

    def __init__(self, n: int, description: str | Path, config: TopDownConfig, name: str) -> None:
        super().__init__(n, RobotDescription.load(description), config, name)

    @abstractmethod
    def goal(self, sight: Sight) -> Goal:
        """Where to move now."""

    def act(self, obs: Obs) -> Action:
        """Setpoints (N, J + 1) [rad]."""
        sight = self.look(obs)
        return Action(self.move(sight, self.goal(sight)))


def arm_of(robot: RobotDescription) -> TopDownArm | SixJointArm:
    """Closed-form kinematics of the arm. Raises `UserError` where none fits."""
    for kind in (TopDownArm, SixJointArm):
        with suppress(ValueError):
            return kind(robot)
    raise UserError(f"robot description {robot.name}: the scripted experts know arms like so101, koch and ur5e only")


def choose(where: np.ndarray, one: Goal, other: Goal) -> Goal:
    """`one` in the rows `where` (N,) bool, `other` elsewhere."""
    position = np.where(where[:, None], one[0], other[0])
    return position, np.where(where, one[1], other[1]), np.where(where, one[2], other[2])


def misplacement(offset: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """(N,) [m]: how far a part is from its place, sideways (N, 2) [m] and turned (N,) [rad]; 1 rad counts as 20 mm."""
    return np.hypot(*offset.T) + 0.02 * np.abs(twist)


def wrap(angle: np.ndarray) -> np.ndarray:
    """The angle modulo 360 degrees, nearest to zero."""
    return np.mod(angle + np.pi, 2 * np.pi) - np.pi
