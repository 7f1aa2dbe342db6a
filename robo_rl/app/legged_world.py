"""A simulated world as what an emulated quadruped moves in, inside the emulator's process."""

from __future__ import annotations

import mujoco
import numpy as np

from hardware.emulators.go2_plant import Body, Drive
from robo_rl.app.world_plant import ONE, ROW, WorldFactory
from robo_rl.robot import RobotDescription
from sim.legs import USUAL, ImuNoise, sensor_column
from sim.models.go2 import ACCELEROMETER, TOUCH
from sim.world import World

STEP = 0.002  # [s] of physics, and with it of the motors' loop
CROUCH = (0.0, 1.36, -2.65)  # [rad] hip, thigh, calf of a robot that lies on its folded legs
HEIGHT = 0.13  # [m] of the trunk then


class WorldLegs:
    """The robot in a simulated world; at power-on it lies on its folded legs, limp.

    A motor's torque is clip(tau + kp (q* - q) + kd (dq* - v), +-max_torque): MuJoCo's affine actuator with a gain of 1,
    whose damping is integrated implicitly. Its IMU is as noisy as the simulated one.
    """

    def __init__(self, model: mujoco.MjModel, description: RobotDescription, noise: ImuNoise = USUAL) -> None:
        model.opt.timestep = STEP
        self.world = world = World(model, 1, description.dt, nthread=1)
        self._qpos = [int(model.joint(name).qposadr[0]) for name in description.names]
        self._dof = [int(model.joint(name).dofadr[0]) for name in description.names]
        self._motors = [model.actuator(name).id for name in description.names]
        self._gain, self._bias = world.expand("actuator_gainprm")[0], world.expand("actuator_biasprm")[0]
        self._force, self._data = world.batch.bind("actuator_force"), world.batch.bind("sensordata")
        self._feet = [sensor_column(world, foot + TOUCH) for foot in description.model["feet"]]
        start = sensor_column(world, ACCELEROMETER)
        self._acceleration = slice(start, start + 3)
        self._noise, self._draw, self._owed = noise, np.random.default_rng(0), 0.0
        world.reset(ONE, ROW)
        world.qpos[0, self._qpos], world.qpos[0, 2] = np.tile(CROUCH, 4), HEIGHT
        world.sense()

    @property
    def state(self) -> np.ndarray:
        return self.world.save_state(ROW)[0]

    def place(self, state: np.ndarray) -> None:
        self.world.load_state(ROW, np.where(np.isnan(state), self.state, state)[None])

    def advance(self, drive: Drive, stuck: np.ndarray, seconds: float) -> Body:
        world = self.world
        self._owed += seconds
        steps = int(self._owed / STEP)
        self._owed -= steps * STEP
        self._gain[self._motors, 0] = 1.0
        self._bias[self._motors, 1], self._bias[self._motors, 2] = -drive.kp, -drive.kd
        world.ctrl[0, self._motors] = drive.tau + drive.kp * drive.q + drive.kd * drive.dq
        held = world.qpos[0, self._qpos].copy()
        if steps:
            world.advance(ONE, steps)
        if stuck.any():
            joints = np.flatnonzero(stuck)
            world.qpos[0, np.array(self._qpos)[joints]], world.qvel[0, np.array(self._dof)[joints]] = held[joints], 0.0
        return self._body()

    def _body(self) -> Body:
        world, noise = self.world, self._noise
        scale = np.repeat([noise.tilt / 2, noise.gyroscope, noise.accelerometer], [2, 3, 3])
        draw = scale * self._draw.standard_normal(8)
        quaternion = world.qpos[0, 3:7].copy()
        quaternion[1:3] += draw[:2]
        return Body(
            position=world.qpos[0, self._qpos].copy(),
            velocity=world.qvel[0, self._dof].copy(),
            torque=self._force[0, self._motors].copy(),
            quaternion=quaternion / np.sqrt(quaternion @ quaternion),
            gyroscope=world.qvel[0, 3:6] + draw[2:5],
            accelerometer=self._data[0, self._acceleration] + draw[5:],
            feet=self._data[0, self._feet].copy(),
        )


class WorldLegsFactory(WorldFactory):
    """Makes `WorldLegs`."""

    def make(self) -> WorldLegs:
        return WorldLegs(self.model, self.description)
