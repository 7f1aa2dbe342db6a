"""Episodes that begin in the middle of a demonstration, early in training (SnapshotRL, arXiv 2403.00673).

For simulations alone: the scene is that of the demonstration's seed, and its actions bring the row to the state that it
had there, bit for bit, before the episode begins. Those ticks are RESET ticks: no replay takes them in, and they are no
environment steps of the learner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robo_rl import random
from robo_rl.env import Env
from robo_rl.log.episode import Episode
from robo_rl.ranges import POSITIVE, SHARE
from robo_rl.seeds import Seeds
from robo_rl.types import NO_SEED, Kind, Step, Success


@dataclass(frozen=True)
class StartsConfig:
    share: float = 0.0  # of the episodes begin in a demonstration, at first
    until: int = 50_000  # environment steps over which that share falls to zero
    furthest: float = 0.9  # of a demonstration's length

    def __post_init__(self) -> None:
        POSITIVE.check_fields(self, "learner.starts", "until")
        SHARE.check_fields(self, "learner.starts", "share", "furthest")


class DemonstrationStarts(Env):
    """An environment of which a share of the episodes begins somewhere in one of `episodes`.

    What a row's `Step.seed` says is the seed it drew: a policy's noise is another one every time, though the scene is
    the demonstration's. Set `share` between episodes.
    """

    def __init__(self, env: Env, episodes: Sequence[Episode], furthest: float = 0.9) -> None:
        self.env, self.episodes, self.furthest, self.share = env, list(episodes), furthest, 0.0
        self.obs_spec, self.act_spec, self.n, self.dt, self.limit = (
            env.obs_spec, env.act_spec, env.n, env.dt, env.limit,
        )  # fmt: skip
        self._lengths = np.array([len(episode) for episode in self.episodes])
        self._demo = np.full(self.n, -1)  # that the row's scene is of; -1: none
        self._begin = np.zeros(self.n, np.int64)  # tick of it at which the episode begins
        self._tick = np.zeros(self.n, np.int64)
        self._drawn = np.full(self.n, NO_SEED, np.int64)
        self._approaching = np.zeros(self.n, bool)

    def reset(self, where: np.ndarray, seeds: Seeds) -> Step:
        self._approaching = self._approaching & ~where
        return self._seen(self.env.reset(where, _Drawn(self, seeds)))

    def send(self, action: np.ndarray) -> None:
        rows = np.flatnonzero(self._approaching)
        if len(rows):
            action = np.array(action)
            for row in rows:  # in the few episodes that begin this way
                action[row] = self.episodes[self._demo[row]].action[self._tick[row]]
        self.env.send(action)

    def recv(self) -> Step:
        return self._seen(self.env.recv())

    def close(self) -> None:
        self.env.close()

    def draw(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Scene seeds (N,) for rows that drew `seeds`; notes which demonstration a row follows, and how far."""
        chance = random.uniform(seeds, 0, random.stream("starts"), 3)
        chosen = where & (seeds != NO_SEED) & (chance[:, 0] < self.share)
        demo = (chance[:, 1] * len(self.episodes)).astype(np.int64)
        begin = (chance[:, 2] * self.furthest * (self._lengths[demo] - 1)).astype(np.int64)
        self._demo = np.where(where, np.where(chosen, demo, -1), self._demo)
        self._begin = np.where(where, np.where(chosen, begin, 0), self._begin)
        self._drawn = np.where(where, seeds, self._drawn)
        scenes = np.array([episode.seed for episode in self.episodes], np.int64)
        return np.where(chosen, scenes[demo], seeds)

    def _seen(self, step: Step) -> Step:
        """The step with approaches as RESET ticks and the drawn seeds."""
        first = step.kind == Kind.FIRST
        self._tick = np.where(first, 0, self._tick + self._approaching)
        arrived = self._approaching & (step.kind == Kind.MID) & (self._tick >= self._begin)
        going = (self._approaching & (step.kind == Kind.MID) & ~arrived) | (first & (self._begin > 0))
        lost = self._approaching & (step.kind == Kind.LAST)  # it ended on the way: as if it had never been
        self._approaching = going
        masked = going | lost | arrived
        if not masked.any():
            return dataclasses.replace(step, seed=self._seeds(step))
        kind = np.where(arrived, Kind.FIRST, np.where(masked, Kind.RESET, step.kind)).astype(np.uint8)
        return dataclasses.replace(
            step,
            kind=kind,
            seed=self._seeds(step),
            reward=np.where(masked, 0, step.reward).astype(np.float32),
            discount=np.where(masked, 1, step.discount).astype(np.float32),
            success=np.where(masked, Success.NO, step.success).astype(np.int8),
            applied=np.where(masked[:, None], 0, step.applied).astype(step.applied.dtype),
        )

    def _seeds(self, step: Step) -> np.ndarray:
        return np.where(step.seed == NO_SEED, NO_SEED, self._drawn)


class _Drawn(Seeds):
    """The stream that a row draws from; what it gets is the scene's seed."""

    def __init__(self, starts: DemonstrationStarts, seeds: Seeds) -> None:
        super().__init__(seeds.start, seeds.count)
        self._starts, self._seeds = starts, seeds

    def take(self, where: np.ndarray) -> np.ndarray:
        return self._starts.draw(where, self._seeds.take(where))
