"""`robo-rl calibrate camera=` and `hand_eye=`: what a camera's lens does, and where it stands beside a robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from hardware.aruco import Marker, MarkerTracker
from hardware.camera_sources import Source, SourceLost, source_of
from hardware.hand_eye import Moments
from hardware.lens import Lens, LensFinder, Stand
from hardware.poses import matrix_of, pose_of
from robo_rl.app import session
from robo_rl.app.build import description_path, instantiate, make_rig
from robo_rl.app.sensing import lens_path, stand_path
from robo_rl.cameras import cameras_of
from robo_rl.errors import UserError
from robo_rl.robot import Rig, RobotDescription

STILL = 0.02  # [rad/s] below which a joint that is held by hand stands still
Rows = list[tuple[str, Any]]


def calibrate_lens(config: DictConfig) -> Rows:
    """Views of a board from the camera's device or from a folder of pictures; the lens, saved."""
    name = str(config.camera)
    finder = LensFinder(name, instantiate(config.board), config.views)
    session.note(f"hold the board into the picture of {name}: all over it, near and far, tilted")
    with _opened(config, name) as source:
        for picture, _ in _pictures(source, config.seconds, lambda: finder.views >= finder.wanted):
            if finder.look(picture):
                session.note(f"view {finder.views} of {finder.wanted}")
    lens = finder.solve()
    path = lens_path(name)
    lens.save(path)
    return [("views", finder.views), ("error", f"{lens.error:.2f} px"), ("saved", path)]


def calibrate_stand(config: DictConfig) -> Rows:
    """Places of the arm, moved by hand, from which the camera sees the marker on its tool; the stand, saved."""
    name, robot = str(config.hand_eye), config.robot
    description = RobotDescription.load(description_path(robot.description))
    lens = Lens.load(lens_path(name), "camera")
    tracker = MarkerTracker({"hand": [_marker(config)]}, lens, dictionary=config.board.dictionary)
    rig = make_rig(config.task, OmegaConf.merge(robot, {"cameras": {}, "tracker": None}), 1, realtime=True)  # type: ignore[arg-type]
    moments = Moments()
    session.note("move the arm by hand, with the marker in sight; turn its tool about several axes, rest at each place")
    try:
        with _opened(config, name) as source:
            rig.home(np.zeros(1, bool), np.zeros(1, np.int64))  # opens the devices, moves nothing
            for picture, _ in _pictures(source, config.seconds, lambda: len(moments) >= config.views):
                if place(rig, description, tracker, picture, moments):
                    session.note(f"place {len(moments)} of {config.views}")
    finally:
        rig.close()
    found = moments.solve()
    moved, turned = found.error
    path = stand_path(description.name, robot.id, name)
    Stand(description.name, name, tuple(map(float, pose_of(found.camera))), found.error).save(path)
    rows: Rows = [("places", len(moments)), ("error", f"{1e3 * moved:.1f} mm, {np.degrees(turned):.2f} degrees")]
    return [*rows, ("saved", path)]


def place(
    rig: Rig, description: RobotDescription, tracker: MarkerTracker, picture: np.ndarray, moments: Moments
) -> bool:
    """Whether the arm rests at a new place with its marker in the picture (H, W, 3)."""
    rig.tick(np.zeros(1, bool))
    obs, _ = rig.read()
    if np.abs(obs["joint_velocity"]).max() > STILL:
        return False
    seen = tracker.look(picture).get("hand")
    return seen is not None and moments.add(matrix_of(obs[description.tool_key][0]), matrix_of(seen))


def _marker(config: DictConfig) -> Marker:
    try:
        return Marker(**config.marker)
    except TypeError:
        raise UserError(f"marker={dict(config.marker)}: a marker has id and size [m]") from None


@contextmanager
def _opened(config: DictConfig, name: str) -> Iterator[Source]:
    description = RobotDescription.load(description_path(config.robot.description))
    key, cameras = f"robot.cameras.{name}", config.robot.get("cameras")
    if cameras is None:
        raise UserError(
            f"robot={config.robot.name}: has no physical cameras; try robot=so101 robot.cameras={{{name}: /dev/video0}}"
        )
    (camera,) = cameras_of(description, [name], "camera")
    if name not in cameras:
        raise UserError(f"{key}=: is needed; give its device, e.g. robot.cameras={{{name}: /dev/video0}}")
    source = source_of(str(cameras[name]), camera, key)
    try:
        source.open()
        yield source
    except SourceLost as error:
        raise UserError(f"{key}={cameras[name]}: {error}") from error
    finally:
        source.close()


def _pictures(source: Source, seconds: float, enough: Callable[[], bool]) -> Iterator[tuple[np.ndarray, float]]:
    end = time.monotonic() + seconds
    with session.interruption() as interrupted:
        while time.monotonic() < end and not enough():
            if interrupted():
                raise KeyboardInterrupt
            yield source.read()
