"""What moves under an emulated Go2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from hardware.emulators.plant import Placed
from robo_rl.robot import RobotDescription

GRAVITY = 9.81  # [m/s2]


class Drive(NamedTuple):
    """What the motors are told, (J,) each: torque = tau + kp (q - position) + kd (dq - velocity) [N.m]."""

    q: np.ndarray  # [rad]
    dq: np.ndarray  # [rad/s]
    tau: np.ndarray  # [N.m]
    kp: np.ndarray  # [N.m/rad]
    kd: np.ndarray  # [N.m.s/rad]


class Body(NamedTuple):
    """What the robot measures of itself."""

    position: np.ndarray  # (J,) [rad]
    velocity: np.ndarray  # (J,) [rad/s]
    torque: np.ndarray  # (J,) [N.m]
    quaternion: np.ndarray  # (4,) w x y z, trunk to world
    gyroscope: np.ndarray  # (3,) [rad/s]
    accelerometer: np.ndarray  # (3,) [m/s2], gravity included
    feet: np.ndarray  # (4,) normal forces [N]


class LegPlant(Placed, Protocol):
    """Legs with a PD loop at every motor."""

    def advance(self, drive: Drive, stuck: np.ndarray, seconds: float) -> Body:
        """Let `seconds` pass; joints `stuck` (J,) bool stand still."""
        ...


class PlantFactory(Protocol):
    """Makes a plant in the emulator's process; it is pickled on its way there."""

    @property
    def size(self) -> int:
        """K of the plant's state."""
        ...

    def make(self) -> LegPlant: ...


class Motors:
    """Joints with an inertia and friction each, without weight, on a trunk that does not move:

        inertia q'' = clip(tau + kp (q* - q) + kd (dq* - q'), +-max_torque) - friction q'

    integrated implicitly, so that no gain makes it explode. Its state is position and velocity (2 J,).

    Args:
        description: the robot.
        start: joint positions at power-on (J,) [rad].
        inertia: of a joint [kg.m2]; friction [N.m.s/rad].
    """

    STEP = 0.002  # [s] of one step of integration at most

    def __init__(
        self, description: RobotDescription, start: np.ndarray, inertia: float = 0.05, friction: float = 0.1
    ) -> None:
        self.position, self.velocity = np.array(start, np.float64), np.zeros(len(start))
        self._most, self._inertia, self._friction = description.array("max_torque"), inertia, friction
        self._low, self._high = description.array("low"), description.array("high")
        self._weight = np.full(len(description.model["feet"]), 36.0)  # [N] a foot
        self._torque = np.zeros_like(self.position)

    def advance(self, drive: Drive, stuck: np.ndarray, seconds: float) -> Body:
        steps = int(np.ceil(seconds / self.STEP))
        for _ in range(steps):
            self._step(drive, stuck, seconds / steps)
        upright, still, rest = np.array([1.0, 0, 0, 0]), np.zeros(3), np.array([0, 0, GRAVITY])
        return Body(self.position, self.velocity, self._torque, upright, still, rest, self._weight)

    @property
    def state(self) -> np.ndarray:
        return np.concatenate([self.position, self.velocity])

    def place(self, state: np.ndarray) -> None:
        merged = np.where(np.isnan(state), self.state, state)
        self.position, self.velocity = np.split(merged, 2)

    def _step(self, drive: Drive, stuck: np.ndarray, h: float) -> None:
        q, v, inertia = self.position, self.velocity, self._inertia / h
        pull = drive.tau + drive.kp * (drive.q - q) + drive.kd * drive.dq
        softness = drive.kd + h * drive.kp
        after = (inertia * v + pull) / (inertia + softness + self._friction)
        wanted = pull - softness * after
        self._torque = np.clip(wanted, -self._most, self._most)
        limited = (inertia * v + self._torque) / (inertia + self._friction)
        after = np.where(stuck, 0.0, np.where(np.abs(wanted) > self._most, limited, after))
        moved = np.clip(q + h * after, self._low, self._high)
        self.velocity = np.where(moved == q + h * after, after, 0.0)
        self.position = moved


@dataclass(frozen=True)
class MotorsFactory:
    """Makes `Motors` with their joints at `start` (J,) [rad]."""

    description: RobotDescription
    start: tuple[float, ...]

    @property
    def size(self) -> int:
        return 2 * len(self.start)

    def make(self) -> Motors:
        return Motors(self.description, np.array(self.start))
