"""A simulated robot: position servos behind the same guard and the same specs as the physical one."""

from __future__ import annotations

import mujoco
import numpy as np

from robo_rl.kinematics import Kinematics
from robo_rl.robot import Guard, Robot, RobotDescription, Stamp
from robo_rl.types import Obs
from sim.servo import ServoDetails, Servos
from sim.world import World


class SimRobot(Robot):
    """The robot `description` in every simulation of `world`.

    Setpoints (N, A) [rad] pass the guard (`None`: they are clamped to the joint limits, nothing else), then become
    the position servos' targets: at once, or as `servos` says.
    """

    def __init__(
        self,
        world: World,
        description: RobotDescription,
        guard: Guard | None = None,
        servos: ServoDetails | None = None,
    ) -> None:
        self.world, self.description, self.guard = world, description, guard
        self.obs_spec, self.act_spec = description.obs_spec, description.act_spec
        self.servos = None if servos is None else Servos(description, servos, world.n, world.substeps)
        self._kinematics = Kinematics(description) if description.tool_parent else None
        self._home = description.array("home")
        self._low, self._high = description.array("low"), description.array("high")
        self._qpos, self._qvel, self._ctrl = (
            _places([_address(world.model, kind, name) for name in description.names])
            for kind in ("qpos", "dof", "ctrl")
        )
        self._applied = np.tile(self._home.astype(np.float32), (world.n, 1))

    def connect(self) -> None:
        """Nothing to open."""

    def home(self, where: np.ndarray) -> np.ndarray:
        """Rows `where` are at the home pose at once, and free of faults: in simulation nobody has to be asked."""
        rows = np.flatnonzero(where)
        self.world.qpos[_at(rows, self._qpos)] = self._home
        self.world.ctrl[_at(rows, self._ctrl)] = self._home
        self._applied[where] = self._home
        if self.servos is not None:
            self.servos.home(where, self._home)
        if self.guard is not None:
            if self.guard.faults.any():
                self.guard.clear(where & self.guard.faults)
            self.guard.reset(where, self._applied)
        return where

    def model_servos(self) -> None:
        """Drive the joints through an ideal servo model where there is no other."""
        if self.servos is None:
            self.servos = Servos(self.description, ServoDetails(), self.world.n, self.world.substeps)

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        if self.guard is not None:
            target = self.guard.filter(action, live)
        else:
            target = np.clip(action, self._low, self._high)
        self._applied = np.where(live[:, None], target, self._applied).astype(np.float32, copy=False)
        if self.servos is None:
            self.world.ctrl[:, self._ctrl] = self._applied
        else:
            self.servos.command(self._applied, live)
        return self._applied

    def drive(self, substep: int) -> None:
        """Let the servo model set the targets of one substep of the tick."""
        if self.servos is not None:
            position, velocity = self.world.qpos[:, self._qpos], self.world.qvel[:, self._qvel]
            self.world.ctrl[:, self._ctrl] = self.servos.drive(substep, position, velocity)

    def read(self) -> tuple[Obs, Stamp]:
        position = self.world.qpos[:, self._qpos]
        if self.servos is not None:
            position = self.servos.measured(position)
        obs = {
            "joint_position": position.astype(np.float32),
            "joint_velocity": self.world.qvel[:, self._qvel].astype(np.float32),
            "applied": self._applied.copy(),
        }
        if self._kinematics is not None:
            obs[self.description.tool_key] = self._kinematics.tool_pose(position).astype(np.float32)
        now = self.world.tick * self.world.dt
        return obs, dict.fromkeys(obs, now)

    def stop(self) -> None:
        """Hold the present setpoint."""

    def close(self) -> None:
        """Nothing to release."""


def _address(model: mujoco.MjModel, kind: str, name: str) -> int:
    if kind == "ctrl":
        return model.actuator(name).id
    joint = model.joint(name)
    return int((joint.qposadr if kind == "qpos" else joint.dofadr)[0])


def _places(addresses: list[int]) -> slice | np.ndarray:
    """Columns of the joints: a slice, which is faster, where they follow one another in the model."""
    start, count = addresses[0], len(addresses)
    together = addresses == list(range(start, start + count))
    return slice(start, start + count) if together else np.array(addresses)


def _at(rows: np.ndarray, columns: slice | np.ndarray) -> tuple:
    """Index of some rows' columns."""
    return (rows, columns) if isinstance(columns, slice) else (rows[:, None], columns)
