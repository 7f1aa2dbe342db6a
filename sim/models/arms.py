"""Arms by name: what a description's `model.body` chooses from."""

from __future__ import annotations

from collections.abc import Callable

import mujoco

from robo_rl.errors import UnknownName
from robo_rl.robot import RobotDescription
from sim.models.arm import CONTACT_PART, CONTACT_TABLE, CONTACT_WORLD, add_servo
from sim.models.koch import add_koch
from sim.models.replaced import KEY, attach
from sim.models.so101 import add_so101
from sim.models.ur5e import add_ur5e

ARMS: dict[str, Callable[[mujoco.MjSpec, RobotDescription], None]] = {
    "koch": add_koch,
    "so101": add_so101,
    "ur5e": add_ur5e,
}


def add_arm(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add the described arm, or the model that replaces it, to `spec`'s world body at the description's place, with
    position servos."""
    if KEY in description.model:
        attach(spec, description, CONTACT_WORLD | CONTACT_PART | CONTACT_TABLE, add_servo)
        return
    body = description.model.get("body", description.name)
    if body not in ARMS:
        raise UnknownName(f"robot description {description.name}: model.body", body, ARMS)
    ARMS[body](spec, description)
