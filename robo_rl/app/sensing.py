"""Cameras and trackers of a physical robot, from what a config says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hardware.aruco import Marker, MarkerTracker
from hardware.calibration import default_path
from hardware.camera_process import CameraJob
from hardware.camera_sources import source_of
from hardware.cameras import CameraSensor
from hardware.keys import Keys
from hardware.lens import DICTIONARY, Lens, Stand
from hardware.operator import OperatorTask
from robo_rl.cameras import Camera, cameras_of
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription, Sensor
from robo_rl.task import Task

STANDARD_INPUT = 0  # file descriptor
MARKER_KEYS = tuple(Marker.__dataclass_fields__)


def make_sensors(
    robot: RobotDescription,
    id: str = "arm",
    pictures: Sequence[str] = (),
    cameras: Mapping[str, str] | None = None,
    tracker: Mapping[str, Any] | None = None,
) -> list[Sensor]:
    """One process a camera: it delivers pictures, or tracks objects, or both.

    Args:
        robot: its description knows the cameras.
        id: name of this robot, from which the file follows that says where its camera stands.
        pictures: names of the cameras that a policy sees.
        cameras: name -> device, file or "synthetic".
        tracker: camera, objects {name: [{id, size, position, quaternion}]}, and, where they are not the defaults,
            dictionary, lens, stand (files) and max_age [s].
    """
    devices = dict(cameras or {})
    tracking = None if tracker is None else _tracking(robot, id, tracker)
    wanted = [*pictures, *([] if tracking is None else [tracking.lens.camera])]
    made: list[Sensor] = []
    for camera in cameras_of(robot, wanted, "robot.cameras"):
        if camera.name not in devices:
            raise UserError(
                f"robot.cameras.{camera.name}=: is needed; give its device, e.g. robot.cameras={{{camera.name}: "
                "/dev/video0}} (robo-rl find lists them)"
            )
        source = source_of(str(devices[camera.name]), camera, f"robot.cameras.{camera.name}")
        own = tracking if tracking is not None and tracking.lens.camera == camera.name else None
        shown = _shown(camera) if camera.name in pictures else None
        age = None if own is None or tracker is None else tracker.get("max_age")
        made.append(CameraSensor(camera.name, CameraJob(source, shown, own), max_age=age))
    return made


def on_person(task: Mapping[str, Any], name: str, keys: Keys) -> Task:
    """The task `task` (a node), begun and judged by a person."""
    limit = (task.get("config") or task).get("limit")
    if limit is None:
        raise UserError(f"task={name}: does not say how long an episode may last (task.task.config.limit)")
    return OperatorTask(name, float(limit), keys)


@cache
def terminal_keys() -> Keys:
    """Of the terminal that this process runs in: there is one, and many who listen."""
    return Keys(STANDARD_INPUT)


def lens_path(camera: str, given: str | None = None) -> Path:
    """File of a camera's calibration."""
    return default_path("cameras", camera) if given is None else Path(given).expanduser()


def stand_path(robot: str, id: str, camera: str, given: str | None = None) -> Path:
    """File that says where a camera stands beside a robot."""
    return default_path(robot, f"{id}-{camera}") if given is None else Path(given).expanduser()


def _shown(camera: Camera) -> Camera:
    if camera.depth:
        raise UserError(f"robot.cameras.{camera.name}: this version reads no distances; give depth: false")
    return camera


def _tracking(robot: RobotDescription, id: str, tracker: Mapping[str, Any]) -> MarkerTracker:
    key, known = "robot.tracker", ("camera", "objects", "dictionary", "lens", "stand", "max_age")
    if unknown := sorted(set(tracker) - set(known)):
        raise UserError(f"{key}: unknown keys {', '.join(unknown)}; valid keys: {', '.join(known)}")
    camera = tracker.get("camera")
    if camera is None or not tracker.get("objects"):
        raise UserError(
            f"{key}: needs camera and objects, e.g. {{camera: front, objects: {{peg: [{{id: 3, size: 0.02}}]}}}}"
        )
    objects = {name: [_marker(name, one) for one in markers] for name, markers in tracker["objects"].items()}
    lens = Lens.load(lens_path(camera, tracker.get("lens")), f"{key}.lens")
    stand = Stand.load(stand_path(robot.name, id, camera, tracker.get("stand")), robot.name, f"{key}.stand")
    if lens.camera != camera or stand.camera != camera:
        raise UserError(f"{key}.camera={camera}: its calibration files are of {lens.camera} and {stand.camera}")
    return MarkerTracker(objects, lens, stand.pose, tracker.get("dictionary", DICTIONARY))


def _marker(name: str, given: Mapping[str, Any]) -> Marker:
    data: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    try:
        return Marker(**data)
    except TypeError:
        raise UserError(
            f"robot.tracker.objects.{name}={dict(given)}: a marker has {', '.join(MARKER_KEYS)}; id and size are needed"
        ) from None
