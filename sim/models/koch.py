"""Koch v1.1 arm from primitives: its looks and its jaws; all else comes from `configs/description/koch.yaml`.

Jaws: one fixed, one moving about the gripper joint; their flat pads are parallel and `2 * PAD_GAP` apart when the
gripper joint is at `GRIP_PARALLEL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco

from robo_rl.robot import RobotDescription
from sim.models.arm import BOX, CAPSULE, CYLINDER, add_joints, add_link_contacts, add_look, add_pad, turned_jaw

GRIP_PARALLEL = 0.34  # gripper angle at which the pads are parallel, 17 mm apart [rad]
PAD_GAP = 0.0085  # distance from the roll axis to each pad's face [m]
PAD_SIZE = (0.009, 0.003, 0.006)  # pad half sizes: along the jaw, thickness, width [m]
BODY = (0.90, 0.90, 0.88, 1.0)
SERVO = (0.13, 0.13, 0.14, 1.0)
XL430 = (0.0170, 0.0143, 0.0233)  # half sizes [m]
XL330 = (0.0100, 0.0130, 0.0170)
LINKS = {  # spheres that keep the arm out of the table
    "elbow_flex": ((0.0, 0.0, 0.0), 0.020),
    "wrist_flex": ((0.0, 0.0, 0.0), 0.018),
    "wrist_roll": ((0.005, 0.0, 0.0), 0.020),
}


def add_koch(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add the arm to `spec`'s world body at the description's place, with position servos."""
    bodies = add_joints(spec, description)
    _add_looks(bodies)
    _add_jaws(bodies, description)
    add_link_contacts(bodies, LINKS)


def _add_looks(bodies: Mapping[str, Any]) -> None:
    base, pan, lift = bodies[""], bodies["shoulder_pan"], bodies["shoulder_lift"]
    elbow, wrist, roll = bodies["elbow_flex"], bodies["wrist_flex"], bodies["wrist_roll"]
    add_look(base, BOX, BODY, pos=(-0.010, 0, 0.004), size=(0.045, 0.035, 0.004))
    add_look(base, BOX, SERVO, pos=(-0.012, 0, 0.024), size=(XL430[2], XL430[1], XL430[0]))
    add_look(pan, CYLINDER, BODY, pos=(0, 0, 0.002), size=(0.020, 0.004, 0))
    add_look(pan, BOX, SERVO, pos=(0, 0, 0.015), size=(XL430[0], XL430[2], XL430[1]))
    for side in (-1, 1):
        add_look(lift, CAPSULE, BODY, fromto=(0, 0.021 * side, 0, 0.0148, 0.021 * side, 0.1083), size=(0.006, 0, 0))
        add_look(elbow, CAPSULE, BODY, fromto=(0, 0.014 * side, 0, 0.1005, 0.014 * side, 0.0027), size=(0.005, 0, 0))
    add_look(lift, BOX, SERVO, pos=(0.014, 0, 0.098), size=XL330)
    add_look(elbow, BOX, SERVO, pos=(0.090, 0, 0.003), size=XL330)
    add_look(wrist, BOX, BODY, pos=(0.018, 0, 0), size=(0.016, 0.013, 0.010))
    add_look(wrist, BOX, SERVO, pos=(0.034, 0, 0), size=(XL330[0], XL330[2], XL330[1]))
    add_look(roll, CYLINDER, BODY, fromto=(0, 0, 0, 0.006, 0, 0), size=(0.014, 0, 0))
    add_look(roll, BOX, SERVO, pos=(0.016, 0.010, 0), size=(XL330[1], XL330[0], XL330[2]))


def _add_jaws(bodies: Mapping[str, Any], description: RobotDescription) -> None:
    fixed, moving, prefix = bodies["wrist_roll"], bodies["gripper"], description.prefix
    at, turn = turned_jaw(description.joints[-1].position[:2], GRIP_PARALLEL)
    add_look(fixed, BOX, BODY, pos=(0.040, -0.0150, 0), size=(0.034, 0.0035, 0.009))
    add_look(moving, CYLINDER, BODY, fromto=(0, 0, -0.010, 0, 0, 0.010), size=(0.007, 0, 0))
    add_look(moving, BOX, BODY, pos=at(0.043, 0.0150), quat=turn, size=(0.031, 0.0035, 0.009))
    y = PAD_GAP + PAD_SIZE[1]
    add_pad(fixed, prefix + "pad_fixed", (0.065, -y, 0.0), (1, 0, 0, 0), PAD_SIZE)
    add_pad(moving, prefix + "pad_moving", at(0.065, y), turn, PAD_SIZE)
