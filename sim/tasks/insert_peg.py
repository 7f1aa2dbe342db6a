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

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from robo_rl import random
from robo_rl.robot import Guard, RobotDescription
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import PRIVILEGED, Obs, Reason
from sim.models.so101 import add_arm
from sim.models.table import add_block, add_peg, add_table
from sim.rig import SimRig
from sim.robot import SimRobot
from sim.sensors import EXACT, FIDUCIAL, ObjectTracker, TrackerNoise
from sim.world import World, require_batch

NAME = "so101/insert_peg"
BODIES = ("peg", "block")


@dataclass(frozen=True)
class InsertPegConfig:
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
    hold: int = 5  # [ticks] it must stay there
    limit: float = 10.0  # [s]


STANDARD = InsertPegConfig()


def build_model(description: RobotDescription, config: InsertPegConfig) -> mujoco.MjModel:
    """Compile arm, table, peg and block.

    Time step 1/240 s and Newton with a pyramidal cone: 8 substeps a control tick, stable grasps, the fastest of the
    settings that were.
    """
    spec = mujoco.MjSpec()
    spec.modelname, spec.compiler.degree = "insert_peg", False
    spec.option.timestep = description.dt / 8
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.iterations, spec.option.ls_iterations = 20, 20
    spec.option.tolerance = 1e-6
    spec.option.impratio = 1.0
    add_table(spec)
    add_arm(spec, description)
    add_peg(spec, "peg", config.peg_width / 2, config.peg_height / 2, config.peg_mass)
    add_block(spec, "block", config.hole_width / 2, config.wall, config.hole_depth)
    return spec.compile()


class InsertPeg(Task):
    """The task on a world that holds the bodies "peg" and "block" (see the module's docstring)."""

    name = NAME
    obs_spec = Spec({})

    def __init__(self, world: World, config: InsertPegConfig = STANDARD) -> None:
        self.world, self.config, self.limit = world, config, config.limit
        self._peg = int(world.model.joint("peg").qposadr[0])
        self._block = int(world.model.body("block").mocapid[0])
        self._held = np.zeros(world.n, np.int64)  # ticks in a row that the peg has been in the hole
        self._stream = random.stream(NAME)

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Place peg and block of the rows `where` (N,) bool from their seeds (N,); rows are ready at once."""
        c = self.config
        draw = 2.0 * random.uniform(seeds[where], 0, self._stream, 6) - 1.0
        yaw, block_yaw = draw[:, 2] * c.peg_yaw, draw[:, 5] * c.block_yaw
        peg = np.zeros((len(draw), 7))
        peg[:, :2] = c.peg_centre + draw[:, :2] * c.peg_region / np.array(2.0)
        peg[:, 2] = c.peg_height / 2
        peg[:, 3], peg[:, 6] = np.cos(yaw / 2), np.sin(yaw / 2)
        self.world.qpos[where, self._peg : self._peg + 7] = peg
        block = np.zeros((len(draw), 3))
        block[:, :2] = c.block_centre + draw[:, 3:5] * c.block_region / np.array(2.0)
        turn = np.zeros((len(draw), 4))
        turn[:, 0], turn[:, 3] = np.cos(block_yaw / 2), np.sin(block_yaw / 2)
        self.world.mocap_pos[where, self._block] = block
        self.world.mocap_quat[where, self._block] = turn
        self._held[where] = 0
        return where

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        """Sparse: reward 1 and terminal when the peg has been in the hole for `hold` ticks."""
        self._held = np.where(self.inserted(), self._held + 1, 0)
        success = self._held >= self.config.hold
        reason = np.where(success, Reason.SUCCESS, Reason.RUNNING).astype(np.uint8)
        return Verdict(success.astype(np.float32), success, success.astype(np.int8), reason)

    def inserted(self) -> np.ndarray:
        """(N,) bool: the peg's lower end is deep enough, and inside the hole."""
        c = self.config
        pose = self.world.qpos[:, self._peg : self._peg + 7]
        w, x, y, z = pose[:, 3:].T
        half = c.peg_height / 2
        axis = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)
        lower = pose[:, :3] - half * np.copysign(axis, axis[:, 2:])  # whichever end points down
        centre = self.world.mocap_pos[:, self._block]
        turn = self.world.mocap_quat[:, self._block]
        cos, sin = 1 - 2 * turn[:, 3] ** 2, 2 * turn[:, 0] * turn[:, 3]
        dx, dy = lower[:, 0] - centre[:, 0], lower[:, 1] - centre[:, 1]
        along, across = np.abs(cos * dx + sin * dy), np.abs(cos * dy - sin * dx)
        inside = np.maximum(along, across) < c.hole_width / 2
        return inside & (lower[:, 2] <= centre[:, 2] + c.hole_depth - c.depth)


def make_rig(
    description: str | Path,
    n: int,
    nthread: int = 0,
    guard: Guard | None = None,
    noise: TrackerNoise = FIDUCIAL,
    realtime: bool = False,
    config: InsertPegConfig = STANDARD,
) -> SimRig:
    """The simulated SO-101 with peg and block, and a tracker that sees both; n rows."""
    require_batch()
    robot = RobotDescription.load(description)
    world = World(build_model(robot, config), n, robot.dt, nthread)
    sensors = [ObjectTracker(world, BODIES, noise)]
    truth = [ObjectTracker(world, BODIES, EXACT, PRIVILEGED)]
    return SimRig(world, [SimRobot(world, robot, guard)], sensors, truth, realtime)
