"""SO-101 arm from primitives: its looks and its jaws; all else comes from `configs/description/so101.yaml`.

Jaws: one fixed, one moving about the gripper joint; their flat pads are parallel and `2 * PAD_GAP` apart when the
gripper joint is at `GRIP_PARALLEL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco

from robo_rl.robot import RobotDescription
from sim.models.arm import BOX, CAPSULE, CYLINDER, add_joints, add_link_contacts, add_look, add_pad, turned_jaw

GRIP_PARALLEL = 0.30  # gripper angle at which the pads are parallel, 20 mm apart [rad]
PAD_GAP = 0.010  # distance from the roll axis to each pad's face [m]
PAD_SIZE = (0.010, 0.004, 0.008)  # pad half sizes: along the jaw, thickness, width [m]
BODY = (0.95, 0.62, 0.12, 1.0)
SERVO = (0.12, 0.12, 0.13, 1.0)
LINKS = {  # spheres that keep the arm out of the table
    "elbow_flex": ((0.0, 0.0, 0.0), 0.025),
    "wrist_flex": ((0.0, 0.0, 0.0), 0.022),
    "wrist_roll": ((0.01, 0.0, 0.0), 0.026),
}


def add_so101(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add the arm to `spec`'s world body at the description's place, with position servos."""
    bodies = add_joints(spec, description)
    _add_looks(bodies)
    _add_jaws(bodies, description)
    add_link_contacts(bodies, LINKS)


def _servo_look(body: Any, pos: tuple, size: tuple = (0.0226, 0.0124, 0.0175)) -> None:
    add_look(body, BOX, SERVO, pos=pos, size=size)


def _add_looks(bodies: Mapping[str, Any]) -> None:
    base, pan, lift = bodies[""], bodies["shoulder_pan"], bodies["shoulder_lift"]
    elbow, wrist, roll = bodies["elbow_flex"], bodies["wrist_flex"], bodies["wrist_roll"]
    add_look(base, BOX, BODY, pos=(-0.015, 0, 0.006), size=(0.055, 0.045, 0.006))
    add_look(base, BOX, BODY, pos=(-0.010, 0, 0.032), size=(0.032, 0.026, 0.024))
    _servo_look(base, (-0.004, 0, 0.040), (0.0250, 0.028, 0.016))
    add_look(pan, CYLINDER, BODY, pos=(0, 0, 0.004), size=(0.026, 0.006, 0))
    add_look(pan, BOX, BODY, pos=(0.014, 0, 0.032), size=(0.024, 0.021, 0.022))
    _servo_look(pan, (0.0304, 0, 0.046), (0.0150, 0.0245, 0.0226))
    for side in (-1, 1):
        add_look(lift, CAPSULE, BODY, fromto=(0, 0.026 * side, 0, 0.028, 0.026 * side, 0.1126), size=(0.008, 0, 0))
        add_look(elbow, CAPSULE, BODY, fromto=(0, 0.019 * side, 0, 0.1349, 0.019 * side, 0.0052), size=(0.007, 0, 0))
    add_look(lift, BOX, BODY, pos=(0.014, 0, 0.050), size=(0.009, 0.024, 0.020))
    _servo_look(lift, (0.026, 0, 0.100), (0.0130, 0.018, 0.0226))
    add_look(elbow, BOX, BODY, pos=(0.060, 0, 0.002), size=(0.030, 0.018, 0.008))
    _servo_look(elbow, (0.122, 0, 0.005), (0.0226, 0.0150, 0.0125))
    add_look(wrist, BOX, BODY, pos=(0.022, 0, 0), size=(0.020, 0.020, 0.013))
    _servo_look(wrist, (0.046, 0, 0), (0.0150, 0.0226, 0.0175))
    add_look(roll, CYLINDER, BODY, fromto=(0, 0, 0, 0.008, 0, 0), size=(0.022, 0, 0))
    add_look(roll, BOX, BODY, pos=(0.020, -0.004, 0), size=(0.014, 0.022, 0.016))
    _servo_look(roll, (0.024, 0.018, 0), (0.0150, 0.0124, 0.0200))


def _add_jaws(bodies: Mapping[str, Any], description: RobotDescription) -> None:
    fixed, moving, prefix = bodies["wrist_roll"], bodies["gripper"], description.prefix
    at, turn = turned_jaw(description.joints[-1].position[:2], GRIP_PARALLEL)
    add_look(fixed, BOX, BODY, pos=(0.050, -0.019, 0), size=(0.034, 0.005, 0.011))
    add_look(fixed, BOX, BODY, pos=(0.090, -0.016, 0), size=(0.008, 0.002, 0.008))
    add_look(moving, CYLINDER, BODY, fromto=(0, 0, -0.014, 0, 0, 0.014), size=(0.010, 0, 0))
    add_look(moving, BOX, BODY, pos=at(0.052, 0.0195), quat=turn, size=(0.032, 0.0045, 0.011))
    add_look(moving, BOX, BODY, pos=at(0.090, 0.016), quat=turn, size=(0.008, 0.002, 0.008))
    y = PAD_GAP + PAD_SIZE[1]
    add_pad(fixed, prefix + "pad_fixed", (0.088, -y, 0.0), (1, 0, 0, 0), PAD_SIZE)
    add_pad(moving, prefix + "pad_moving", at(0.088, y), turn, PAD_SIZE)
