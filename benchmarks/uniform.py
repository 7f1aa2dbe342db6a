"""The policy that a task must not be solved by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robo_rl import random
from robo_rl.policy import Policy
from robo_rl.spec import Feature
from robo_rl.types import Action, Obs


class Uniform(Policy):
    """Setpoints drawn anywhere in the bounds of `act_spec`, anew at every tick."""

    def __init__(self, n: int, act_spec: Feature) -> None:
        self.act_spec = act_spec
        self._seed, self._tick = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._stream = random.stream("uniform policy")

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self._seed = np.where(where, seeds, self._seed)
        self._tick = np.where(where, 0, self._tick)

    def act(self, obs: Obs) -> Action:
        draw = random.uniform(self._seed, self._tick, self._stream, self.act_spec.size)
        self._tick = self._tick + 1
        low, high = self.act_spec.low, self.act_spec.high
        return Action((low + draw * (high - low)).astype(np.float32))

    def state(self) -> dict[str, np.ndarray]:
        return {"seed": self._seed, "tick": self._tick}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._seed, self._tick = state["seed"].copy(), state["tick"].copy()
