"""A bundled task's own Gymnasium environment, one row, for a peer that steps many of them in processes."""

from __future__ import annotations

from typing import Any

import gymnasium

import robo_rl.adapt.register as tasks
from benchmarks.peers import STRIDE


class Reseeded(gymnasium.Wrapper):
    """Reset without a seed, it goes on with the seed `STRIDE` further than the last."""

    _seed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._seed = self._seed + STRIDE if seed is None else seed
        return self.env.reset(seed=self._seed, options=options)


def make(task: str) -> gymnasium.Env:
    """The environment of a task such as "so101/lift", stepped by one thread, without Gymnasium's checks."""
    tasks.register()
    name = next(name for name, kwargs in tasks.TASKS.items() if kwargs["task"] == task)
    return Reseeded(gymnasium.make(name, nthread=1).unwrapped)
