"""Other looks in every episode: camera poses, lights and colours, drawn from its seed; the physics does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from robo_rl import random
from robo_rl.errors import UnknownName
from robo_rl.robot import Sensor, Stamp
from robo_rl.spec import Feature, Spec
from robo_rl.types import PRIVILEGED, Obs
from sim.world import World

KEY = PRIVILEGED + "looks"
AXES, TURNS, CHANNELS = ("x", "y", "z"), ("rx", "ry", "rz"), ("red", "green", "blue")


@dataclass(frozen=True)
class Look:
    """Uniform, plus or minus."""

    position: float  # of a camera, an axis [m]
    turn: float  # of a camera, an axis of the rotation vector [rad]
    place: float  # of a light, an axis [m]
    brightness: float  # of a light, as a share of it
    colour: float  # of all geoms that have the same, a channel, as a share of it


PRESETS: dict[str, Look | None] = {
    "none": None,
    "train": Look(position=0.01, turn=0.02, place=0.2, brightness=0.3, colour=0.2),
    "test": Look(position=0.015, turn=0.03, place=0.3, brightness=0.4, colour=0.3),  # wider than what was trained on
}


def look(name: str) -> Look | None:
    """The ranges of a name; `UserError` with the valid names for another one."""
    if name not in PRESETS:
        raise UnknownName("task.rig.randomise", name, PRESETS)
    return PRESETS[name]


class Looks(Sensor):
    """What every row looks like, a function of its episode's seed; shown under a privileged key, (N, F) float32.

    Args:
        world: tells the model and the rows' seeds.
        ranges: to draw from.
        cameras: names of the cameras that are moved.
    """

    def __init__(self, world: World, ranges: Look, cameras: Sequence[str]) -> None:
        model = world.model
        self.world, self._model = world, model
        self._cameras = np.array([model.camera(name).id for name in cameras])
        self._colours, self._colour_of = np.unique(model.geom_rgba[:, :3], axis=0, return_inverse=True)
        names, widths = _columns(ranges, cameras, model.nlight, len(self._colours))
        self._width = np.array(widths)
        self.obs_spec = Spec({KEY: Feature((len(names),), "float32", -self._width, self._width, "", names)})
        self.values = np.zeros((world.n, len(names)))  # (N, F), what rows were given
        self._seed = np.full(world.n, -1, np.int64)  # that `values` were drawn from
        self._stream = random.stream("looks")

    def read(self) -> tuple[Obs, Stamp]:
        self._draw()
        return {KEY: self.values.astype(np.float32)}, {KEY: self.world.tick * self.world.dt}

    def dress(self, model: mujoco.MjModel, row: int) -> None:
        """Make `model`, a copy of the world's, look like a row."""
        self._draw()
        base, lights = self._model, self._model.nlight
        cameras, places, brightness, colours = np.split(
            self.values[row], np.cumsum([6 * len(self._cameras), 3 * lights, lights])
        )
        moves = cameras.reshape(-1, 2, 3)
        model.cam_pos[self._cameras] = base.cam_pos[self._cameras] + moves[:, 0]
        for camera, turn in zip(self._cameras, moves[:, 1], strict=True):
            model.cam_quat[camera] = base.cam_quat[camera]
            mujoco.mju_quatIntegrate(model.cam_quat[camera], turn, 1.0)
        model.light_pos[:] = base.light_pos + places.reshape(-1, 3)
        model.light_diffuse[:] = base.light_diffuse * (1.0 + brightness[:, None])
        shades = self._colours * (1.0 + colours.reshape(-1, 3))
        model.geom_rgba[:, :3] = np.clip(shades, 0.0, 1.0)[self._colour_of.ravel()]

    def _draw(self) -> None:
        new = self.world.seed != self._seed
        if new.any():
            draw = random.uniform(self.world.seed[new], 0, self._stream, len(self._width))
            self.values[new] = self._width * (2.0 * draw - 1.0)
            self._seed[new] = self.world.seed[new]


def _columns(ranges: Look, cameras: Sequence[str], lights: int, colours: int) -> tuple[tuple[str, ...], list[float]]:
    """Names and widths of everything that is drawn."""
    found = [(f"{name}_{axis}", ranges.position if axis in AXES else ranges.turn)
             for name in cameras for axis in (*AXES, *TURNS)]  # fmt: skip
    found += [(f"light{light}_{axis}", ranges.place) for light in range(lights) for axis in AXES]
    found += [(f"light{light}_brightness", ranges.brightness) for light in range(lights)]
    found += [(f"colour{colour}_{channel}", ranges.colour) for colour in range(colours) for channel in CHANNELS]
    return tuple(name for name, _ in found), [width for _, width in found]
