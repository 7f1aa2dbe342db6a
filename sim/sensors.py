"""Simulated sensors: the truth, made late and noisy by numbers that belong to the sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robo_rl import random
from robo_rl.kinematics import cross
from robo_rl.robot import Sensor, Stamp
from robo_rl.spec import Spec
from robo_rl.tracking import pose_feature
from robo_rl.types import Obs
from sim.poses import pose_source
from sim.world import World


@dataclass(frozen=True)
class TrackerNoise:
    """What a camera with fiducial markers does to a pose."""

    position: float = 0.001  # standard deviation an axis [m]
    rotation: float = 0.0087  # standard deviation an axis of the rotation vector [rad] (0.5 degrees)
    delay: int = 1  # [ticks]


FIDUCIAL = TrackerNoise()
EXACT = TrackerNoise(0.0, 0.0, 0)


class ObjectTracker(Sensor):
    """Poses of free, fixed (mocap) or sliding bodies in the robot's base frame, which is the world frame.

    One key `<prefix><body>_pose` a body: (N, 7) float32, x y z [m] and the unit quaternion w x y z with w >= 0. The
    noise is a function of the episode's seed and the tick of capture alone. A row that was just reset shows the first
    capture until a later one has had time to arrive.
    """

    def __init__(self, world: World, bodies: Sequence[str], noise: TrackerNoise = FIDUCIAL, prefix: str = "") -> None:
        self.world, self.noise = world, noise
        self._keys = tuple(f"{prefix}{body}_pose" for body in bodies)
        self.obs_spec = Spec(dict.fromkeys(self._keys, pose_feature()))
        self._sources = [pose_source(world, body) for body in bodies]
        self._history = np.zeros((noise.delay + 1, world.n, len(bodies), 7))
        self._captured = np.zeros((noise.delay + 1, world.n), np.int64)  # tick of each capture
        self._stream = random.stream("tracker")
        self._cursor = 0
        self.captured = self._history[0]  # (N, B, 7), the bodies as they were at the last `read`
        self._scale: np.ndarray | None = None  # (N, 1, 1), factor on the noise
        self._bias = np.zeros((world.n, 1, 3))  # [m]

    def vary(self, where: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> None:
        """Give the rows `where` (N,) bool another noise (K,), as a factor, and a lasting error (K, 3) [m]."""
        if self._scale is None:
            self._scale = np.ones((self.world.n, 1, 1))
        self._scale[where, 0, 0] = scale
        self._bias[where, 0] = bias

    def read(self) -> tuple[Obs, Stamp]:
        self._capture()
        oldest = (self._cursor + 1) % len(self._history)
        self._cursor = oldest
        pose, tick = self._history[oldest], self._captured[oldest]
        if self.noise.position or self.noise.rotation:
            pose = self._disturb(pose, tick)
        return _shown(self._keys, pose, tick * self.world.dt)

    def _capture(self) -> None:
        now = self.captured = self._history[self._cursor]
        for index, source in enumerate(self._sources):
            position, quaternion = source()
            now[:, index, :3] = position
            now[:, index, 3:] = quaternion
        self._captured[self._cursor] = self.world.tick
        fresh = self.world.fresh
        if fresh.any():
            self._history[:, fresh] = now[fresh]
            self._captured[:, fresh] = self.world.tick[fresh]

    def _disturb(self, pose: np.ndarray, tick: np.ndarray) -> np.ndarray:
        n, bodies, _ = pose.shape
        draw = random.normal(self.world.seed, tick, self._stream, bodies * 6).reshape(n, bodies, 6)
        noisy = np.empty_like(pose)
        if self._scale is not None:
            draw = draw * self._scale
            pose = pose + np.concatenate([self._bias, np.zeros((n, 1, 4))], axis=2)
        noisy[..., :3] = pose[..., :3] + self.noise.position * draw[..., :3]
        noisy[..., 3:] = _rotate(pose[..., 3:], self.noise.rotation * draw[..., 3:])
        return noisy


class TruePoses(Sensor):
    """A tracker's bodies as they are, without its noise and its delay. Has to be read after the tracker."""

    def __init__(self, tracker: ObjectTracker, prefix: str) -> None:
        self._tracker, self._keys = tracker, tuple(prefix + key for key in tracker.obs_spec)
        self.obs_spec = Spec(dict.fromkeys(self._keys, pose_feature()))

    def read(self) -> tuple[Obs, Stamp]:
        world = self._tracker.world
        return _shown(self._keys, self._tracker.captured, world.tick * world.dt)


def _shown(keys: Sequence[str], pose: np.ndarray, times: np.ndarray) -> tuple[Obs, Stamp]:
    """Poses (N, B, 7) captured at `times` (N,) [s], as observations of B keys, their quaternions with w >= 0."""
    pose = pose.astype(np.float32)
    negative = pose[..., 3] < 0
    if negative.any():
        pose[negative, 3:] *= -1
    obs = {key: np.ascontiguousarray(pose[:, index]) for index, key in enumerate(keys)}
    return obs, dict.fromkeys(obs, times)


def _rotate(q: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Quaternion (..., 4) turned by a small rotation vector (..., 3) [rad] in its own frame, normalised."""
    w, v = q[..., :1], q[..., 1:]
    half = 0.5 * vector
    out = np.empty_like(q)
    out[..., 0] = q[..., 0] - np.vecdot(v, half)
    out[..., 1:] = v + w * half + cross(v, half)
    out /= np.sqrt(np.maximum(np.vecdot(out, out), 1e-12))[..., None]  # a row that was never set up has no pose
    return out
