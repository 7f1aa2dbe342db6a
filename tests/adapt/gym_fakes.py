"""Gymnasium environments that misbehave on purpose; importing this module registers them."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Reach(gymnasium.Env):
    """A goal environment on a line: success within 0.1 of the goal, terminated beyond 2. `nan_at`, `die_at`: steps at
    which it returns not-a-number, or kills its process."""

    metadata = {"render_modes": [], "render_fps": 20}
    action_space = spaces.Box(-0.5, 0.5, (1,), np.float64)

    def __init__(self, nan_at: int = 0, die_at: int = 0, error_at: int = 0) -> None:
        box = spaces.Box(-np.inf, np.inf, (1,), np.float64)
        keys = ("observation", "achieved_goal", "desired_goal")
        self.observation_space = spaces.Dict(dict.fromkeys(keys, box))
        self.nan_at, self.die_at, self.error_at = nan_at, die_at, error_at

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.position, self.steps = 0.0, 0
        self.goal = self.np_random.uniform(-1, 1)
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        assert self.action_space.contains(action), action
        self.steps += 1
        if self.steps == self.die_at:
            os._exit(3)
        if self.steps == self.error_at:
            raise ZeroDivisionError("on purpose")
        self.position += float(action[0])
        if self.steps == self.nan_at:
            self.position = np.nan
        info = {"is_success": float(abs(self.position - self.goal) < 0.1)}
        return self._observe(), -abs(self.position - self.goal), self.position > 2, False, info

    def _observe(self) -> dict[str, np.ndarray]:
        place = np.array([self.position])
        return {"observation": place, "achieved_goal": place, "desired_goal": np.array([self.goal])}


gymnasium.register("FakeReach-v0", Reach, max_episode_steps=12)


def towards(obs: dict[str, np.ndarray]) -> np.ndarray:
    """Expert of `Reach` for one row."""
    return obs["desired_goal"] - obs["achieved_goal"]


class Stepper:
    """An expert with memory: a new direction at every reset."""

    def reset(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def get_action(self, obs: np.ndarray) -> np.ndarray:
        return self.rng.uniform(-1, 1, 1)
