"""SAC (Haarnoja et al. 2018, arXiv 1812.05905): a tanh-Gaussian head and a temperature that holds its entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from robo_rl.learn.actor_critic import KEY, ActorCritic, ActorCriticConfig, CriticLike, FeaturesLike, HeadLike
from robo_rl.learn.learner import Metrics
from robo_rl.ranges import NOT_NEGATIVE, POSITIVE


@dataclass(frozen=True)
class SACConfig(ActorCriticConfig):
    n_step: int = 1
    actor_every: int = 1
    temperature: float = 1.0  # of the entropy term, at first
    temperature_lr: float = 3e-4
    target_entropy: float = -1.0  # an action element
    entropy_backup: bool = True  # count the next action's entropy as value; off with sparse rewards (RLPD)
    actor_minimum: bool = True  # the head climbs the minimum of the critic's heads; else their mean

    def __post_init__(self) -> None:
        super().__post_init__()
        POSITIVE.check_fields(self, KEY, "temperature")
        NOT_NEGATIVE.check_fields(self, KEY, "temperature_lr")


class SACLearner(ActorCritic):
    """`head` must be Gaussian."""

    config: SACConfig

    def __init__(
        self, features: FeaturesLike, head: HeadLike, critic: CriticLike, config: SACConfig, seed: int, device: str
    ) -> None:
        super().__init__(features, head, critic, config, seed, device)
        start = torch.tensor(config.temperature, device=self.device).log()
        self.log_temperature = start.requires_grad_(True)
        self.temperature_optimiser = torch.optim.Adam([self.log_temperature], lr=config.temperature_lr)

    @property
    def temperature(self) -> Tensor:
        return self.log_temperature.detach().exp()

    def _next_value(self, rows: Mapping[str, Tensor]) -> Tensor:
        u, log_density = self.head.sample(rows["next_features"], self._noise(rows["action"]))
        value = self._target_value(rows, *self._candidates(rows, u))
        return value - self.temperature * log_density if self.config.entropy_backup else value

    def _candidates(self, rows: Mapping[str, Tensor], u: Tensor) -> tuple[Tensor, ...]:
        """Next actions of which the best is backed up."""
        return (self.head.executed(rows["next_reference"], u),)

    def _update_actor(self, rows: Mapping[str, Tensor]) -> Metrics:
        """One step of the head towards value and entropy, then one of the temperature."""
        self._freeze(True)
        reference, temperature = rows["reference"], self.temperature
        u, log_density = self.head.sample(rows["features"], self._noise(rows["action"]))
        values = self._value(self.critic.embed(rows["features"]), reference, self.head.executed(reference, u), u)
        value = values.amin(0) if self.config.actor_minimum else values.mean(0)
        loss = (temperature * log_density - value).mean()
        norm = self._step_actor(loss)
        self._update_temperature(log_density.detach())
        return {"actor_loss": loss.detach(), "actor_grad": norm, "temperature": temperature,
                "entropy": -log_density.detach().mean(), "correction": u.detach().abs().mean()}  # fmt: skip

    def _update_temperature(self, log_density: Tensor) -> None:
        target = self.config.target_entropy * self.head.bound.numel()
        loss = -(self.log_temperature * (log_density + target)).mean()
        self.temperature_optimiser.zero_grad()
        loss.backward()
        self.temperature_optimiser.step()

    def state(self) -> dict[str, Any]:
        moments = self.temperature_optimiser.state[self.log_temperature]
        own = {f"temperature_adam.{key}": value.clone() for key, value in moments.items()}
        return super().state() | own | {"log_temperature": self.log_temperature.detach().clone()}

    def load(self, state: Mapping[str, Any]) -> None:
        super().load(state)
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
        prefix = "temperature_adam."
        moments = {key.removeprefix(prefix): value.clone() for key, value in state.items() if key.startswith(prefix)}
        if moments:
            self.temperature_optimiser.state[self.log_temperature] = moments
