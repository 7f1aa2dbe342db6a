"""SO-101 arm from primitives, generated from the robot description so that the two cannot disagree.

Link lengths, masses, limits and servo constants come from `configs/description/so101.yaml`; only the looks and the
collision shapes are written here. Jaws: one fixed, one moving about the gripper joint; their flat pads are parallel
and `2 * PAD_GAP` apart when the gripper joint is at `GRIP_PARALLEL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from robo_rl.robot import Joint, RobotDescription

GRIP_PARALLEL = 0.30  # gripper angle at which the pads are parallel, 20 mm apart [rad]
PAD_GAP = 0.010  # distance from the roll axis to each pad's face [m]
PAD_SIZE = (0.010, 0.004, 0.008)  # pad half sizes: along the jaw, thickness, width [m]

CONTACT_WORLD, CONTACT_PART, CONTACT_TABLE = 1, 2, 4  # contype bits: table and fixtures, loose parts, table alone
BODY = (0.95, 0.62, 0.12, 1.0)
SERVO = (0.12, 0.12, 0.13, 1.0)
PAD = (0.25, 0.27, 0.30, 1.0)
_BOX, _CAPSULE, _CYLINDER, _SPHERE = (
    mujoco.mjtGeom.mjGEOM_BOX,
    mujoco.mjtGeom.mjGEOM_CAPSULE,
    mujoco.mjtGeom.mjGEOM_CYLINDER,
    mujoco.mjtGeom.mjGEOM_SPHERE,
)


def add_arm(spec: mujoco.MjSpec, description: RobotDescription, prefix: str = "") -> None:
    """Add the arm to `spec`'s world body, its base frame at the world's origin, with position servos.

    Bodies, joints and actuators are named after the description's joints, with `prefix`.
    """
    base = spec.worldbody.add_body(name=prefix + "base")
    bodies = {"": base}
    for joint in description.joints:
        bodies[joint.name] = _add_link(bodies[joint.parent], joint, description, prefix)
        _add_servo(spec, joint, description.model["servo"]["kp"], prefix)
    bodies[description.tool_parent].add_site(
        name=prefix + "tool", pos=description.tool_position, size=[0.002] * 3, group=4
    )
    _add_looks(bodies)
    _add_jaws(bodies, prefix)
    _add_link_contacts(bodies)


def _add_link(parent: Any, joint: Joint, description: RobotDescription, prefix: str) -> Any:
    servo, link = description.model["servo"], description.model["links"][joint.name]
    body = parent.add_body(name=prefix + joint.name, pos=joint.position, quat=joint.quaternion)
    x, y, z = (size**2 for size in link["size"])
    body.mass, body.ipos, body.explicitinertial = link["mass"], link["com"], True
    body.inertia = [link["mass"] / 12 * s for s in (y + z, x + z, x + y)]
    body.add_joint(
        name=prefix + joint.name,
        axis=joint.axis,
        limited=True,
        range=[joint.low, joint.high],
        damping=servo["damping"],
        armature=servo["armature"],
        frictionloss=servo["frictionloss"],
    )
    return body


def _add_servo(spec: mujoco.MjSpec, joint: Joint, kp: float, prefix: str) -> None:
    """Position servo: torque = clip(kp * (ctrl - q), +-max_torque)."""
    actuator = spec.add_actuator(
        name=prefix + joint.name,
        target=prefix + joint.name,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        ctrllimited=True,
        ctrlrange=[joint.low, joint.high],
        forcelimited=True,
        forcerange=[-joint.max_torque, joint.max_torque],
    )
    actuator.set_to_position(kp=kp)


def _look(body: Any, kind: Any, rgba: tuple, **shape: Any) -> None:
    body.add_geom(type=kind, rgba=rgba, contype=0, conaffinity=0, mass=0, group=1, **shape)


def _servo_look(body: Any, pos: tuple, size: tuple = (0.0226, 0.0124, 0.0175)) -> None:
    _look(body, _BOX, SERVO, pos=pos, size=size)


def _add_looks(bodies: Mapping[str, Any]) -> None:
    base, pan, lift = bodies[""], bodies["shoulder_pan"], bodies["shoulder_lift"]
    elbow, wrist, roll = bodies["elbow_flex"], bodies["wrist_flex"], bodies["wrist_roll"]
    _look(base, _BOX, BODY, pos=(-0.015, 0, 0.006), size=(0.055, 0.045, 0.006))
    _look(base, _BOX, BODY, pos=(-0.010, 0, 0.032), size=(0.032, 0.026, 0.024))
    _servo_look(base, (-0.004, 0, 0.040), (0.0250, 0.028, 0.016))
    _look(pan, _CYLINDER, BODY, pos=(0, 0, 0.004), size=(0.026, 0.006, 0))
    _look(pan, _BOX, BODY, pos=(0.014, 0, 0.032), size=(0.024, 0.021, 0.022))
    _servo_look(pan, (0.0304, 0, 0.046), (0.0150, 0.0245, 0.0226))
    for side in (-1, 1):
        _look(lift, _CAPSULE, BODY, fromto=(0, 0.026 * side, 0, 0.028, 0.026 * side, 0.1126), size=(0.008, 0, 0))
        _look(elbow, _CAPSULE, BODY, fromto=(0, 0.019 * side, 0, 0.1349, 0.019 * side, 0.0052), size=(0.007, 0, 0))
    _look(lift, _BOX, BODY, pos=(0.014, 0, 0.050), size=(0.009, 0.024, 0.020))
    _servo_look(lift, (0.026, 0, 0.100), (0.0130, 0.018, 0.0226))
    _look(elbow, _BOX, BODY, pos=(0.060, 0, 0.002), size=(0.030, 0.018, 0.008))
    _servo_look(elbow, (0.122, 0, 0.005), (0.0226, 0.0150, 0.0125))
    _look(wrist, _BOX, BODY, pos=(0.022, 0, 0), size=(0.020, 0.020, 0.013))
    _servo_look(wrist, (0.046, 0, 0), (0.0150, 0.0226, 0.0175))
    _look(roll, _CYLINDER, BODY, fromto=(0, 0, 0, 0.008, 0, 0), size=(0.022, 0, 0))
    _look(roll, _BOX, BODY, pos=(0.020, -0.004, 0), size=(0.014, 0.022, 0.016))
    _servo_look(roll, (0.024, 0.018, 0), (0.0150, 0.0124, 0.0200))


def _add_jaws(bodies: Mapping[str, Any], prefix: str) -> None:
    fixed, moving = bodies["wrist_roll"], bodies["gripper"]
    _look(fixed, _BOX, BODY, pos=(0.050, -0.019, 0), size=(0.034, 0.005, 0.011))
    _look(fixed, _BOX, BODY, pos=(0.090, -0.016, 0), size=(0.008, 0.002, 0.008))
    turn = np.array([np.cos(GRIP_PARALLEL / 2), 0, 0, -np.sin(GRIP_PARALLEL / 2)])
    c, s = np.cos(GRIP_PARALLEL), np.sin(GRIP_PARALLEL)

    def at(x: float, y: float) -> tuple[float, float, float]:
        """Point of the gripper's frame at GRIP_PARALLEL, in the moving jaw's frame."""
        x, y = x - 0.025, y - 0.022
        return c * x + s * y, -s * x + c * y, 0.0

    _look(moving, _CYLINDER, BODY, fromto=(0, 0, -0.014, 0, 0, 0.014), size=(0.010, 0, 0))
    _look(moving, _BOX, BODY, pos=at(0.052, 0.0195), quat=turn, size=(0.032, 0.0045, 0.011))
    _look(moving, _BOX, BODY, pos=at(0.090, 0.016), quat=turn, size=(0.008, 0.002, 0.008))
    y = PAD_GAP + PAD_SIZE[1]
    _pad(fixed, prefix + "pad_fixed", (0.088, -y, 0.0), (1, 0, 0, 0))
    _pad(moving, prefix + "pad_moving", at(0.088, y), turn)


def _pad(body: Any, name: str, pos: tuple, quat: Any) -> None:
    body.add_geom(
        name=name,
        type=_BOX,
        pos=pos,
        quat=quat,
        size=PAD_SIZE,
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


def _add_link_contacts(bodies: Mapping[str, Any]) -> None:
    """Spheres that keep the arm out of the table, and out of nothing else."""
    for name, pos, radius in (
        ("elbow_flex", (0.0, 0.0, 0.0), 0.025),
        ("wrist_flex", (0.0, 0.0, 0.0), 0.022),
        ("wrist_roll", (0.01, 0.0, 0.0), 0.026),
    ):
        bodies[name].add_geom(
            type=_SPHERE, pos=pos, size=[radius, 0, 0], mass=0, group=4, contype=0, conaffinity=CONTACT_TABLE, condim=1
        )
