"""RLPD (Ball et al. 2023, arXiv 2302.02948): SAC, an ensemble of LayerNorm critics, half of each batch demonstrations.

The ensemble and the share of demonstrations are the run's (`heads`, `online.demo_share`); what remains is which values
are used: the minimum of two random heads in targets, the mean of all for the head, no entropy in the backup.
"""

from __future__ import annotations

from dataclasses import dataclass

from robo_rl.learn.sac import SACConfig, SACLearner


@dataclass(frozen=True)
class RLPDConfig(SACConfig):
    target_entropy: float = -0.5
    entropy_backup: bool = False
    actor_minimum: bool = False


class RLPDLearner(SACLearner):
    config: RLPDConfig
