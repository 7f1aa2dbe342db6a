"""IBRL (Hu et al. 2023, arXiv 2311.02198): act and back up with the better of the imitation's and the learned action.

The head is TD3's with dropout; acting chooses by the target critic (`policies.actors.Actor` with a critic).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from robo_rl.learn.learner import Metrics
from robo_rl.learn.td3 import TD3Config, TD3Learner


@dataclass(frozen=True)
class IBRLConfig(TD3Config):
    n_step: int = 3
    target_noise: float = 0.1
    target_clip: float = 0.3


class IBRLLearner(TD3Learner):
    config: IBRLConfig

    @property
    def deployed(self) -> dict[str, Any]:
        return super().deployed | {"critic": self.target_critic}

    def _update_actor(self, rows: Mapping[str, Tensor]) -> Metrics:
        self.head.train(True)  # dropout is for learning alone
        metrics = super()._update_actor(rows)
        self.head.train(False)
        return metrics

    def _next_value(self, rows: Mapping[str, Tensor]) -> Tensor:
        return self._target_value(rows, self._next_action(rows), rows["next_base"])
