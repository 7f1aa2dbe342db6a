"""A simulated world as what an emulated arm moves in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hardware.emulators.plant import Motion
from robo_rl.robot import RobotDescription
from sim.world import World

ONE = np.ones(1, bool)
ROW = np.zeros(1, np.int64)


class WorldPlant:
    """The arm in a simulated world, as what an emulated bus moves. At power-on its joints are at zero, and limp.
    Its state is the world's, see `World.save_state`."""

    def __init__(self, world: World, description: RobotDescription) -> None:
        self.world = world
        joints = [world.model.joint(name) for name in description.names]
        self._qpos = [int(joint.qposadr[0]) for joint in joints]
        self._dof = [int(joint.dofadr[0]) for joint in joints]
        self._motor = [world.model.actuator(name).id for name in description.names]
        self._force = world.expand("actuator_forcerange")[0]
        self._full = description.array("max_torque")
        self._stiffness = description.servo("kp") / self._full  # [1/rad]
        self._owed = 0.0  # [s] that the world is behind
        world.reset(ONE, np.zeros(1, np.int64))

    def advance(self, goals: np.ndarray, torque: np.ndarray, seconds: float) -> Motion:
        world = self.world
        self._owed += seconds
        steps = int(self._owed / world.model.opt.timestep)
        self._owed -= steps * world.model.opt.timestep
        world.ctrl[0, self._motor] = goals
        self._force[self._motor] = np.stack([-torque, torque], axis=1) * self._full[:, None]
        if steps:
            world.advance(ONE, steps)
        position, velocity = world.qpos[0, self._qpos].copy(), world.qvel[0, self._dof].copy()
        return Motion(position, velocity, np.clip((goals - position) * self._stiffness, -torque, torque))

    @property
    def state(self) -> np.ndarray:
        return self.world.save_state(ROW)[0]

    def place(self, state: np.ndarray) -> None:
        """Change what is a number in `state` (K,)."""
        self.world.load_state(ROW, np.where(np.isnan(state), self.state, state)[None])

    def renew(self, seeds: np.ndarray) -> None:
        """Begin the world of another episode around the arm, which stays as it is."""
        world = self.world
        position, velocity = world.qpos[0, self._qpos].copy(), world.qvel[0, self._dof].copy()
        world.reset(ONE, seeds)
        world.qpos[0, self._qpos], world.qvel[0, self._dof] = position, velocity


@dataclass(frozen=True)
class WorldFactory:
    """What makes a plant of a compiled model in an emulator's process; its state has `size` numbers."""

    model: Any  # mujoco.MjModel
    description: RobotDescription
    size: int

    @classmethod
    def of(cls, world: World, description: RobotDescription) -> Self:
        """For a world like this one."""
        return cls(world.model, description, world.save_state(ROW).shape[1])


class WorldPlantFactory(WorldFactory):
    """Makes `WorldPlant`."""

    def make(self) -> WorldPlant:
        return WorldPlant(World(self.model, 1, self.description.dt, nthread=1), self.description)
