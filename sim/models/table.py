"""Table-top scenes: floor, light, camera, loose square parts, a block with a square hole, a cabinet with a drawer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from sim.models.arm import CONTACT_PART, CONTACT_TABLE, CONTACT_WORLD

BLUE = (0.16, 0.42, 0.75, 1.0)
RED = (0.80, 0.22, 0.20, 1.0)
GREEN = (0.35, 0.62, 0.40, 1.0)
WOOD = (0.70, 0.56, 0.40, 1.0)
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
    add_camera(spec, "front", (0.56, -0.30, 0.33), (0.09, 0.0, 0.12))


def add_camera(
    spec: mujoco.MjSpec,
    name: str,
    position: Sequence[float],
    target: Sequence[float],
    fovy: float = 38.0,
    parent: str = "world",
) -> None:
    """A camera at `position` that looks at `target` [m], upright, both in the frame of the body `parent`.

    `fovy` is its vertical field of view [degrees].
    """
    axes = _look_at(np.array(position), np.array(target))
    spec.body(parent).add_camera(name=name, pos=position, xyaxes=axes, fovy=fovy)


def _look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """MuJoCo's `xyaxes` (6,) of an upright camera at `position` (3,) that looks at `target` (3,)."""
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    return np.concatenate([right, np.cross(back, right)])


def add_part(
    spec: mujoco.MjSpec,
    name: str,
    half_width: float,
    half_height: float,
    mass: float,
    rgba: Sequence[float] = BLUE,
    carries: bool = False,
    half_length: float | None = None,
) -> None:
    """A free square part, its frame at its centre; half sizes [m], mass [kg]; `half_length` along x makes it a bar.

    Parts touch table, fixtures and pads, and one another where one of the two `carries` others.
    """
    body = spec.worldbody.add_body(name=name, pos=[0.15, 0, half_height])
    body.add_freejoint(name=name)
    body.add_geom(
        name=name,
        type=_BOX,
        size=[half_width if half_length is None else half_length, half_width, half_height],
        mass=mass,
        rgba=rgba,
        contype=CONTACT_PART | (CONTACT_WORLD if carries else 0),
        conaffinity=CONTACT_WORLD,
        condim=3,
        friction=[0.5, 0.005, 0.0001],
    )


def add_mark(spec: mujoco.MjSpec, name: str, radius: float, rgba: Sequence[float]) -> None:
    """A disc on the table that nothing touches (a mocap body, posed per simulation); radius [m]."""
    body = spec.worldbody.add_body(name=name, mocap=True, pos=[0.15, 0, 0])
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        pos=[0, 0, 0.0005],
        size=[radius, 0.0005, 0],
        rgba=rgba,
        contype=0,
        conaffinity=0,
    )


def add_wall(spec: mujoco.MjSpec, centre: tuple[float, float], size: tuple[float, float, float]) -> None:
    """An upright box that stands on the table for good; centre on the table and sides [m]."""
    half = [side / 2 for side in size]
    contact = {"contype": CONTACT_WORLD | CONTACT_TABLE, "conaffinity": 0, "condim": 3}
    spec.worldbody.add_geom(type=_BOX, pos=[*centre, half[2]], size=half, rgba=WOOD, **contact)


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
            rgba=GREEN,
            contype=CONTACT_WORLD,
            conaffinity=0,
            condim=3,
            friction=[0.3, 0.005, 0.0001],
        )


@dataclass(frozen=True)
class Cabinet:
    """Sizes of a cabinet with one drawer [m]. Its frame is below the closed drawer's knob, x away from the opener."""

    width: float = 0.080
    depth: float = 0.090
    height: float = 0.050
    standoff: float = 0.030  # knob's centre in front of the drawer
    knob: tuple[float, float, float] = (0.016, 0.020, 0.024)
    knob_height: float = 0.028  # of its centre above the table
    travel: float = 0.070
    mass: float = 0.060  # of the drawer [kg]
    friction: float = 0.5  # [N]
    damping: float = 5.0  # [N.s/m]


def add_cabinet(spec: mujoco.MjSpec, name: str, drawer: str, sizes: Cabinet) -> None:
    """A cabinet that does not move (a mocap body, posed per simulation) and its drawer on a slide joint.

    The drawer's frame is at its knob's centre; the pads touch the drawer, the cabinet does not.
    """
    c, wall, bottom = sizes, 0.004, 0.006
    body = spec.worldbody.add_body(name=name, mocap=True, pos=[0.2, 0, 0])
    middle, half = c.standoff + c.depth / 2, c.width / 2
    for pos, size in (
        ((middle, half - wall / 2, c.height / 2), (c.depth / 2, wall / 2, c.height / 2)),
        ((middle, wall / 2 - half, c.height / 2), (c.depth / 2, wall / 2, c.height / 2)),
        ((middle, 0, c.height - wall / 2), (c.depth / 2, half, wall / 2)),
        ((middle + c.depth / 2, 0, c.height / 2), (wall / 2, half, c.height / 2)),
    ):
        body.add_geom(type=_BOX, pos=pos, size=size, rgba=WOOD, contype=CONTACT_WORLD, conaffinity=0, condim=3)
    moving = body.add_body(name=drawer, pos=[0, 0, c.knob_height])
    moving.mass, moving.explicitinertial = c.mass, True
    moving.ipos, moving.inertia = [middle, 0, 0], [c.mass * 1e-3] * 3
    moving.add_joint(
        name=drawer,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[-1, 0, 0],
        limited=True,
        range=[0, c.travel],
        damping=c.damping,
        frictionloss=c.friction,
    )
    z, inner = c.height / 2 - c.knob_height, half - 2 * wall
    front = (c.height - 2 * wall - bottom) / 2
    for pos, size in (
        ((0, 0, 0), tuple(side / 2 for side in c.knob)),
        ((c.standoff / 2, 0, 0), (c.standoff / 2, 0.003, 0.003)),
        ((c.standoff + wall / 2, 0, z), (wall / 2, inner, front)),
        ((c.standoff + c.depth / 2, 0, z - front), (c.depth / 2 - wall, inner, wall / 2)),
    ):
        moving.add_geom(type=_BOX, pos=pos, size=size, rgba=BLUE, contype=CONTACT_PART, conaffinity=0, condim=3, mass=0)
