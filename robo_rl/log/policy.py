"""A log as a policy: it commands again what was commanded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.policy import Policy
from robo_rl.spec import Feature, Spec
from robo_rl.types import NO_SEED, Action, Obs


class LogPolicy(Policy):
    """Plays the logged commands tick by tick, in every row those of the episode whose seed is reset.

    Past an episode's end its last command is repeated; a row that was never reset commands zeros (nothing is written to
    its robot). Of several episodes with one seed the first is played.

    Args:
        episodes: at least one.
        extra_spec: spec of the logged extras (default: shapes and dtypes of the first episode's).

    Raises:
        UserError: no episode is given, or (at `reset`) none has the seed.
    """

    def __init__(self, episodes: Iterable[Episode], extra_spec: Spec | None = None) -> None:
        self._episodes: dict[int, Episode] = {}
        for episode in episodes:
            self._episodes.setdefault(episode.seed, episode)
        if not self._episodes:
            raise UserError("log: holds no episode to play")
        self._sample = next(iter(self._episodes.values()))
        extras = {key: Feature(value.shape[1:], value.dtype.name) for key, value in self._sample.extra.items()}
        self.extra_spec = Spec(extras) if extra_spec is None else extra_spec
        self._seed = np.zeros(0, np.int64)
        self._tick = np.zeros(0, np.int64)

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        unknown = [int(seed) for seed in seeds[where] if int(seed) not in self._episodes]
        if unknown:
            raise UserError(f"log: holds no episode with seed {unknown[0]}")
        self._grow(len(where))
        self._seed = np.where(where, seeds, self._seed)
        self._tick = np.where(where, 0, self._tick)

    def act(self, obs: Obs) -> Action:
        n = len(next(iter(obs.values()))) if obs else len(self._seed)
        self._grow(n)
        value = np.zeros((n, *self._sample.action.shape[1:]), self._sample.action.dtype)
        extra = self.extra_spec.zeros(n)
        for row in np.flatnonzero(self._seed != NO_SEED):
            episode = self._episodes[int(self._seed[row])]
            tick = min(int(self._tick[row]), len(episode) - 1)
            value[row] = episode.action[tick]
            for key in extra:
                extra[key][row] = episode.extra[key][tick]
        self._tick += 1
        return Action(value, extra)

    def state(self) -> dict[str, np.ndarray]:
        return {"seed": self._seed.copy(), "tick": self._tick.copy()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._seed, self._tick = state["seed"].copy(), state["tick"].copy()

    def _grow(self, n: int) -> None:
        if len(self._seed) != n:
            self._seed, self._tick = np.full(n, NO_SEED, np.int64), np.zeros(n, np.int64)
