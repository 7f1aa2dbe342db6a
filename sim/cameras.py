"""Simulated cameras: what a policy sees of every row, at the cameras' own rates."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from robo_rl.cameras import FARTHEST, Camera, spec_of
from robo_rl.robot import Sensor, Stamp
from robo_rl.types import Obs
from sim.looks import Looks, look
from sim.models.table import add_camera
from sim.render import Painter
from sim.world import World

SUPERSAMPLING = 2  # rendered pixels a pixel of the picture and axis, against jagged edges


def add_cameras(spec: mujoco.MjSpec, cameras: Sequence[Camera]) -> None:
    """Put the cameras that say where they are mounted into a scene, but for those that it has."""
    present = {camera.name for camera in spec.cameras}
    for camera in cameras:
        if camera.mount and camera.name not in present:
            add_camera(spec, camera.name, **camera.mount)


def camera_sensors(world: World, cameras: Sequence[Camera], randomise: str) -> tuple[list[Sensor], list[Sensor]]:
    """Sensors of the cameras, and privileged ones that tell what was changed in their looks; none without cameras.

    `randomise` is one of `sim.looks.PRESETS`.
    """
    varied = look(randomise)
    if not cameras:
        return [], []
    looks = None if varied is None else Looks(world, varied, [camera.name for camera in cameras])
    return [Cameras(world, cameras, looks)], [] if looks is None else [looks]


class Cameras(Sensor):
    """Cameras of the world's model, rendered without shadows for the rows in which a new frame is due.

    A camera of 30 frames/s delivers frame k at the first tick at or after k / 30 s, stamped with that tick's time; in
    between it shows its last frame. Rows that were just reset or loaded show a fresh one. A picture is a function of
    the row's state and, with `looks`, its episode's seed.

    Args:
        world: its rows are seen.
        cameras: by the names of the model's.
        looks: what rows look like, where they differ.

    Raises:
        UserError: this machine cannot render.
    """

    def __init__(self, world: World, cameras: Sequence[Camera], looks: Looks | None = None) -> None:
        self.world, self.cameras, self.looks = world, tuple(cameras), looks
        self.obs_spec = spec_of(cameras)
        self._ids = [world.model.camera(camera.name).id for camera in cameras]
        self._sizes = [render_size(camera) for camera in cameras]
        width, height = np.max(self._sizes, axis=0)
        self._painter = Painter(world.model, int(width), int(height), shadows=False, samples=0)
        self._rate = np.array([[camera.rate] for camera in cameras])  # (C, 1) [frames/s]
        self._obs = self.obs_spec.zeros(world.n)
        self._frame = np.full((len(cameras), world.n), -1, np.int64)  # number of the frame that is shown
        self._stamp = np.zeros((len(cameras), world.n))  # [s]

    def read(self) -> tuple[Obs, Stamp]:
        now = self.world.tick * self.world.dt
        frame = np.floor(now * self._rate + 1e-6).astype(np.int64)
        due = (frame > self._frame) | self.world.fresh  # (C, N)
        if due.any():
            self._frame = np.where(due, frame, self._frame)
            self._stamp = np.where(due, now, self._stamp)
            self._look(due)
        stamps = {key: self._stamp[index] for index, camera in enumerate(self.cameras) for key in camera.spec}
        return dict(self._obs), stamps

    def _look(self, due: np.ndarray) -> None:
        """Render the pairs of camera and row in `due` (C, N); pictures that were handed out are not written to."""
        for index, camera in enumerate(self.cameras):
            if due[index].any():
                self._obs |= {key: self._obs[key].copy() for key in camera.spec}
        for row in np.flatnonzero(due.any(axis=0)):
            self._pose(int(row))
            for index in np.flatnonzero(due[:, row]):
                self._capture(int(index), int(row))

    def _pose(self, row: int) -> None:
        painter, world = self._painter, self.world
        if self.looks is not None:
            self.looks.dress(painter.model, row)
        painter.data.qpos[:] = world.qpos[row]
        painter.data.mocap_pos[:], painter.data.mocap_quat[:] = world.mocap_pos[row], world.mocap_quat[row]
        painter.pose()

    def _capture(self, index: int, row: int) -> None:
        camera, size = self.cameras[index], self._sizes[index]
        self._obs[camera.key][row] = camera.resize(self._painter.picture(self._ids[index], *size))
        if camera.depth:
            distance = self._painter.distance(*size) * 1000.0
            far = np.round(np.where(distance > FARTHEST, 0.0, distance)).astype(np.uint16)
            self._obs[camera.depth_key][row] = camera.resize_depth(far)


def render_size(camera: Camera) -> tuple[int, int]:
    """Width and height to render at: the device's proportions, not larger than what it delivers."""
    width, height = camera.capture
    share = min(1.0, SUPERSAMPLING * max(camera.width / width, camera.height / height))
    return round(width * share), round(height * share)
