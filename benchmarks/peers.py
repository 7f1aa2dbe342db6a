"""The peer of the pipeline: so101/insert_peg as a plain Gymnasium environment around `mj_step`.

Written the way one writes a single environment by hand: one `MjData`, scalars and small arrays, no contracts, no
batch. Same model, substeps, limits of the setpoint, observation (noise and delay of the tracker included), success
test and time limit as the project's own; the scene of an episode follows from its seed in the same way, so that both
go through the same physics when they are given the same actions.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import mujoco
import numpy as np

from robo_rl import random
from robo_rl.robot import RobotDescription
from sim.sensors import FIDUCIAL, TrackerNoise
from sim.tasks.insert_peg import NAME, STANDARD, build_model

STRIDE = 64  # an environment that is reset without a seed goes on with the seed that much further


class PegEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One simulation. Observation (39,) float32: joint positions, velocities, setpoint, tool, peg and block."""

    def __init__(self, description: str, noise: TrackerNoise = FIDUCIAL) -> None:
        robot = RobotDescription.load(description)
        self.model = build_model(robot, STANDARD)
        self.data = mujoco.MjData(self.model)
        self.substeps = round(robot.dt / self.model.opt.timestep)
        self.limit = round(STANDARD.limit / robot.dt)
        self._low, self._high = (robot.array(side).astype(np.float32) for side in ("low", "high"))
        self._rate = (robot.array("max_speed") * robot.dt).astype(np.float32)
        self._home = robot.array("home").astype(np.float32)
        self._noise, self._joints = noise, len(robot.joints)
        first = self.model.joint(robot.joints[0].name)
        self._q, self._v = int(first.qposadr[0]), int(first.dofadr[0])
        self._peg = int(self.model.joint("peg").qposadr[0])
        self._tool = int(self.model.body(robot.tool_parent).id)
        self._tool_position, self._tool_turn = np.array(robot.tool_position), np.array(robot.tool_quaternion)
        self._seed, self._ticks, self._held = 0, 0, 0
        self._rng = np.random.default_rng(0)
        self._applied, self._captured = self._home, np.zeros((2, 7))
        size = 3 * self._joints + 21
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(self._low, self._high, dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """The scene of `seed`; without one, of the seed `STRIDE` further than the last."""
        self._seed = self._seed + STRIDE if seed is None else seed
        self._rng = np.random.default_rng(self._seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._q : self._q + self._joints] = self._home
        self.data.ctrl[:] = self._home
        self._place()
        self._applied, self._ticks, self._held = self._home, 0, 0
        self._captured = self._poses()
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One control period."""
        target = np.clip(action, self._low, self._high)
        self._applied = np.clip(target, self._applied - self._rate, self._applied + self._rate)
        self.data.ctrl[:] = self._applied
        mujoco.mj_step(self.model, self.data, self.substeps)
        self._ticks += 1
        self._held = self._held + 1 if self._inserted() else 0
        success = self._held >= STANDARD.hold
        late = not success and self._ticks >= self.limit
        return self._observe(), float(success), success, late, {}

    def _place(self) -> None:
        c = STANDARD
        draw = 2.0 * random.uniform(np.array([self._seed]), 0, random.stream(NAME), 6)[0] - 1.0
        yaw, turn = draw[2] * c.peg_yaw / 2, draw[5] * c.block_yaw / 2
        x, y = c.peg_centre + draw[:2] * c.peg_region / np.array(2.0)
        at = self._peg
        self.data.qpos[at : at + 7] = (x, y, c.peg_height / 2, math.cos(yaw), 0.0, 0.0, math.sin(yaw))
        self.data.mocap_pos[0, :2] = c.block_centre + draw[3:5] * c.block_region / np.array(2.0)
        self.data.mocap_pos[0, 2] = 0.0
        self.data.mocap_quat[0] = (math.cos(turn), 0.0, 0.0, math.sin(turn))

    def _poses(self) -> np.ndarray:
        """True poses of peg and block, (2, 7)."""
        poses = np.empty((2, 7))
        poses[0] = self.data.qpos[self._peg : self._peg + 7]
        poses[1, :3], poses[1, 3:] = self.data.mocap_pos[0], self.data.mocap_quat[0]
        return poses

    def _observe(self) -> np.ndarray:
        now = self._poses()
        seen, self._captured = (self._captured, now) if self._noise.delay else (now, now)
        if self._noise.position or self._noise.rotation:
            seen = self._disturb(seen)
        q, v, joints = self._q, self._v, self._joints
        moving = (self.data.qpos[q : q + joints], self.data.qvel[v : v + joints], self._applied)
        return np.concatenate((*moving, self._tool_pose(), seen.ravel()), dtype=np.float32, casting="same_kind")

    def _tool_pose(self) -> np.ndarray:
        """Position and quaternion (w >= 0) of the tool."""
        mujoco.mj_kinematics(self.model, self.data)
        pose, body = np.empty(7), self._tool
        mujoco.mju_rotVecQuat(pose[:3], self._tool_position, self.data.xquat[body])
        pose[:3] += self.data.xpos[body]
        mujoco.mju_mulQuat(pose[3:], self.data.xquat[body], self._tool_turn)
        if pose[3] < 0:
            pose[3:] *= -1
        return pose

    def _disturb(self, poses: np.ndarray) -> np.ndarray:
        draw = self._rng.standard_normal((2, 6))
        out = poses.copy()
        out[:, :3] += self._noise.position * draw[:, :3]
        half = (0.5 * self._noise.rotation) * draw[:, 3:]
        for pose, (a, b, c) in zip(out, half.tolist(), strict=True):
            w, x, y, z = pose[3:].tolist()
            turned = (w - a * x - b * y - c * z, x + w * a + y * c - z * b, y + w * b + z * a - x * c,
                      z + w * c + x * b - y * a)  # fmt: skip
            norm = math.copysign(math.sqrt(sum(value * value for value in turned)), turned[0])
            pose[3:] = [value / norm for value in turned]
        return out

    def _inserted(self) -> bool:
        """The peg's lower end is deep enough, and inside the hole."""
        c = STANDARD
        px, py, pz, w, x, y, z = self.data.qpos[self._peg : self._peg + 7].tolist()
        axis = (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
        half = math.copysign(c.peg_height / 2, axis[2])
        block, turn = self.data.mocap_pos[0].tolist(), self.data.mocap_quat[0].tolist()
        if pz - half * axis[2] > block[2] + c.hole_depth - c.depth:
            return False
        cos, sin = 1 - 2 * turn[3] ** 2, 2 * turn[0] * turn[3]
        dx, dy = px - half * axis[0] - block[0], py - half * axis[1] - block[1]
        return max(abs(cos * dx + sin * dy), abs(cos * dy - sin * dx)) < c.hole_width / 2
