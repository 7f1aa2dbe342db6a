"""UR5e with a parallel gripper from primitives: looks and fingers; all else comes from `configs/description/ur5e.yaml`.

The gripper joint is the drive: a light body that turns, and moves both fingers along the flange's x axis by a gear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco

from robo_rl.robot import RobotDescription
from sim.models.arm import BOX, CAPSULE, CYLINDER, add_joints, add_link_contacts, add_look, add_pad

FINGER = 0.05  # mass [kg]
PAD_SIZE = (0.012, 0.004, 0.011)  # half sizes: along the finger, thickness, width [m]
GREY, BLUE, DARK = (0.78, 0.79, 0.80, 1.0), (0.35, 0.55, 0.72, 1.0), (0.15, 0.15, 0.16, 1.0)
LINKS = {  # spheres that keep the arm out of the table
    "elbow": ((0.0, 0.0, 0.0), 0.06),
    "wrist_1": ((0.0, 0.0, 0.06), 0.055),
    "wrist_2": ((0.0, 0.0, 0.05), 0.05),
    "wrist_3": ((0.0, 0.0, 0.12), 0.05),
}


def add_ur5e(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add the arm to `spec`'s world body at the description's place, with position servos."""
    bodies = add_joints(spec, description)
    _add_looks(bodies)
    for name, side in (("left", -1.0), ("right", 1.0)):
        _add_finger(spec, bodies["wrist_3"], description, name, side)
    add_link_contacts(bodies, LINKS)


def _add_finger(spec: mujoco.MjSpec, flange: Any, description: RobotDescription, name: str, side: float) -> None:
    """A finger that slides along the flange's x axis, `side` of its middle, geared to the drive."""
    drive, stroke = description.joints[-1], description.model["stroke"]
    name, (x, y, z) = f"{description.prefix}finger_{name}", description.tool_position
    body = flange.add_body(name=name, pos=[x, y, z])
    body.mass, body.explicitinertial, body.inertia = FINGER, True, [2e-5] * 3
    body.gravcomp = description.model["gravity_compensation"]
    slide = mujoco.mjtJoint.mjJNT_SLIDE
    body.add_joint(name=name, type=slide, axis=[side, 0, 0], limited=True, range=[0, stroke], damping=2.0)
    gear = [0.0, stroke / (drive.high - drive.low), 0.0, 0.0, 0.0]
    equality = spec.add_equality(
        name=name, type=mujoco.mjtEq.mjEQ_JOINT, name1=name, name2=description.prefix + drive.name, solref=[0.01, 1.0]
    )
    equality.data[:5] = gear
    add_look(body, BOX, DARK, pos=(side * 0.012, 0, -0.028), size=(0.007, 0.010, 0.040))
    add_pad(body, f"{name}_pad", (side * PAD_SIZE[1], 0.0, 0.0), (1, 0, 0, 0), (PAD_SIZE[1], PAD_SIZE[2], PAD_SIZE[0]))


def _add_looks(bodies: Mapping[str, Any]) -> None:
    def rod(name: str, start: tuple, end: tuple, radius: float, rgba: tuple = GREY, kind: Any = CAPSULE) -> None:
        add_look(bodies[name], kind, rgba, fromto=(*start, *end), size=(radius, 0, 0))

    rod("", (0, 0, 0), (0, 0, 0.09), 0.075, DARK, CYLINDER)
    rod("shoulder_pan", (0, 0, 0.10), (0, 0, 0.20), 0.06, BLUE, CYLINDER)
    rod("shoulder_lift", (0, 0, 0.0), (0, 0, 0.17), 0.058, BLUE)
    rod("shoulder_lift", (0, 0, 0.135), (-0.425, 0, 0.135), 0.052)
    rod("elbow", (0, 0, 0.0), (0, 0, 0.16), 0.050, BLUE)
    rod("elbow", (0, 0, 0.01), (-0.3922, 0, 0.01), 0.042)
    rod("wrist_1", (0, 0, 0.0), (0, 0, 0.15), 0.042, BLUE)
    rod("wrist_2", (0, 0, -0.02), (0, 0, 0.12), 0.042, BLUE)
    rod("wrist_3", (0, 0, 0.03), (0, 0, 0.0996), 0.040, GREY, CYLINDER)
    add_look(bodies["wrist_3"], BOX, DARK, pos=(0, 0, 0.145), size=(0.055, 0.032, 0.045))
