"""Policies: one interface for learned, scripted, remote, teleoperated and logged behaviour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from robo_rl.spec import Spec
from robo_rl.types import Action, Obs


class Policy(ABC):
    """Acts on N rows at once.

    A policy's behaviour in an episode is a function of the episode's seed and observations alone: audits replay it.
    `extra_spec` says what its actions carry besides the value.
    """

    extra_spec: Spec = Spec({})

    @abstractmethod
    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """Start new episodes in the rows `where` (N,) bool, with the episodes' seeds (N,) int64."""

    @abstractmethod
    def act(self, obs: Obs) -> Action:
        """One action for every row; obs (N, ...). Called at LAST too, where the value is ignored."""

    def state(self) -> dict[str, np.ndarray]:
        """What changes while acting, as arrays (checkpoints, hand-over). Empty where there is none."""
        return {}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        if state:
            raise ValueError(f"{type(self).__name__} holds no state; got {sorted(state)}")


class Planner(ABC):
    """A base policy that emits chunks of actions: behaviour cloning, diffusion, a remote model.

    `stochastic` says whether the samples of a row are different ones.
    """

    stochastic = False

    @property
    @abstractmethod
    def horizon(self) -> int:
        """Actions in a chunk, H."""

    @abstractmethod
    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        """Chunks for some rows.

        Args:
            obs: observations of all N rows.
            rows: (K,) int, the rows that need a chunk.
            samples: candidates a row.
            rng: (K,) int64, seed of each row's draw (episode seed mixed with its tick).

        Returns:
            (K, samples, H, A) actions in the action spec's units.
        """
