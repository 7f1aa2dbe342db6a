"""so101/stack: put a small cube onto a larger one.

A 20 mm cube of 10 g lies in a 12 x 9 cm region centred at (0.165, -0.075) m, turned by up to 45 degrees; a 30 mm cube
of 30 g, free to be pushed away, in a 6 x 6 cm region centred at (0.165, 0.080) m, turned by up to 15 degrees. Success:
the small cube's centre is within 12 mm of the large one's, sideways, and within 3 mm of the height at which it rests
on it, and the tool is at least 35 mm away from it, for 5 ticks in a row, within 10 s. Reward 1 at success, else 0.

Geometry, and why: a cube whose centre is more than 15 mm from the large one's would tip over its edge. The tool needs
a height of 55 mm to set the cube down and 80 mm to be away from it, within reach of the gripper pointing down up to
0.23 m from the pan axis, tilted by a few degrees up to 0.27 m; the region's far corner lies at 0.22 m.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl.types import Obs
from sim.models.table import GREEN, RED, add_part
from sim.poses import pose_view
from sim.tasks.table_top import Place, TableConfig, TableTask, closeness, tool_distance
from sim.world import World


@dataclass(frozen=True)
class StackConfig(TableConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    cube_centre: tuple[float, float] = (0.165, -0.075)  # [m]
    cube_region: tuple[float, float] = (0.12, 0.09)  # [m]
    cube_yaw: float = np.pi / 4  # [rad], plus or minus
    cube_width: float = 0.020  # [m]
    cube_mass: float = 0.010  # [kg]
    base_centre: tuple[float, float] = (0.165, 0.080)  # [m]
    base_region: tuple[float, float] = (0.06, 0.06)  # [m]
    base_yaw: float = np.pi / 12  # [rad], plus or minus
    base_width: float = 0.030  # [m]
    base_mass: float = 0.030  # [kg]
    sideways: float = 0.012  # [m] between the centres that counts as stacked
    upright: float = 0.003  # [m] from the height of a resting cube that counts as stacked
    away: float = 0.035  # [m] between tool and cube that counts as let go

    name: ClassVar[str] = "so101/stack"
    bodies: ClassVar[tuple[str, ...]] = ("cube", "base_cube")

    def furnish(self, spec: mujoco.MjSpec) -> None:
        add_part(spec, "cube", self.cube_width / 2, self.cube_width / 2, self.cube_mass, RED)
        half = self.base_width / 2
        add_part(spec, "base_cube", half, half, self.base_mass, GREEN, carries=True)

    def places(self) -> Mapping[str, Place]:
        return {
            "cube": Place(self.cube_centre, self.cube_region, self.cube_yaw, self.cube_width / 2),
            "base_cube": Place(self.base_centre, self.base_region, self.base_yaw, self.base_width / 2),
        }


class Stack(TableTask):
    """The task on a world that holds the bodies "cube" and "base_cube" (see the module's docstring)."""

    weights: Mapping[str, float] = {"reach": 0.01, "place": 0.02}

    def __init__(self, world: World, config: StackConfig = StackConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        self._cube, self._base = pose_view(world, "cube")[0], pose_view(world, "base_cube")[0]

    def solved(self, obs: Obs) -> np.ndarray:
        return self.stacked() & (tool_distance(obs, self._cube) >= self.config.away)

    def stacked(self) -> np.ndarray:
        """(N,) bool: the small cube is where it rests on the large one."""
        away = np.abs(self._misplacement())
        return (np.hypot(away[:, 0], away[:, 1]) <= self.config.sideways) & (away[:, 2] <= self.config.upright)

    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """The tool at the cube, until it is stacked; the cube on the middle of the large one."""
        stacked = self.stacked()
        place = closeness(np.linalg.norm(self._misplacement(), axis=1))
        reach = closeness(tool_distance(obs, self._cube))
        return {"reach": np.where(stacked, 1.0, reach), "place": np.where(stacked, 1.0, place)}

    def _misplacement(self) -> np.ndarray:
        """(N, 3) [m] from the place on the middle of the large cube to the small one."""
        rest = (self.config.base_width + self.config.cube_width) / 2
        return self._cube - self._base - np.array([0.0, 0.0, rest])
