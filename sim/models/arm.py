"""What the models of arms share: links, servos and the tool frame from the robot description, flat pads, contact bits.

An arm is generated from its description so that the two cannot disagree: link lengths, masses, limits and servo
constants come from the YAML file; an arm's own module writes its looks and its collision shapes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import numpy as np

from robo_rl.robot import Joint, RobotDescription

CONTACT_WORLD, CONTACT_PART, CONTACT_TABLE = 1, 2, 4  # contype bits: table and fixtures, loose parts, table alone
PAD = (0.25, 0.27, 0.30, 1.0)
BOX, CAPSULE, CYLINDER, SPHERE = (
    mujoco.mjtGeom.mjGEOM_BOX,
    mujoco.mjtGeom.mjGEOM_CAPSULE,
    mujoco.mjtGeom.mjGEOM_CYLINDER,
    mujoco.mjtGeom.mjGEOM_SPHERE,
)


def add_joints(spec: mujoco.MjSpec, description: RobotDescription) -> dict[str, Any]:
    """Add base, links, position servos and the tool's site; bodies by the name of their joint, "" is the base.

    In the model, joints, actuators and links have the description's names with its prefix.
    """
    base = spec.worldbody.add_body(
        name=description.prefix + "base", pos=description.base_position, quat=description.base_quaternion
    )
    bodies = {"": base}
    for index, joint in enumerate(description.joints):
        bodies[joint.name] = _add_link(bodies[joint.parent], joint, index, description)
        add_servo(spec, description, index)
    bodies[description.tool_parent].add_site(
        name=description.prefix + "tool", pos=description.tool_position, size=[0.002] * 3, group=4
    )
    return bodies


def _add_link(parent: Any, joint: Joint, index: int, description: RobotDescription) -> Any:
    link, name = description.model["links"][joint.name], description.prefix + joint.name
    body = parent.add_body(name=name, pos=joint.position, quat=joint.quaternion)
    x, y, z = (size**2 for size in link["size"])
    body.mass, body.ipos, body.explicitinertial = link["mass"], link["com"], True
    body.inertia = [link["mass"] / 12 * s for s in (y + z, x + z, x + y)]
    body.gravcomp = description.model.get("gravity_compensation", 0.0)
    passive = {key: description.servo(key)[index] for key in ("damping", "armature", "frictionloss")}
    body.add_joint(name=name, axis=joint.axis, limited=True, range=[joint.low, joint.high], **passive)
    return body


def add_servo(spec: mujoco.MjSpec, description: RobotDescription, index: int) -> None:
    """Position servo of the joint `index`: torque = clip(kp * (ctrl - q) - kv * q', +-max_torque)."""
    joint, prefix = description.joints[index], description.prefix
    kv = description.servo("kv")[index] if "kv" in description.model["servo"] else 0.0
    actuator = spec.add_actuator(
        name=prefix + joint.name,
        target=prefix + joint.name,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        ctrllimited=True,
        ctrlrange=[joint.low, joint.high],
        forcelimited=True,
        forcerange=[-joint.max_torque, joint.max_torque],
    )
    actuator.set_to_position(kp=description.servo("kp")[index], kv=kv)


def add_look(body: Any, kind: Any, rgba: tuple, **shape: Any) -> None:
    """A shape that is seen and touches nothing."""
    body.add_geom(type=kind, rgba=rgba, contype=0, conaffinity=0, mass=0, group=1, **shape)


def add_pad(body: Any, name: str, pos: tuple, quat: Any, size: tuple[float, float, float]) -> None:
    """The face of a finger: it grips parts and stands on the table. Half sizes [m] along the body's axes."""
    body.add_geom(
        name=name,
        type=BOX,
        pos=pos,
        quat=quat,
        size=size,
        rgba=PAD,
        mass=0,
        group=2,
        contype=0,
        conaffinity=CONTACT_WORLD | CONTACT_PART,
        condim=4,
        friction=[1.2, 0.02, 0.0001],
        priority=1,
        solref=[0.0085, 1.0],
        solimp=[0.95, 0.99, 0.0005, 0.5, 2],
    )


def turned_jaw(hinge: tuple[float, float], angle: float) -> tuple[Callable[[float, float], tuple], np.ndarray]:
    """For a jaw that turns about z at `hinge` (x, y) [m]: what brings points of the gripper's frame, and directions (a
    quaternion), into the jaw's frame when its joint is at `angle` [rad]."""
    turn = np.array([np.cos(angle / 2), 0, 0, -np.sin(angle / 2)])
    c, s = np.cos(angle), np.sin(angle)

    def at(x: float, y: float) -> tuple[float, float, float]:
        x, y = x - hinge[0], y - hinge[1]
        return c * x + s * y, -s * x + c * y, 0.0

    return at, turn


def add_link_contacts(bodies: Mapping[str, Any], spheres: Mapping[str, tuple[tuple, float]]) -> None:
    """Spheres (centre in the link's frame, radius [m]) that keep the arm out of the table, and out of nothing else."""
    for name, (pos, radius) in spheres.items():
        bodies[name].add_geom(
            type=SPHERE, pos=pos, size=[radius, 0, 0], mass=0, group=4, contype=0, conaffinity=CONTACT_TABLE, condim=1
        )
