"""What a simulated legged robot senses besides its joints, and what is true about its trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robo_rl import random
from robo_rl.legged import foot_force_spec, imu_spec, without_heading
from robo_rl.robot import Sensor, Stamp
from robo_rl.spec import Feature, Spec
from robo_rl.types import PRIVILEGED, Obs
from sim.models.go2 import ACCELEROMETER, TOUCH, TRUNK
from sim.poses import turn
from sim.world import World

VELOCITY = PRIVILEGED + "trunk_velocity"
_INVERSE = np.array([1.0, -1.0, -1.0, -1.0])  # of a unit quaternion


@dataclass(frozen=True)
class ImuNoise:
    """Standard deviations of white noise, an axis."""

    tilt: float = 0.005  # of roll and pitch [rad]
    gyroscope: float = 0.02  # [rad/s]
    accelerometer: float = 0.1  # [m/s2]


USUAL = ImuNoise()
QUIET = ImuNoise(0.0, 0.0, 0.0)


class BodySensors(Sensor):
    """IMU and foot force sensors. The noise is a function of the episode's seed and the tick alone.

    Forces and acceleration are those at the start of the tick's last physics step, as MuJoCo computes them.
    """

    def __init__(self, world: World, feet: Sequence[str], noise: ImuNoise = USUAL) -> None:
        self.world, self.noise = world, noise
        self.obs_spec = imu_spec() | foot_force_spec(feet)
        self._data = world.batch.bind("sensordata")
        self._feet = np.array([sensor_column(world, foot + TOUCH) for foot in feet])
        start = sensor_column(world, ACCELEROMETER)
        self._acceleration = slice(start, start + 3)
        self._scale = np.repeat([noise.tilt, noise.gyroscope, noise.accelerometer], [2, 3, 3])
        self._stream = random.stream("imu")

    def read(self) -> tuple[Obs, Stamp]:
        self.world.sense()
        qpos, qvel = self.world.qpos, self.world.qvel
        quaternion, gyroscope = without_heading(qpos[:, 3:7]), qvel[:, 3:6]
        acceleration = self._data[:, self._acceleration]
        if self._scale.any():
            draw = self._scale * random.normal(self.world.seed, self.world.tick, self._stream, 8)
            quaternion = _tilted(quaternion, draw[:, :2])
            gyroscope, acceleration = gyroscope + draw[:, 2:5], acceleration + draw[:, 5:]
        values = (quaternion, gyroscope, acceleration, self._data[:, self._feet])
        obs = {key: value.astype(np.float32) for key, value in zip(self.obs_spec, values, strict=True)}
        return obs, dict.fromkeys(obs, self.world.tick * self.world.dt)


class TrunkVelocity(Sensor):
    """The trunk's true velocity in its own frame, privileged: (N, 6) linear [m/s], then angular [rad/s]."""

    obs_spec = Spec({VELOCITY: Feature((6,), unit="m/s", names=("vx", "vy", "vz", "wx", "wy", "wz"))})

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self) -> tuple[Obs, Stamp]:
        linear = turn(self.world.qpos[:, 3:7] * _INVERSE, self.world.qvel[:, :3])
        value = np.concatenate([linear, self.world.qvel[:, 3:6]], axis=1).astype(np.float32)
        return {VELOCITY: value}, {VELOCITY: self.world.tick * self.world.dt}


class Trunk:
    """The trunk's true state in every row of a world in which it is the first free body."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._touch = world.batch.bind("sensordata")[:, sensor_column(world, TRUNK + TOUCH)]

    @property
    def height(self) -> np.ndarray:
        """(N,) of its origin above the floor [m]."""
        return self.world.qpos[:, 2]

    @property
    def upright(self) -> np.ndarray:
        """(N,) cosine of its tilt."""
        _, x, y, _ = self.world.qpos[:, 3:7].T
        return 1.0 - 2.0 * (x * x + y * y)

    @property
    def touches(self) -> np.ndarray:
        """(N,) bool: it lies on the floor."""
        return self._touch > 0.0

    def planar(self, upright: np.ndarray) -> np.ndarray:
        """(N, 3) velocity in the plane, seen from its heading: forward, left [m/s], turn about the vertical [rad/s];
        `upright` (N,) as above."""
        world = self.world
        w, x, y, z = world.qpos[:, 3:7].T
        cos, sin = 1.0 - 2.0 * (y * y + z * z), 2.0 * (w * z + x * y)  # of the heading, times the same length
        length, (vx, vy) = np.maximum(np.hypot(cos, sin), 1e-12), world.qvel[:, :2].T
        velocity = np.empty((world.n, 3))
        velocity[:, 0], velocity[:, 1] = (cos * vx + sin * vy) / length, (cos * vy - sin * vx) / length
        velocity[:, 2] = world.qvel[:, 5] * upright
        return velocity

    def place(self, where: np.ndarray, height: float, yaw: np.ndarray) -> None:
        """Put the rows `where` (N,) bool above the origin, upright at the headings `yaw` (K,) [rad]."""
        pose = np.zeros((len(yaw), 7))
        pose[:, 2], pose[:, 3], pose[:, 6] = height, np.cos(yaw / 2), np.sin(yaw / 2)
        self.world.qpos[where, :7] = pose


def sensor_column(world: World, name: str) -> int:
    """First column of a sensor in MuJoCo's `sensordata`."""
    return int(world.model.sensor(name).adr[0])


def _tilted(quaternion: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Orientations (N, 4) without heading, turned a little about x and y (N, 2) [rad]; still without heading."""
    out = quaternion.copy()
    out[:, 1:3] += 0.5 * tilt
    out /= np.sqrt((out * out).sum(axis=1, keepdims=True))
    return out
