"""The table-top tasks beside so101/insert_peg, and how their conditions are met by moving bodies by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.guard import Guard
from robo_rl.env import RigEnv
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from sim.experts.lift import KochLiftExpertConfig, LiftExpert, Ur5eLiftExpertConfig
from sim.experts.open_drawer import OpenDrawerExpert
from sim.experts.place import PlaceExpert, StackExpertConfig
from sim.poses import Slider, pose_view
from sim.tasks.lift import KochLiftConfig, Lift, LiftConfig, Ur5eLiftConfig
from sim.tasks.open_drawer import OpenDrawer, OpenDrawerConfig
from sim.tasks.pick_place import PickPlace, PickPlaceConfig
from sim.tasks.stack import Stack, StackConfig
from sim.tasks.table_top import TableConfig, make_rig
from sim.world import World

DESCRIPTIONS = Path(__file__).parents[2] / "configs" / "description"
KOCH, SO101, UR5E = (DESCRIPTIONS / f"{name}.yaml" for name in ("koch", "so101", "ur5e"))
Move = Callable[[World, Any, float], None]
"""Meets the condition of a task in every row, but for a miss [m] in the quantity that decides it."""


def lift_cube(world: World, c: LiftConfig, miss: float) -> None:
    pose_view(world, "cube")[0][:] = [*c.cube_centre, c.height - miss]


def fill_bin(world: World, c: PickPlaceConfig, miss: float) -> None:
    position, quaternion = pose_view(world, "bin")
    yaw = 2 * np.arctan2(quaternion[:, 3], quaternion[:, 0])
    edge = c.bin_width / 2 - 1e-4 + miss  # along the bin's own x axis
    cube = pose_view(world, "cube")[0]
    cube[:, 0] = position[:, 0] + edge * np.cos(yaw)
    cube[:, 1] = position[:, 1] + edge * np.sin(yaw)
    cube[:, 2] = c.cube_width / 2


def stack_cubes(world: World, c: StackConfig, miss: float) -> None:
    cube, base = pose_view(world, "cube")[0], pose_view(world, "base_cube")[0]
    cube[:] = base + [c.sideways - 1e-4 + miss, 0.0, (c.base_width + c.cube_width) / 2]


def pull_drawer(world: World, c: OpenDrawerConfig, miss: float) -> None:
    Slider(world, "drawer").travel[:] = c.opening - miss


@dataclass(frozen=True)
class Case:
    """A task, its expert, and what meets its condition."""

    task: Callable[..., Any]
    config: TableConfig
    expert: Callable[[int], Policy]
    move: Move
    description: Path = SO101

    def env(self, n: int, nthread: int = 1, servo: str = "ideal", randomise: str = "none", **changes: Any) -> RigEnv:
        """The task with the guard; `changes` of its config."""
        config, guard = replace(self.config, **changes), Guard(RobotDescription.load(self.description), n)
        rig = make_rig(self.description, n, config, nthread, guard, servo=servo, randomise=randomise)
        return RigEnv(rig, self.task(rig.world, config))


CASES = {
    "lift": Case(Lift, LiftConfig(), lambda n: LiftExpert(n, SO101), lift_cube),
    "pick_place": Case(PickPlace, PickPlaceConfig(), lambda n: PlaceExpert(n, SO101), fill_bin),
    "stack": Case(Stack, StackConfig(), lambda n: PlaceExpert(n, SO101, StackExpertConfig()), stack_cubes),
    "open_drawer": Case(OpenDrawer, OpenDrawerConfig(), lambda n: OpenDrawerExpert(n, SO101), pull_drawer),
    "koch_lift": Case(
        Lift, KochLiftConfig(), lambda n: LiftExpert(n, KOCH, KochLiftExpertConfig()), lift_cube, description=KOCH
    ),
    "ur5e_lift": Case(
        Lift, Ur5eLiftConfig(), lambda n: LiftExpert(n, UR5E, Ur5eLiftExpertConfig()), lift_cube, description=UR5E
    ),
}
