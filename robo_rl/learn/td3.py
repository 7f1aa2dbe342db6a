"""TD3 (Fujimoto et al. 2018, arXiv 1802.09477): a deterministic head, smoothed target actions, delayed head updates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from robo_rl.learn.actor_critic import KEY, ActorCritic, ActorCriticConfig, CriticLike, FeaturesLike, HeadLike
from robo_rl.learn.learner import Metrics
from robo_rl.ranges import NOT_NEGATIVE


@dataclass(frozen=True)
class TD3Config(ActorCriticConfig):
    n_step: int = 1
    target_noise: float = 0.2  # smoothing of the target action, in units of the bound
    target_clip: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        NOT_NEGATIVE.check_fields(self, KEY, "target_noise", "target_clip")


class TD3Learner(ActorCritic):
    """The head climbs the mean of all critic heads; TD3 itself takes the first of two."""

    config: TD3Config

    def __init__(
        self, features: FeaturesLike, head: HeadLike, critic: CriticLike, config: TD3Config, seed: int, device: str
    ) -> None:
        super().__init__(features, head, critic, config, seed, device)
        self.target_head = self._copy("target_head", head)

    def _next_action(self, rows: Mapping[str, Tensor]) -> Tensor:
        """(B, A): the target policy's, smoothed."""
        config, u = self.config, self.target_head(rows["next_features"])
        noise = (self._noise(u) * config.target_noise).clamp(-config.target_clip, config.target_clip)
        return self.head.executed(rows["next_reference"], u + noise)

    def _next_value(self, rows: Mapping[str, Tensor]) -> Tensor:
        return self._target_value(rows, self._next_action(rows))

    def _update_actor(self, rows: Mapping[str, Tensor]) -> Metrics:
        self._freeze(True)
        u, reference = self.head(rows["features"]), rows["reference"]
        values = self._value(self.critic.embed(rows["features"]), reference, self.head.executed(reference, u), u)
        loss = -values.mean()
        norm = self._step_actor(loss)
        self._follow("target_head", self.config.tau)
        return {"actor_loss": loss.detach(), "actor_grad": norm}
