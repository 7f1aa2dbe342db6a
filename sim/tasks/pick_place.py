"""so101/pick_place: put a cube into a bin.

A 20 mm cube of 10 g lies in a 12 x 9 cm region centred at (0.165, -0.075) m, turned by up to 45 degrees; a bin, 60 mm
square inside with walls 20 mm tall and 5 mm thick, in a 6 x 6 cm region centred at (0.165, 0.080) m, turned by up to
15 degrees. Success: the cube lies inside the bin, its centre below the rim, and the tool is at least 35 mm away from
it, for 5 ticks in a row, within 10 s. Reward 1 at success, else 0.

Geometry, and why: the worst draw leaves 22 mm between cube and bin, enough for the jaw that reaches 18 mm past the
cube's middle; the bin's far corner lies 0.25 m from the pan axis, where the gripper still points down at 60 mm. The
bin is a mocap body: posed for each episode, and nothing moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl.types import Obs
from sim.models.table import RED, add_block, add_part
from sim.poses import pose_view, turn
from sim.tasks.table_top import Place, TableConfig, TableTask, closeness, tool_distance
from sim.world import World


@dataclass(frozen=True)
class PickPlaceConfig(TableConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    cube_centre: tuple[float, float] = (0.165, -0.075)  # [m]
    cube_region: tuple[float, float] = (0.12, 0.09)  # [m]
    cube_yaw: float = np.pi / 4  # [rad], plus or minus
    cube_width: float = 0.020  # [m]
    cube_mass: float = 0.010  # [kg]
    bin_centre: tuple[float, float] = (0.165, 0.080)  # [m]
    bin_region: tuple[float, float] = (0.06, 0.06)  # [m]
    bin_yaw: float = np.pi / 12  # [rad], plus or minus
    bin_width: float = 0.060  # [m], inside
    bin_height: float = 0.020  # [m]
    wall: float = 0.005  # [m]
    away: float = 0.035  # [m] between tool and cube that counts as let go

    name: ClassVar[str] = "so101/pick_place"
    bodies: ClassVar[tuple[str, ...]] = ("cube", "bin")

    def furnish(self, spec: mujoco.MjSpec) -> None:
        add_part(spec, "cube", self.cube_width / 2, self.cube_width / 2, self.cube_mass, RED)
        add_block(spec, "bin", self.bin_width / 2, self.wall, self.bin_height)

    def places(self) -> Mapping[str, Place]:
        return {
            "cube": Place(self.cube_centre, self.cube_region, self.cube_yaw, self.cube_width / 2),
            "bin": Place(self.bin_centre, self.bin_region, self.bin_yaw),
        }


class PickPlace(TableTask):
    """The task on a world that holds the bodies "cube" and "bin" (see the module's docstring)."""

    weights: Mapping[str, float] = {"reach": 0.01, "place": 0.02}

    def __init__(self, world: World, config: PickPlaceConfig = PickPlaceConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        self._cube, self._bin = pose_view(world, "cube")[0], pose_view(world, "bin")

    def solved(self, obs: Obs) -> np.ndarray:
        return self.inside() & (tool_distance(obs, self._cube) >= self.config.away)

    def inside(self) -> np.ndarray:
        """(N,) bool: the cube's centre is between the bin's walls and below its rim."""
        position, quaternion = self._bin
        local = turn(quaternion * np.array([1.0, -1.0, -1.0, -1.0]), self._cube - position)
        return (np.abs(local[:, :2]).max(axis=1) < self.config.bin_width / 2) & (local[:, 2] < self.config.bin_height)

    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """The tool at the cube, until it lies in the bin; the cube in the middle of the bin's floor."""
        inside = self.inside()
        floor = self._bin[0] + np.array([0.0, 0.0, self.config.cube_width / 2])
        place = closeness(np.linalg.norm(self._cube - floor, axis=1))
        reach = closeness(tool_distance(obs, self._cube))
        return {"reach": np.where(inside, 1.0, reach), "place": np.where(inside, 1.0, place)}
