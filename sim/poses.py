"""Where bodies are: live poses of free, fixed and sliding bodies in every simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np

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
    body = world.model.body(name)
    if body.jntnum[0] == 1 and world.model.joint(int(body.jntadr[0])).type[0] == mujoco.mjtJoint.mjJNT_SLIDE:
        return Slider(world, name).pose
    view = pose_view(world, name)
    return lambda: view


@dataclass(frozen=True)
class Slider:
    """A body on a slide joint whose parent is a free or mocap body; both have the same orientation."""

    world: World
    name: str

    @property
    def travel(self) -> np.ndarray:
        """(N,) position of the joint [m], a live view."""
        joint = int(self.world.model.body(self.name).jntadr[0])
        return self.world.qpos[:, int(self.world.model.jnt_qposadr[joint])]

    def pose(self) -> Pose:
        """Parent's pose, moved by the joint."""
        model = self.world.model
        body = model.body(self.name)
        position, quaternion = pose_view(self.world, model.body(int(body.parentid[0])).name)
        offset = body.pos + self.travel[:, None] * model.jnt_axis[int(body.jntadr[0])]
        return position + turn(quaternion, offset), quaternion


def turn(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) turned by unit quaternions w x y z (N, 4): v + 2 w (u x v) + 2 u x (u x v)."""
    w, u = quaternion[:, :1], quaternion[:, 1:]
    cross = np.cross(u, vector)
    return vector + 2.0 * (w * cross + np.cross(u, cross))


def yaw_of(quaternion: np.ndarray) -> np.ndarray:
    """Turn about the vertical (N,) [rad] of unit quaternions w x y z (N, 4)."""
    w, x, y, z = quaternion.T
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
