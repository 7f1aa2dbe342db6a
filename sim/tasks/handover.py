"""so101_pair/handover: bring a bar from one arm's side to the other's, over a wall between them.

Two SO-101 arms stand 44 cm apart, facing forward (`configs/description/so101_pair.yaml`). A bar, 20 mm square, 140 mm
long, 40 g, lies across the arms' view in a 6 x 6 cm region centred at (0.15, 0.30) m, turned by up to 15 degrees; the
place for it in a 6 x 6 cm region centred at (0.15, -0.30) m. Between the arms stands a wall, 25 mm tall, 10 mm thick.
Success: the bar lies, its centre is within 20 mm of the place's, and both tools are at least 40 mm away from it, for 5
ticks in a row, within 20 s. Reward 1 at success, else 0.

Geometry, and why: a stretched arm reaches the table 0.42 m from its pan axis. The bar is at least 0.43 m from the right
arm's, and a bar at its place 0.43 m from the left one's: neither arm can do it alone, nor can the bar be pushed through
the wall. Its ends are gripped 50 mm from its centre, 10 cm apart: two grippers beside each other need 6 cm. With the
bar over the wall both grips are 0.23 m from their arm's pan axis, where the gripper still points down at 56 mm. Wrists
and grippers of the two arms collide. The place is a mocap body that nothing touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl.errors import UserError
from robo_rl.robot import Described, Guard, load_descriptions
from robo_rl.types import Obs
from sim.models.table import GREEN, RED, add_camera, add_mark, add_part, add_wall
from sim.poses import pose_view, turn
from sim.rig import SimRig
from sim.sensors import FIDUCIAL, TrackerNoise
from sim.tasks.table_top import Place, TableConfig, TableTask, assemble, closeness
from sim.world import World

ARMS = ("left", "right")
HULL = {"wrist_flex": ((0.03, 0.0, 0.0), 0.028), "wrist_roll": ((0.03, 0.0, 0.0), 0.028)}  # centre, radius [m]
CONTACT_LEFT, CONTACT_RIGHT = 8, 16  # contype bits


@dataclass(frozen=True)
class HandoverConfig(TableConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    limit: float = 20.0  # [s]
    bar_centre: tuple[float, float] = (0.15, 0.30)  # [m]
    bar_region: tuple[float, float] = (0.06, 0.06)  # [m]
    bar_yaw: float = np.pi / 12  # [rad], plus or minus, from lying across
    bar_width: float = 0.020  # [m]
    bar_length: float = 0.140  # [m]
    bar_mass: float = 0.040  # [kg]
    place_centre: tuple[float, float] = (0.15, -0.30)  # [m]
    place_region: tuple[float, float] = (0.06, 0.06)  # [m]
    wall_height: float = 0.025  # [m]
    wall_width: float = 0.010  # [m]
    near: float = 0.020  # [m] between the bar's centre and the place's that counts as there
    away: float = 0.040  # [m] between each tool and the bar that counts as let go

    name: ClassVar[str] = "so101_pair/handover"
    bodies: ClassVar[tuple[str, ...]] = ("bar", "place")

    def furnish(self, spec: mujoco.MjSpec) -> None:
        half = self.bar_width / 2
        add_part(spec, "bar", half, half, self.bar_mass, RED, half_length=self.bar_length / 2)
        add_mark(spec, "place", self.near, GREEN)
        add_wall(spec, (0.15, 0.0), (0.24, self.wall_width, self.wall_height))
        add_camera(spec, "wide", (0.98, 0.0, 0.55), (0.08, 0.0, 0.04))
        for arm, own, other in (("left", CONTACT_LEFT, CONTACT_RIGHT), ("right", CONTACT_RIGHT, CONTACT_LEFT)):
            _add_hull(spec, arm, own, other)

    def places(self) -> Mapping[str, Place]:
        across = np.pi / 2
        return {
            "bar": Place(self.bar_centre, self.bar_region, self.bar_yaw, self.bar_width / 2, across),
            "place": Place(self.place_centre, self.place_region, 0.0, 0.0, across),
        }


class Handover(TableTask):
    """The task on a world that holds the bodies "bar" and "place" (see the module's docstring)."""

    weights: Mapping[str, float] = {"reach": 0.01, "place": 0.02}

    def __init__(self, world: World, config: HandoverConfig = HandoverConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        self._bar, self._place = pose_view(world, "bar"), pose_view(world, "place")[0]

    def solved(self, obs: Obs) -> np.ndarray:
        return self.placed() & (self._distances(obs).min(axis=0) >= self.config.away)

    def placed(self) -> np.ndarray:
        """(N,) bool: the bar lies where it belongs."""
        lies = self._bar[0][:, 2] < self.config.bar_width / 2 + 0.003
        return lies & (self._misplaced() < self.config.near)

    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """The nearer tool at the bar, until it is placed; the bar at its place."""
        placed = self.placed()
        reach = closeness(self._distances(obs).min(axis=0))
        return {
            "reach": np.where(placed, 1.0, reach),
            "place": np.where(placed, 1.0, closeness(self._misplaced(), scale=0.3)),
        }

    def _misplaced(self) -> np.ndarray:
        """(N,) [m]: how far the bar's centre is from the place's, sideways."""
        return np.hypot(*(self._bar[0] - self._place)[:, :2].T)

    def _distances(self, obs: Obs) -> np.ndarray:
        """(2, N) [m]: from each tool to the nearest point of the bar's axis."""
        position, quaternion = self._bar
        axis = turn(quaternion, np.tile([1.0, 0.0, 0.0], (len(position), 1)))
        found = []
        for arm in ARMS:
            away = obs[f"{arm}/tool_pose"][:, :3] - position
            along = np.clip((away * axis).sum(1), -self.config.bar_length / 2, self.config.bar_length / 2)
            found.append(np.linalg.norm(away - along[:, None] * axis, axis=1))
        return np.array(found)


def make_rig(
    description: Described,
    n: int,
    config: HandoverConfig,
    nthread: int = 0,
    guards: Sequence[Guard] | None = None,
    noise: TrackerNoise = FIDUCIAL,
    realtime: bool = False,
    servo: str = "ideal",
    randomise: str = "none",
    cameras: Sequence[str] = (),
    tracker: bool = True,
) -> SimRig:
    """The two simulated arms with the task's bodies, and a tracker that sees them; n rows. See `table_top.make_rig`."""
    robots = load_descriptions(description)
    if tuple(robot.prefix for robot in robots) != tuple(f"{arm}/" for arm in ARMS):
        raise UserError(f"robot.description={description}: task={config.name} needs two robots: {', '.join(ARMS)}")
    return assemble(robots, n, config, nthread, guards, noise, realtime, servo, randomise, cameras, tracker)


def _add_hull(spec: mujoco.MjSpec, arm: str, own: int, other: int) -> None:
    """Spheres around wrist and gripper that keep one arm out of the other."""
    for link, (centre, radius) in HULL.items():
        spec.body(f"{arm}/{link}").add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            pos=centre,
            size=[radius, 0, 0],
            mass=0,
            group=4,
            contype=own,
            conaffinity=other,
            condim=1,
        )
