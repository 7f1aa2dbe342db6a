"""Q-chunking (Li et al. 2025, arXiv 2507.07969): a critic of chunks of h actions, backed up over h steps.

target  R_h + gamma^h discount * max over N proposed chunks of the min over 2 target heads
head    imitates all executed chunks (flow matching); what is executed is the best of N of its proposals

A batch's actions are chunks (B, h * A): `actions` and `n_step` of the configuration are both h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from robo_rl.data.replay import Batch
from robo_rl.learn.actor_critic import KEY, ActorCritic, ActorCriticConfig
from robo_rl.learn.critics import two_heads
from robo_rl.learn.learner import Metrics
from robo_rl.ranges import COUNT


@dataclass(frozen=True)
class QChunkConfig(ActorCriticConfig):
    n_step: int = 5
    actions: int = 5
    actor_every: int = 1
    samples: int = 8  # proposals in a target

    def __post_init__(self) -> None:
        super().__post_init__()
        COUNT.check_fields(self, KEY, "samples")


class QChunkLearner(ActorCritic):
    """`head` must propose chunks (see policies.flow.FlowHead)."""

    config: QChunkConfig
    head: Any

    @property
    def deployed(self) -> dict[str, Any]:
        return {"head": self.head, "critic": self.target_critic}

    def imitate(self, batch: Batch) -> Metrics:
        return self._update_actor(self._tensors(batch))

    def _next_value(self, rows: Mapping[str, Tensor]) -> Tensor:
        samples, size = self.config.samples, len(rows["next_reference"])
        features, reference = (rows[key].repeat_interleave(samples, 0) for key in ("next_features", "next_reference"))
        chunks = self.head.executed(reference, self.head.perturbed(features, self._noise(reference)))
        pair = two_heads(self.heads, self.generator).to(self.device)
        embedded = self.target_critic.embed(rows["next_features"], pair).repeat_interleave(samples, 1)
        relative = self.head.relative(reference, chunks)
        value = self.target_critic(embedded, self.features.action(chunks), relative, pair).amin(0)
        return value.reshape(size, samples).amax(1)

    def _update_actor(self, rows: Mapping[str, Tensor]) -> Metrics:
        u = self.head.relative(rows["reference"], rows["action"])
        loss = self.head.loss(rows["features"], u, self.generator)
        norm = self._step_actor(loss)
        return {"imitation_loss": loss.detach(), "actor_grad": norm}
