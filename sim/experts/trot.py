"""Scripted gait of a quadruped: a trot with Raibert's foot placement that stands when there is nothing to do.

Diagonal legs swing together. A foot in the air lands where the stance to come will be symmetric about its neutral
place, plus a share of what the trunk is too fast by (Raibert, "Legged robots that balance", 1986):

    landing = neutral + T / 2 * v_wanted + gain * (v - v_wanted),   T = duration of a stance

Feet on the floor move against the wanted velocity. What they carry (the weight, and what levels the trunk) is turned
into torques by the legs' Jacobians and added to the setpoints as torque / kp; the motors' damping is made up for by
kd / kp times the wanted joint velocity. The robot steps when it is told to move, when it moves, or when it is tilted.

Imperfection: an Ornstein-Uhlenbeck disturbance of the joints, mean zero, and a stride drawn for each episode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robo_rl import random
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.types import Action, Obs
from sim.experts.legs import Legs
from sim.legs import VELOCITY

GRAVITY = 9.81  # [m/s2]
PHASE = np.array([0.0, 0.5, 0.5, 0.0])  # of FR, FL, RR, RL in the stride


@dataclass(frozen=True)
class TrotConfig:
    """How the expert walks."""

    stride: tuple[float, float] = (0.40, 0.46)  # time of a whole cycle, drawn for each episode [s]
    swing: float = 0.45  # share of the stride that a foot is in the air
    clearance: float = 0.06  # of a foot in the middle of its swing [m]
    height: float = 0.30  # of the hips above the feet's centres [m]
    gain: float = 0.12  # of the foot placement [s]
    hurry: float = 0.5  # by which a wanted velocity differs from the present one, at most [m/s]
    turn: float = 1.0  # the same of the rate of turn [rad/s]
    rest: tuple[float, float] = (0.12, 0.10)  # speed [m/s] and tilt [rad] below which it may stand
    level: tuple[float, float] = (150.0, 12.0)  # trunk's roll and pitch [N.m/rad] [N.m.s/rad]
    noise: float = 0.01  # standard deviation of the joint disturbance [rad]
    noise_time: float = 0.1  # correlation time of the disturbance [s]


class TrotExpert(Policy):
    """Policy over the command, the IMU, and the trunk's privileged velocity.

    Args:
        n: rows.
        description: file of the robot's description.
        config: how to walk.
    """

    def __init__(self, n: int, description: str | Path, config: TrotConfig = TrotConfig()) -> None:
        robot = RobotDescription.load(description)
        self.config, self.legs, self.dt = config, Legs(robot), robot.dt
        servo = robot.model["servo"]
        self._kp, self._lead = servo["kp"], servo["kd"] / servo["kp"] / robot.dt
        self._weight = GRAVITY * _mass(robot)
        self._neutral = self.legs.hip + np.stack([np.zeros(4), self.legs.side, np.zeros(4)], axis=1)
        self._neutral = self._neutral + [0.0, 0.0, -config.height]
        self._home = robot.array("home").reshape(4, 3)
        self._seed, self._tick = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._noise = np.zeros((n, 12))
        self._stride, self._phase = np.full(n, config.stride[0]), np.zeros(n)
        self._steps = np.zeros(n, bool)
        self._feet, self._lift = (np.tile(self.legs.feet(self._home), (n, 1, 1)) for _ in range(2))
        self._q = np.tile(self._home, (n, 1, 1))
        self._stream = random.stream("trot expert")

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        low, high = self.config.stride
        draw = random.uniform(seeds, 0, self._stream + 1, 1)[:, 0]
        self._stride = np.where(where, low + (high - low) * draw, self._stride)
        self._seed = np.where(where, seeds, self._seed)
        for name in ("_tick", "_noise", "_phase", "_steps"):
            value = getattr(self, name)
            setattr(self, name, np.where(_like(where, value), 0, value).astype(value.dtype))
        start = self.legs.feet(self._home)
        self._feet = np.where(where[:, None, None], start, self._feet)
        self._lift = np.where(where[:, None, None], start, self._lift)
        self._q = np.where(where[:, None, None], self._home, self._q)

    def act(self, obs: Obs) -> Action:
        """Setpoints (N, 12) [rad]."""
        velocity = obs[VELOCITY].astype(np.float64)[:, [0, 1, 5]]
        command = np.concatenate([obs["command_velocity"], obs["command_turn"]], axis=1).astype(np.float64)
        tilt = 2.0 * obs["imu_quaternion"][:, 1:3].astype(np.float64)  # roll, pitch
        self._march(command, velocity, tilt)
        limit = np.array([self.config.hurry, self.config.hurry, self.config.turn])
        wanted = velocity + np.clip(command - velocity, -limit, limit)
        swing = self._move_feet(wanted, velocity)
        q = self.legs.inverse(self._feet)
        torque = self.legs.torque(q, self._lifts(swing, tilt, obs["gyroscope"]))
        setpoint = q + torque / self._kp + self._lead * (q - self._q)
        self._q = q
        self._disturb()
        return Action((setpoint.reshape(-1, 12) + self._noise).astype(np.float32))

    def state(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, f"_{name}").copy() for name in _STATE}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        for name in _STATE:
            setattr(self, f"_{name}", state[name].copy())

    def _march(self, command: np.ndarray, velocity: np.ndarray, tilt: np.ndarray) -> None:
        """Go on with the stride; stand still only between two steps."""
        speed, angle = self.config.rest
        busy = (np.abs(command).sum(1) > 0) | (np.hypot(*velocity[:, :2].T) > speed) | (np.abs(tilt).max(1) > angle)
        before = self._phase
        phase = before + self.dt / self._stride
        between = np.floor(2 * phase) > np.floor(2 * before)  # the one pair lands, the other would lift off
        phase = np.where(between & ~busy & self._steps, np.floor(2 * phase) / 2, phase)
        self._phase = np.where(self._steps, np.mod(phase, 1.0), before)
        self._steps = np.where(self._steps, ~(between & ~busy), busy)

    def _move_feet(self, wanted: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """The feet's places at the next tick; (N, 4) bool: those in the air."""
        c, place = self.config, np.mod(self._phase[:, None] + PHASE, 1.0)
        swing = (place < c.swing) & self._steps[:, None]
        stance = (1.0 - c.swing) * self._stride[:, None, None]
        reach = _drift(wanted, self._neutral) * stance / 2 + c.gain * _drift(velocity - wanted, self._neutral)
        part = np.clip((place + self.dt / self._stride[:, None]) / c.swing, 0.0, 1.0)[..., None]
        flight = self._lift + (self._neutral + reach - self._lift) * (part - np.sin(2 * np.pi * part) / (2 * np.pi))
        flight[..., 2] = -c.height + c.clearance * np.sin(np.pi * part[..., 0]) ** 2
        ground = self._feet - self.dt * _drift(wanted, self._feet)
        ground[..., 2] += 0.2 * (-c.height - ground[..., 2])
        self._feet = np.where(swing[..., None], flight, ground)
        self._lift = np.where(swing[..., None], self._lift, self._feet)
        return swing

    def _lifts(self, swing: np.ndarray, tilt: np.ndarray, gyroscope: np.ndarray) -> np.ndarray:
        """Vertical forces (N, 4) [N] of the feet on the floor: the weight, and moments that level the trunk."""
        stiff, damp = self.config.level
        moment = -stiff * tilt - damp * gyroscope[:, :2]  # about x, y [N.m]
        down = ~swing
        force = np.repeat(self._weight / np.maximum(down.sum(1, keepdims=True), 1), 4, axis=1)
        x, y = self._neutral[:, 0], self._neutral[:, 1]
        force = force + moment[:, :1] * y / (y * y).sum() - moment[:, 1:] * x / (x * x).sum()
        return np.where(down, np.maximum(force, 0.0), 0.0)

    def _disturb(self) -> None:
        """Ornstein-Uhlenbeck: dx = -x / T dt + sigma sqrt(2 / T) dW, exactly discretised; mean zero."""
        keep = np.exp(-self.dt / self.config.noise_time)
        draw = random.normal(self._seed, self._tick, self._stream, 12)
        self._noise = keep * self._noise + self.config.noise * np.sqrt(1 - keep**2) * draw
        self._tick = self._tick + 1


_STATE = ("seed", "tick", "noise", "stride", "phase", "steps", "feet", "lift", "q")


def _drift(velocity: np.ndarray, place: np.ndarray) -> np.ndarray:
    """How points (..., 4, 3) of a trunk with a planar velocity (N, 3) move over the floor, (N, 4, 3) [m/s]."""
    vx, vy, turn = velocity.T[:, :, None]
    x, y = place[..., 0], place[..., 1]
    return np.stack([vx - turn * y, vy + turn * x, np.zeros_like(vx + x)], axis=-1)


def _like(where: np.ndarray, value: np.ndarray) -> np.ndarray:
    return where.reshape(-1, *[1] * (value.ndim - 1))


def _mass(robot: RobotDescription) -> float:
    """Of the whole robot [kg]."""
    model = robot.model
    leg = sum(link["mass"] for link in model["links"].values()) + model["foot"]["mass"]
    return model["trunk"]["mass"] + len(model["feet"]) * leg
