"""An `Env` as a Gymnasium environment, single or vectorised."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from robo_rl.adapt.spaces import box_of, dict_of, flat_box_of
from robo_rl.env import Env
from robo_rl.seeds import Seeds
from robo_rl.types import Kind, Reason, Step

_SEEDS = 2**31  # a reset without a seed draws one below


def observe(env: Env, step: Step, flatten: bool) -> Any:
    """A step's observation as its space has it: by key, or packed side by side (N, vector_size) float32."""
    return env.obs_spec.pack(step.obs) if flatten else {key: step.obs[key] for key in env.obs_spec}


def observation_space(env: Env, flatten: bool) -> gymnasium.Space:
    """Space of one row's observation."""
    return flat_box_of(env.obs_spec) if flatten else dict_of(env.obs_spec)


def ends(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """(terminated, truncated), (N,) bool each: LAST with discount 0, LAST with another discount."""
    terminated = step.last & (step.discount == 0)
    return terminated, step.last & ~terminated


class GymnasiumEnv(gymnasium.Env):
    """Row 0 of an `Env` of one row. RESET ticks of a robot that homes pass inside `reset`.

    Args:
        env: an env with n = 1.
        flatten: observations as one vector (floating-point keys side by side) instead of a dict.
    """

    metadata = {"render_modes": []}

    def __init__(self, env: Env, flatten: bool = False) -> None:
        if env.n != 1:
            raise ValueError(f"GymnasiumEnv: the env has {env.n} rows; use GymnasiumVectorEnv")
        self.env, self.flatten = env, flatten
        self.observation_space = observation_space(env, flatten)
        self.action_space = box_of(env.act_spec)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        seed = int(self.np_random.integers(_SEEDS)) if seed is None else seed
        step = self.env.reset(np.ones(1, bool), Seeds(seed, 1))
        while not step.first[0]:
            self.env.send(np.zeros((1, *self.env.act_spec.shape), np.float32))  # not live: nobody executes it
            step = self.env.recv()
        return self._observe(step), self._info(step)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.env.send(np.asarray(action, np.float32)[None])
        step = self.env.recv()
        terminated, truncated = ends(step)
        return self._observe(step), float(step.reward[0]), bool(terminated[0]), bool(truncated[0]), self._info(step)

    def close(self) -> None:
        self.env.close()

    def _observe(self, step: Step) -> Any:
        obs = observe(self.env, step, self.flatten)
        return obs[0] if self.flatten else {key: value[0] for key, value in obs.items()}

    def _info(self, step: Step) -> dict[str, Any]:
        return {
            "success": int(step.success[0]),
            "reason": Reason(int(step.reason[0])).label,
            "applied": step.applied[0],
            "episode_seed": int(step.seed[0]),
        }


class GymnasiumVectorEnv(gymnasium.vector.VectorEnv):
    """All rows of an `Env`. A row that ended begins anew in the next step, whose action for it is ignored: LAST
    followed by FIRST is Gymnasium's `AutoresetMode.NEXT_STEP`. Episodes have seeds seed + row at `reset`, then the next
    ones of that stream. Rows in RESET (a robot that homes) carry `info["reset"]`.

    Args:
        env: the env.
        flatten: observations as one vector a row instead of a dict.
    """

    metadata = {"render_modes": [], "autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, env: Env, flatten: bool = False) -> None:
        self.env, self.flatten, self.num_envs = env, flatten, env.n
        self.single_observation_space = observation_space(env, flatten)
        self.single_action_space = box_of(env.act_spec)
        self.observation_space = batch_space(self.single_observation_space, env.n)
        self.action_space = batch_space(self.single_action_space, env.n)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        start = int(self.np_random.integers(_SEEDS)) if seed is None else seed
        step = self.env.reset(np.ones(self.num_envs, bool), Seeds(start))
        return observe(self.env, step, self.flatten), self._info(step)

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.env.send(np.asarray(actions, np.float32))
        step = self.env.recv()
        reward = step.reward.astype(np.float64)
        return observe(self.env, step, self.flatten), reward, *ends(step), self._info(step)

    def close_extras(self, **kwargs: Any) -> None:
        self.env.close()

    def _info(self, step: Step) -> dict[str, Any]:
        info = {
            "success": step.success,
            "reason": step.reason,
            "applied": step.applied,
            "episode_seed": step.seed,
            "reset": step.kind == Kind.RESET,
        }
        return info | {f"_{key}": np.ones(self.num_envs, bool) for key in info}
