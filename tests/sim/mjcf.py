"""MJCF files of robots, written from their descriptions with primitives and with other names, orders and units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from robo_rl.robot import Joint, RobotDescription

Change = Callable[[Joint], Joint]


def arm_file(
    description: RobotDescription,
    ending: str = "",
    change: Change = lambda joint: joint,
    actuated: Sequence[str] | None = None,
    extra: str = "",
    root: str = "",
    world: str = "",
) -> str:
    """An arm in degrees, with torque motors.

    Args:
        ending: of the joints' names in the file.
        change: what the file says of a joint in place of the description.
        actuated: names of the joints with a motor; default all.
        extra: more of the actuators' section.
        root: what the base holds beside the first joint.
        world: what the world holds beside the base.
    """
    joints = [change(joint) for joint in description.joints]
    inner = "".join(_link(joint, joints, description, ending) for joint in joints if not joint.parent)
    names = [joint.name for joint in joints] if actuated is None else actuated
    motors = "".join(f'<motor joint="{name}{ending}"/>' for name in names)
    rest = _row([0.0] * (len(joints) + 7 * ("freejoint" in root)))
    return f"""<mujoco model="other"><compiler angle="degree"/>
    <default><geom density="0" contype="1" conaffinity="1"/><joint armature="0.05" damping="0.6"/></default>
    <worldbody>{world}<body name="pedestal">{root}<geom size="0.03"/>{inner}</body></worldbody>
    <actuator>{motors}{extra}</actuator>
    <keyframe><key name="rest" qpos="{rest}"/></keyframe></mujoco>"""


def _link(joint: Joint, joints: Sequence[Joint], description: RobotDescription, ending: str) -> str:
    link = description.model["links"].get(joint.name) or description.model["links"][joint.name.partition("_")[2]]
    inner = "".join(_link(other, joints, description, ending) for other in joints if other.parent == joint.name)
    low, high = np.degrees([joint.low, joint.high])
    com, size = link["com"], link.get("size", [0.04, 0.04, 0.04])
    x, y, z = (side**2 * link["mass"] / 12 for side in size)
    shape = _shape(joint, description)
    return f"""<body name="part_{joint.name}" pos="{_row(joint.position)}" quat="{_row(joint.quaternion)}">
    <inertial pos="{_row(com)}" mass="{link["mass"]}" diaginertia="{_row((y + z, x + z, x + y))}"/>
    <joint name="{joint.name}{ending}" axis="{_row(joint.axis)}" range="{low} {high}"/>{shape}{inner}</body>"""


def _shape(joint: Joint, description: RobotDescription) -> str:
    """Fingers of an arm where its parts are gripped; the foot of a leg."""
    foot = description.model.get("foot")
    if foot is not None and joint.name.endswith("calf"):
        return f'<geom pos="{_row(foot["position"])}" size="{foot["radius"]}" friction="0.8"/>'
    grip = np.array(description.tool_position)
    if joint.name == description.tool_parent:
        return f'<geom type="box" pos="{_row(grip - (0, 0.014, 0))}" size="0.01 0.004 0.008" friction="1.2"/>'
    if joint.name == "gripper":
        turned = np.array([[np.cos(0.3), np.sin(0.3), 0], [-np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
        place = turned @ (grip + (0, 0.014, 0) - np.array(joint.position))
        pose = f'pos="{_row(place)}" euler="0 0 {np.degrees(-0.3)}"'
        return f'<geom type="box" {pose} size="0.01 0.004 0.008" friction="1.2"/>'
    return '<geom size="0.01" contype="0" conaffinity="0"/>'


def _row(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(str(float(value)) for value in values)


def moved(name: str, **fields: object) -> Change:
    """A change of one joint's fields."""
    return lambda joint: replace(joint, **fields) if joint.name == name else joint
