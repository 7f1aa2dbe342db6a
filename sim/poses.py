"""Where bodies are: live poses of free, fixed and sliding bodies in every simulation."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from robo_rl.kinematics import cross
from sim.world import World

Pose = tuple[np.ndarray, np.ndarray]
"""Position (N, 3) [m] and unit quaternion w x y z (N, 4) in the world frame."""


def pose_view(world: World, name: str) -> Pose:
    """Live views of a free or mocap body's pose: writing to them moves the body.

    Raises `ValueError` for a body that is neither.
    """
    body = world.model.body(name)
    mocap = int(body.mocapid[0])
    if mocap >= 0:
        return world.mocap_pos[:, mocap], world.mocap_quat[:, mocap]
    joint = world.model.joint(int(body.jntadr[0])) if body.jntnum[0] else None
    if joint is None or len(joint.qpos0) != 7:
        raise ValueError(f"body {name!r} is neither free nor a mocap body")
    start = int(joint.qposadr[0])
    return world.qpos[:, start : start + 3], world.qpos[:, start + 3 : start + 7]


def pose_source(world: World, name: str) -> Callable[[], Pose]:
    """What returns the present pose of a free, mocap, or sliding body."""
    if _slides(world, name):
        return Slider(world, name).pose
    view = pose_view(world, name)
    return lambda: view


def pose_sink(world: World, name: str) -> Callable[[np.ndarray, np.ndarray], None]:
    """What moves a free, mocap or sliding body of every row to a position (N, 3) [m] and a quaternion (N, 4).

    A sliding body goes to the nearest place that its joint lets it take; move its parent first. Raises `ValueError`
    for any other body, `KeyError` where there is none of that name.
    """
    if _slides(world, name):
        slider = Slider(world, name)
        return lambda position, quaternion: slider.follow(position)
    place, turned = pose_view(world, name)

    def move(position: np.ndarray, quaternion: np.ndarray) -> None:
        place[:], turned[:] = position, quaternion

    return move


class BodyPoses:
    """Poses of all bodies in states that `World.save_state` returned."""

    def __init__(self, world: World) -> None:
        self._model, self._size = world.model, world.batch.nstate
        self._data = mujoco.MjData(world.model)

    def __call__(self, state: np.ndarray) -> np.ndarray:
        """State (S,) -> positions [m] and quaternions w x y z in the world frame, (B, 7) float32."""
        mujoco.mj_setState(self._model, self._data, state[: self._size], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_kinematics(self._model, self._data)
        return np.concatenate([self._data.xpos, self._data.xquat], axis=1).astype(np.float32)


class Slider:
    """A body on a slide joint whose parent is a free or mocap body; both have the same orientation.

    Attributes:
        travel: (N,) position of the joint [m], a live view.
    """

    def __init__(self, world: World, name: str) -> None:
        model = world.model
        body = model.body(name)
        joint = model.joint(int(body.jntadr[0]))
        self.travel: np.ndarray = world.qpos[:, int(joint.qposadr[0])]
        self._parent = pose_view(world, model.body(int(body.parentid[0])).name)
        self._closed, self._axis = body.pos.copy(), joint.axis.copy()  # in the parent's frame, closed at position 0
        self._low, self._high = joint.range
        self._turned = np.zeros((world.n, 4)), np.zeros((world.n, 3)), np.zeros((world.n, 3))

    def pose(self) -> Pose:
        """Parent's pose, moved by the joint."""
        position, quaternion = self._parent
        known, closed, axis = self._turned
        if (rows := np.flatnonzero((known != quaternion).any(1))).size:  # a mocap body stays as it is for an episode
            known[rows] = now = quaternion[rows]
            closed[rows], axis[rows] = turn(now, self._closed[None]), turn(now, self._axis[None])
        return position + closed + self.travel[:, None] * axis, quaternion

    def follow(self, position: np.ndarray) -> None:
        """Set the joint to where the body is nearest to a position (N, 3) [m], within the joint's range."""
        parent, quaternion = self._parent
        local = turn(quaternion * np.array([1.0, -1.0, -1.0, -1.0]), position - parent)
        self.travel[:] = np.clip((local - self._closed) @ self._axis, self._low, self._high)


def _slides(world: World, name: str) -> bool:
    body = world.model.body(name)
    one = body.jntnum[0] == 1
    return bool(one and world.model.joint(int(body.jntadr[0])).type[0] == mujoco.mjtJoint.mjJNT_SLIDE)


def turn(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors (N or 1, 3) turned by unit quaternions w x y z (N, 4): v + 2 w (u x v) + 2 u x (u x v)."""
    w, u = quaternion[:, :1], quaternion[:, 1:]
    moved = cross(u, vector)
    return vector + 2.0 * (w * moved + cross(u, moved))


def yaw_of(quaternion: np.ndarray) -> np.ndarray:
    """Turn about the vertical (N,) [rad] of unit quaternions w x y z (N, 4)."""
    w, x, y, z = quaternion.T
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
