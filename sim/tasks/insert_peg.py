"""so101/insert_peg: pick up a square peg and put it into a square hole.

A 20 mm square peg, 60 mm tall, stands in a 12 x 12 cm region, turned by up to 45 degrees; a block with a 24 mm square
hole, 25 mm deep, lies in a 6 x 6 cm region, turned by up to 15 degrees. Success: the peg's lower end is at least
15 mm below the block's top and inside the hole for 5 ticks in a row, within 10 s. Reward 1 at success, else 0.

Geometry, and why: the wrist bends by 95 degrees at most, so with the gripper pointing down the arm reaches a height
of 75 mm only between 0.10 m and 0.24 m from its pan axis. The peg's region is therefore centred at (0.155, -0.055) m
and the block's at (0.155, 0.085) m, which leaves 9 mm between the two bodies in the worst draw; and the hole goes
through the block (25 mm tall) to the table, so that the peg need not be lifted over a floor of the block's own. The
block is a mocap body: posed for each episode, and nothing moves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl.robot import Described, Guard
from robo_rl.types import Obs
from sim.models.table import add_block, add_part
from sim.poses import pose_view
from sim.rig import SimRig
from sim.sensors import FIDUCIAL, TrackerNoise
from sim.tasks import table_top
from sim.tasks.table_top import Place, TableConfig, TableTask, build_model, closeness, tool_distance
from sim.world import World

NAME = "so101/insert_peg"


@dataclass(frozen=True)
class InsertPegConfig(TableConfig):
    """Frozen specification: a change of any number is a new task."""

    peg_centre: tuple[float, float] = (0.155, -0.055)  # [m]
    peg_region: tuple[float, float] = (0.12, 0.12)  # [m]
    peg_yaw: float = np.pi / 4  # [rad], plus or minus
    block_centre: tuple[float, float] = (0.155, 0.085)  # [m]
    block_region: tuple[float, float] = (0.06, 0.06)  # [m]
    block_yaw: float = np.pi / 12  # [rad], plus or minus
    peg_width: float = 0.020  # [m]
    peg_height: float = 0.060  # [m]
    peg_mass: float = 0.030  # [kg]
    hole_width: float = 0.024  # [m]
    hole_depth: float = 0.025  # [m], the block's height
    wall: float = 0.010  # [m]
    depth: float = 0.015  # [m] of the peg's lower end below the block's top that counts as inserted

    name: ClassVar[str] = NAME
    bodies: ClassVar[tuple[str, ...]] = ("peg", "block")

    def furnish(self, spec: mujoco.MjSpec) -> None:
        add_part(spec, "peg", self.peg_width / 2, self.peg_height / 2, self.peg_mass)
        add_block(spec, "block", self.hole_width / 2, self.wall, self.hole_depth)

    def places(self) -> Mapping[str, Place]:
        return {
            "peg": Place(self.peg_centre, self.peg_region, self.peg_yaw, self.peg_height / 2),
            "block": Place(self.block_centre, self.block_region, self.block_yaw),
        }


STANDARD = InsertPegConfig()


class InsertPeg(TableTask):
    """The task on a world that holds the bodies "peg" and "block" (see the module's docstring)."""

    weights: Mapping[str, float] = {"reach": 0.01, "place": 0.02}

    def __init__(self, world: World, config: InsertPegConfig = STANDARD) -> None:
        super().__init__(world, config)
        self.config = config
        self._peg, self._block = pose_view(world, "peg"), pose_view(world, "block")

    def solved(self, obs: Obs) -> np.ndarray:
        return self.inserted()

    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """The tool at the peg; the peg's lower end at the floor of the hole."""
        away = np.linalg.norm(self._lower_end() - self._block[0], axis=1)
        return {"reach": closeness(tool_distance(obs, self._peg[0])), "place": closeness(away)}

    def inserted(self) -> np.ndarray:
        """(N,) bool: the peg's lower end is deep enough, and inside the hole."""
        c, lower = self.config, self._lower_end()
        centre, turn = self._block
        cos, sin = 1 - 2 * turn[:, 3] ** 2, 2 * turn[:, 0] * turn[:, 3]
        dx, dy = lower[:, 0] - centre[:, 0], lower[:, 1] - centre[:, 1]
        along, across = np.abs(cos * dx + sin * dy), np.abs(cos * dy - sin * dx)
        inside = np.maximum(along, across) < c.hole_width / 2
        return inside & (lower[:, 2] <= centre[:, 2] + c.hole_depth - c.depth)

    def _lower_end(self) -> np.ndarray:
        """(N, 3): the middle of whichever end of the peg points down."""
        position, quaternion = self._peg
        w, x, y, z = quaternion.T
        axis = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)
        return position - self.config.peg_height / 2 * np.copysign(axis, axis[:, 2:])


def make_rig(
    description: Described,
    n: int,
    nthread: int = 0,
    guard: Guard | None = None,
    noise: TrackerNoise = FIDUCIAL,
    realtime: bool = False,
    config: InsertPegConfig = STANDARD,
    servo: str = "ideal",
    randomise: str = "none",
    cameras: Sequence[str] = (),
    tracker: bool = True,
) -> SimRig:
    """The simulated SO-101 with peg and block, and a tracker that sees both; n rows. See `table_top.make_rig`."""
    options = (realtime, servo, randomise, cameras, tracker)
    return table_top.make_rig(description, n, config, nthread, guard, noise, *options)


__all__ = ["NAME", "STANDARD", "InsertPeg", "InsertPegConfig", "build_model", "make_rig"]
