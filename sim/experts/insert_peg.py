"""Scripted expert for so101/insert_peg: looks at the true poses, moves like a person, corrects what it sees.

The phase is read from the state at every tick (is the peg between the closed jaws? is it above the hole?), never from
a timer, and the tool's height follows the remaining error like a funnel: so a clone can infer both from what it
observes. Imperfection: an Ornstein-Uhlenbeck disturbance of the joints, and a pace drawn for each episode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robo_rl import random
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.types import PRIVILEGED, Action, Obs
from sim.experts.so101_arm import TopDownArm

PARALLEL = 0.30  # gripper angle on a 20 mm part [rad]


@dataclass(frozen=True)
class InsertPegExpertConfig:
    """How the expert moves."""

    pace: tuple[float, float] = (0.06, 0.11)  # tool speed, drawn for each episode [m/s]
    turn: float = 1.5  # tool yaw rate [rad/s]
    grip_speed: float = 1.5  # [rad/s]
    opened: float = 1.0  # gripper before the grasp [rad]
    closed: float = 0.15  # gripper setpoint in the grasp [rad]
    noise: float = 0.006  # standard deviation of the joint disturbance [rad]
    noise_time: float = 0.25  # correlation time of the disturbance [s]
    grasp_height: float = 0.040  # tool above the table when it grasps [m]
    hover: float = 0.035  # above the grasp while approaching [m]
    clear: float = 0.036  # height of the peg's lower end while it travels [m]
    approach: float = 0.012  # the fixed jaw's clearance before closing [m]
    peg_height: float = 0.060  # [m]
    integral: float = 0.6  # share of the setpoint's lead over the measured tool that is kept: less lasting error
    hole_depth: float = 0.025  # [m]


class InsertPegExpert(Policy):
    """Policy over the privileged poses of peg and block, the joint positions and the previous setpoint."""

    def __init__(
        self, n: int, description: str | Path, config: InsertPegExpertConfig = InsertPegExpertConfig()
    ) -> None:
        robot = RobotDescription.load(description)
        self.config, self.arm, self.dt = config, TopDownArm(robot), robot.dt
        self._seed, self._tick = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._noise = np.zeros((n, 5))
        self._pace = np.full(n, config.pace[0])
        self._stream = random.stream("insert_peg expert")

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        low, high = self.config.pace
        draw = random.uniform(seeds, 0, self._stream + 1, 1)[:, 0]
        self._pace = np.where(where, low + (high - low) * draw, self._pace)
        self._seed = np.where(where, seeds, self._seed)
        self._tick = np.where(where, 0, self._tick)
        self._noise = np.where(where[:, None], 0.0, self._noise)

    def act(self, obs: Obs) -> Action:
        """Setpoints (N, 6) [rad]."""
        peg = obs[PRIVILEGED + "peg_pose"].astype(np.float64)
        block = obs[PRIVILEGED + "block_pose"].astype(np.float64)
        measured = obs["joint_position"].astype(np.float64)
        applied = obs["applied"].astype(np.float64)
        sag = self.arm.sag(measured[:, :5])
        tool, heading, _ = self.arm.forward(applied[:, :5] - self._noise + sag)  # where the last setpoint leads
        target, yaw, grip = self._goal(peg, block, measured, tool)
        q = self._step(target - tool, _wrap(yaw - heading), tool, heading)
        self._disturb()
        setpoint = q - sag + self._noise
        grip_step = self.config.grip_speed * self.dt
        grip = applied[:, 5] + np.clip(grip - applied[:, 5], -grip_step, grip_step)
        return Action(np.concatenate([setpoint, grip[:, None]], axis=1).astype(np.float32))

    def state(self) -> dict[str, np.ndarray]:
        return {"seed": self._seed, "tick": self._tick, "noise": self._noise, "pace": self._pace}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._seed, self._tick = state["seed"].copy(), state["tick"].copy()
        self._noise, self._pace = state["noise"].copy(), state["pace"].copy()

    def _goal(
        self, peg: np.ndarray, block: np.ndarray, q: np.ndarray, led: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tool position (N, 3), yaw (N,) and gripper angle (N,) to move to now."""
        tool, yaw, _ = self.arm.forward(q[:, :5])
        near = (np.hypot(*(tool - peg[:, :3])[:, :2].T) < 0.012) & (np.abs(tool[:, 2] - peg[:, 2]) < 0.025)
        held = near & (q[:, 5] < PARALLEL + 0.06)
        pick = self._pick(peg, tool, yaw, q)
        place = self._place(peg, block, tool + self.config.integral * (led - tool), yaw)
        goal, turn = np.where(held[:, None], place[0], pick[0]), np.where(held, place[1], pick[1])
        return goal, turn, np.where(held, self.config.closed, pick[2])

    def _pick(self, peg: np.ndarray, tool: np.ndarray, yaw: np.ndarray, q: np.ndarray) -> tuple:
        """Over the peg, down along a funnel, close."""
        c = self.config
        turn = _yaw(peg)
        closing = np.clip((c.opened - q[:, 5]) / (c.opened - PARALLEL), 0.0, 1.0)  # 0 open, 1 on the peg
        side = np.stack([-np.sin(turn), np.cos(turn)], axis=1)
        goal = peg[:, :3].copy()
        goal[:, :2] -= c.approach * (1 - closing)[:, None] * side
        error = np.hypot(*(tool - goal)[:, :2].T) + 0.02 * np.abs(_wrap(yaw - turn))
        started = closing > 0.25
        goal[:, 2] = c.grasp_height + np.where(started, 0.0, np.clip(6.0 * (error - 0.005), 0.0, c.hover))
        there = (error < 0.008) & (tool[:, 2] < c.grasp_height + 0.006)
        near = (error < 0.015) & (tool[:, 2] < c.grasp_height + 0.015)
        return goal, turn, np.where(there | (near & started), c.closed, c.opened)

    def _place(self, peg: np.ndarray, block: np.ndarray, tool: np.ndarray, yaw: np.ndarray) -> tuple:
        """Up, over the hole, down along a funnel; the peg, not the tool, is what is brought to the hole."""
        c = self.config
        lower = peg[:, 2] - c.peg_height / 2
        offset = (block - peg)[:, :2]
        twist = _wrap(_yaw(block) - _yaw(peg))
        error = np.hypot(*offset.T) + 0.02 * np.abs(twist)
        inside = (lower < c.hole_depth - 0.001) & (error < 0.006)
        height = np.where(inside, 0.0, np.clip(16.0 * (error - 0.0025), 0.0, c.clear))
        travel = np.clip((lower - c.hole_depth - 0.001) / 0.005, 0.0, 1.0)  # sideways only once it is up
        travel = np.where(error < 0.01, 1.0, travel)[:, None]
        goal = tool.copy()
        goal[:, :2] += travel * offset
        goal[:, 2] += height - lower
        return goal, yaw + travel[:, 0] * twist

    def _step(self, away: np.ndarray, turn: np.ndarray, tool: np.ndarray, heading: np.ndarray) -> np.ndarray:
        """Joint positions (N, 5) one period's move further from the tool pose `tool`, `heading`."""
        step = self._pace * self.dt
        distance = np.sqrt((away * away).sum(1))
        move = away * np.minimum(1.0, step / np.maximum(distance, 1e-9))[:, None]
        limit = self.config.turn * self.dt
        return self.arm.inverse(tool + move, heading + np.clip(turn, -limit, limit))

    def _disturb(self) -> None:
        """Ornstein-Uhlenbeck: dx = -x / T dt + sigma sqrt(2 / T) dW, exactly discretised; mean zero."""
        keep = np.exp(-self.dt / self.config.noise_time)
        draw = random.normal(self._seed, self._tick, self._stream, 5)
        self._noise = keep * self._noise + self.config.noise * np.sqrt(1 - keep**2) * draw
        self._tick = self._tick + 1


def _yaw(pose: np.ndarray) -> np.ndarray:
    w, x, y, z = pose[:, 3:].T
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def _wrap(angle: np.ndarray) -> np.ndarray:
    return np.mod(angle + np.pi, 2 * np.pi) - np.pi


def _quarter(angle: np.ndarray) -> np.ndarray:
    """The angle modulo 90 degrees, nearest to zero."""
    return np.mod(angle + np.pi / 4, np.pi / 2) - np.pi / 4
