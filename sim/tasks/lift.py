"""so101/lift, koch/lift, ur5e/lift: pick up a cube.

so101/lift: a 20 mm cube of 10 g lies in a 12 x 20 cm region centred at (0.165, 0) m, turned by up to 45 degrees.
Success: the cube's centre is at least 60 mm above the table for 5 ticks in a row, within 6 s. Reward 1 at success,
else 0.

Geometry, and why: jaws whose pads are parallel 20 mm apart set the cube's width. With the gripper pointing down the
arm reaches a height of 60 mm between 0.08 m and 0.255 m from its pan axis; the region's corners lie between 0.105 m
and 0.246 m. The fingers are 10 mm longer than the middle of their pads, so a cube is gripped 4 mm above its centre.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl.types import Obs
from sim.models.table import RED, add_camera, add_part
from sim.poses import pose_view
from sim.tasks.table_top import Place, TableConfig, TableTask, closeness, tool_distance
from sim.world import World


@dataclass(frozen=True)
class LiftConfig(TableConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    limit: float = 6.0  # [s]
    cube_centre: tuple[float, float] = (0.165, 0.0)  # [m]
    cube_region: tuple[float, float] = (0.12, 0.20)  # [m]
    cube_yaw: float = np.pi / 4  # [rad], plus or minus
    cube_width: float = 0.020  # [m]
    cube_mass: float = 0.010  # [kg]
    height: float = 0.060  # [m] of the cube's centre that counts as lifted

    name: ClassVar[str] = "so101/lift"
    bodies: ClassVar[tuple[str, ...]] = ("cube",)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        add_part(spec, "cube", self.cube_width / 2, self.cube_width / 2, self.cube_mass, RED)

    def places(self) -> Mapping[str, Place]:
        return {"cube": Place(self.cube_centre, self.cube_region, self.cube_yaw, self.cube_width / 2)}


@dataclass(frozen=True)
class KochLiftConfig(LiftConfig):
    """koch/lift: a 17 mm cube, the width at which this arm's jaws are parallel. With the gripper pointing down the arm
    reaches a height of 60 mm between 0.052 m and 0.174 m from its pan axis; the region's corners lie between 0.095 m
    and 0.170 m."""

    cube_centre: tuple[float, float] = (0.125, 0.0)
    cube_region: tuple[float, float] = (0.06, 0.14)
    cube_width: float = 0.017
    cube_mass: float = 0.006
    height: float = 0.050

    name: ClassVar[str] = "koch/lift"


@dataclass(frozen=True)
class Ur5eLiftConfig(LiftConfig):
    """ur5e/lift: a 50 mm cube of 100 g, in a gripper that opens by 85 mm. With the gripper pointing down the arm
    reaches a height of 0.25 m between 0.15 m and 0.85 m from its pan axis; the region's corners lie between 0.30 m and
    0.63 m."""

    cube_centre: tuple[float, float] = (0.45, 0.0)
    cube_region: tuple[float, float] = (0.30, 0.40)
    cube_width: float = 0.050
    cube_mass: float = 0.100
    height: float = 0.200

    name: ClassVar[str] = "ur5e/lift"

    def furnish(self, spec: mujoco.MjSpec) -> None:
        super().furnish(spec)
        add_camera(spec, "wide", (1.35, -0.95, 0.85), (0.28, 0.0, 0.22))


class Lift(TableTask):
    """The task on a world that holds the body "cube" (see the module's docstring)."""

    weights: Mapping[str, float] = {"reach": 0.01, "lift": 0.02}

    def __init__(self, world: World, config: LiftConfig = LiftConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        self._cube, _ = pose_view(world, "cube")

    def solved(self, obs: Obs) -> np.ndarray:
        return self._cube[:, 2] >= self.config.height

    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """The tool at the cube; the share of the height that is reached."""
        floor = self.config.cube_width / 2
        lift = np.clip((self._cube[:, 2] - floor) / (self.config.height - floor), 0.0, 1.0)
        return {"reach": closeness(tool_distance(obs, self._cube)), "lift": lift}
