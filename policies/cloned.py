"""The behaviour-cloned base policy."""

from __future__ import annotations

import numpy as np

from policies.lean import Network
from policies.networks import ChunkNet
from policies.vision import looks
from robo_rl.policy import Planner
from robo_rl.spec import Spec
from robo_rl.types import Obs


class ClonedPlanner(Planner):
    """Plans with a `ChunkNet`. Deterministic: every sample of a row is the same chunk."""

    def __init__(self, network: ChunkNet, obs_spec: Spec) -> None:
        self.network, self.obs_spec = network.eval(), obs_spec
        self._call = Network(network, network.eyes)

    @property
    def horizon(self) -> int:
        return self.network.horizon

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        pictures = (picture[rows] for picture in looks(self.network.eyes, obs))
        chunks = self._call(self.obs_spec.pack(obs)[rows], *pictures)
        return np.repeat(chunks[:, None], samples, axis=1)
