"""Cameras: the one place that says what a picture looks like, on hardware and in simulation alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from robo_rl.errors import CorruptFile, UnknownName, UserError
from robo_rl.robot import RobotDescription
from robo_rl.spec import Feature, Spec

CAMERA = "camera/"  # observation keys of pictures begin so
FARTHEST = 65535  # [mm] of a depth picture; 0 is unknown


@dataclass(frozen=True)
class Camera:
    """One camera of a robot or its surroundings.

    Pictures are RGB, row 0 at the top. The device's whole view is resized to `width` x `height`, whatever its own
    proportions are, so that a simulated camera sees neither more nor less than the physical one.
    """

    name: str
    width: int = 84  # of the picture that a policy sees [px]
    height: int = 84  # [px]
    rate: float = 30.0  # [frames/s]
    capture: tuple[int, int] = (640, 480)  # width, height that the device delivers [px]
    depth: bool = False  # deliver distances, too
    mount: Mapping[str, Any] = field(default_factory=dict)  # where a simulation puts it; {}: the scene does

    @property
    def key(self) -> str:
        """Observation key of the picture."""
        return CAMERA + self.name

    @property
    def depth_key(self) -> str:
        """Observation key of the distances."""
        return f"depth/{self.name}"

    @property
    def spec(self) -> Spec:
        """Picture (H, W, 3) uint8, red green blue; distances along the optical axis (H, W) uint16 [mm]."""
        picture = Feature((self.height, self.width, 3), "uint8", 0, 255, names=("red", "green", "blue"))
        if not self.depth:
            return Spec({self.key: picture})
        distance = Feature((self.height, self.width), "uint16", 0, FARTHEST, "mm")
        return Spec({self.key: picture, self.depth_key: distance})

    def resize(self, picture: np.ndarray) -> np.ndarray:
        """A delivered picture (H', W', 3) at the size a policy sees, by area."""
        return self._resized(picture, cv2.INTER_AREA)

    def resize_depth(self, distance: np.ndarray) -> np.ndarray:
        """Delivered distances (H', W') at the size a policy sees; none is made up between two."""
        return self._resized(distance, cv2.INTER_NEAREST)

    def _resized(self, picture: np.ndarray, how: int) -> np.ndarray:
        if picture.shape[:2] == (self.height, self.width):
            return picture
        return cv2.resize(picture, (self.width, self.height), interpolation=how)


def cameras_of(
    robots: RobotDescription | Sequence[RobotDescription], names: Sequence[str], key: str
) -> tuple[Camera, ...]:
    """Cameras of a rig's robots by their names in `known_cameras`; `key` is the one that chose them.

    Raises:
        UserError: a name is not there; the message names the valid ones.
        CorruptFile: what a description says of a camera does not fit.
    """
    known = known_cameras((robots,) if isinstance(robots, RobotDescription) else robots)
    for name in names:
        if name not in known:
            raise UnknownName(key, name, known)
    return tuple(known[name] for name in dict.fromkeys(names))


def known_cameras(robots: Sequence[RobotDescription]) -> dict[str, Camera]:
    """All in `model["cameras"]` of the descriptions. A camera on a robot with a prefix has it, too (left/wrist); those
    that stand beside the robots are the same for all. Raises `CorruptFile` as `cameras_of` does."""
    found: dict[str, Camera] = {}
    for robot in robots:
        try:
            for name, data in robot.model.get("cameras", {}).items():
                camera = _camera(robot, name, data)
                found.setdefault(camera.name, camera)
        except TypeError as error:
            raise CorruptFile(f"robot description {robot.name}: model.cameras: {error}") from error
    return found


def camera_keys(spec: Spec, names: Sequence[str], key: str) -> tuple[str, ...]:
    """Observation keys of cameras by name; `key` is the one that chose them.

    Raises `UserError` where the observations lack one; the message names those that there are.
    """
    known = {found.removeprefix(CAMERA): found for found in spec if found.startswith(CAMERA)}
    for name in names:
        if name not in known:
            valid = ", ".join(known) or "none: see task.rig.cameras"
            raise UserError(f"{key}={name}: not in the observation; valid choices: {valid}")
    return tuple(known[name] for name in names)


def spec_of(cameras: Sequence[Camera]) -> Spec:
    """What several cameras deliver."""
    spec = Spec({})
    for camera in cameras:
        spec = spec | camera.spec
    return spec


def _camera(description: RobotDescription, name: str, data: Mapping[str, Any]) -> Camera:
    """A camera of a description; one that a robot's body carries has the robot's prefix, and so has that body."""
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    camera = Camera(name, **given)
    if "parent" not in camera.mount:
        return camera
    mount = {**camera.mount, "parent": description.prefix + camera.mount["parent"]}
    return replace(camera, name=description.prefix + name, mount=mount)
