"""Table-top scenes: floor, light, camera, a square peg and a block with a square hole."""

from __future__ import annotations

import mujoco
import numpy as np

from sim.models.so101 import CONTACT_PART, CONTACT_TABLE, CONTACT_WORLD

_BOX = mujoco.mjtGeom.mjGEOM_BOX


def add_table(spec: mujoco.MjSpec) -> None:
    """A table top at z = 0, one light, a sky, and the camera 'front'."""
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.93, 0.95, 0.98],
        rgb2=[0.60, 0.68, 0.78],
        width=64,
        height=384,
    )
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0.1, 0.1, 0.1]
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    world = spec.worldbody
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0.6, 0.6, 0.05],
        rgba=[0.80, 0.77, 0.72, 1],
        contype=CONTACT_WORLD | CONTACT_TABLE,
        conaffinity=0,
        friction=[0.6, 0.005, 0.0001],
    )
    world.add_light(pos=[0.3, 0.3, 1.0], dir=[-0.2, -0.3, -1.0], diffuse=[0.55, 0.55, 0.55], castshadow=True)
    world.add_light(pos=[0.8, -0.5, 0.6], dir=[-0.7, 0.5, -0.5], diffuse=[0.35, 0.35, 0.35], castshadow=False)
    position = np.array([0.56, -0.30, 0.33])
    world.add_camera(name="front", pos=position, xyaxes=_look_at(position, np.array([0.09, 0.0, 0.12])), fovy=38)


def _look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """MuJoCo's `xyaxes` (6,) of an upright camera at `position` (3,) that looks at `target` (3,)."""
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    return np.concatenate([right, np.cross(back, right)])


def add_peg(spec: mujoco.MjSpec, name: str, half_width: float, half_height: float, mass: float) -> None:
    """A free square peg, its frame at its centre; half sizes [m], mass [kg]."""
    body = spec.worldbody.add_body(name=name, pos=[0.15, 0, half_height])
    body.add_freejoint(name=name)
    body.add_geom(
        name=name,
        type=_BOX,
        size=[half_width, half_width, half_height],
        mass=mass,
        rgba=[0.16, 0.42, 0.75, 1],
        contype=CONTACT_PART,
        conaffinity=CONTACT_WORLD,
        condim=3,
        friction=[0.5, 0.005, 0.0001],
    )


def add_block(spec: mujoco.MjSpec, name: str, half_hole: float, wall: float, height: float) -> None:
    """A block that does not move (a mocap body, posed per simulation) with a square hole down to the table [m].

    Its frame is at the middle of the hole, on the table.
    """
    body = spec.worldbody.add_body(name=name, mocap=True, pos=[0.15, 0.1, 0])
    offset, outer = half_hole + wall / 2, half_hole + wall
    walls = (
        (offset, 0, wall / 2, outer),
        (-offset, 0, wall / 2, outer),
        (0, offset, half_hole, wall / 2),
        (0, -offset, half_hole, wall / 2),
    )
    for x, y, half_x, half_y in walls:
        body.add_geom(
            type=_BOX,
            pos=[x, y, height / 2],
            size=[half_x, half_y, height / 2],
            rgba=[0.35, 0.62, 0.40, 1],
            contype=CONTACT_WORLD,
            conaffinity=0,
            condim=3,
            friction=[0.3, 0.005, 0.0001],
        )
