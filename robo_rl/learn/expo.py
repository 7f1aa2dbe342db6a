"""EXPO (Dong et al. 2025, arXiv 2507.07986): a Gaussian edit of the base's action; act and back up with the better of
base and edited action.

Base and edit are one candidate each, where the paper draws several from a stochastic base: a cloned chunk is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from robo_rl.learn.sac import SACConfig, SACLearner


@dataclass(frozen=True)
class EXPOConfig(SACConfig):
    target_entropy: float = -0.5
    entropy_backup: bool = False
    actor_minimum: bool = False


class EXPOLearner(SACLearner):
    config: EXPOConfig

    @property
    def deployed(self) -> dict[str, Any]:
        return super().deployed | {"critic": self.target_critic}

    def _candidates(self, rows: Mapping[str, Tensor], u: Tensor) -> tuple[Tensor, ...]:
        return (*super()._candidates(rows, u), rows["next_base"])
