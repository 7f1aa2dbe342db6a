"""One Meta-World task with the goal in its observation."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE  # pyright: ignore[reportMissingImports]


class Seeded(gymnasium.Wrapper):
    """A Meta-World environment that draws its scene at every reset, from the seed that `reset` is given.

    Meta-World ignores the seed of `reset` and, outside its benchmarks, keeps the scene it drew first; here it draws
    from its own generator (`seeded_rand_vec`), seeded before the reset. `terminated` stays False: success is in `info`.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        if seed is not None:
            self.unwrapped.seed(seed)
        return self.env.reset()


def make(task: str, render_mode: str | None = None) -> gymnasium.Env:
    """The environment of a task such as "pick-place-v3"; observation (39,), action (4,): hand velocity and grip."""
    env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[f"{task}-goal-observable"](seed=0, render_mode=render_mode)
    env._freeze_rand_vec, env.seeded_rand_vec = False, True
    return Seeded(env)
