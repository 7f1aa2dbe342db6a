"""Residual off-policy learning on a frozen base policy (after ResFiT, arXiv 2509.19301, with its defects designed out).

executed = clamp(a_b + bound * pi(o, a_b))
target   R_n + gamma^n discount * min over 2 random target heads at the executed action of the target policy
actor    maximise mean - spread of the heads' gain over the base action, minus a penalty on the correction
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from robo_rl.learn.actor_critic import KEY, ActorCritic, ActorCriticConfig, CriticLike, FeaturesLike, HeadLike
from robo_rl.learn.critics import head_relative
from robo_rl.learn.learner import Metrics
from robo_rl.ranges import COUNT_OR_NONE, NOT_NEGATIVE, POSITIVE, SHARE_BELOW_1

MOVEMENT_STRIDE = 4  # every fourth row of a batch measures how far an update moved the correction
NEARBY = 0.1  # noise of the smoothness term, in standard deviations of the inputs (CAPS, arXiv 2012.06644)
FIRST_GAIN = 0.1  # of the correction's scale, when the actor starts to move


@dataclass(frozen=True)
class ResidualConfig(ActorCriticConfig):
    actor_clip: float = 1.0
    spread: float = 0.5  # standard deviations over heads taken off the actor's objective
    penalty: float = 0.005  # weight of the squared correction
    smoothness: float = 0.0  # weight of how much the correction changes with a little noise on its inputs
    movement: float = 0.02  # largest mean change of the correction by one actor update, in units of its bound
    average: float = 0.998  # decay, an actor update, of the averaged correction: the one that is evaluated and deployed
    target_noise: float = 0.1  # smoothing of the target action, in units of the bound
    target_clip: float = 0.3
    ramp: int = 2000  # updates over which the correction's scale grows to 1
    actor_lr_end: float = 0.1  # step size of the actor at the end, as a share of that at the beginning
    choose: bool = False  # act and back up with the better of base and corrected action (IBRL, EXPO)

    def __post_init__(self) -> None:
        super().__post_init__()
        NOT_NEGATIVE.check_fields(self, KEY, "spread", "penalty", "smoothness", "actor_lr_end")
        NOT_NEGATIVE.check_fields(self, KEY, "target_noise", "target_clip")
        POSITIVE.check_fields(self, KEY, "movement")
        SHARE_BELOW_1.check_fields(self, KEY, "average")
        COUNT_OR_NONE.check_fields(self, KEY, "ramp")


class ResidualLearner(ActorCritic):
    """`head` must be deterministic and start at zero."""

    config: ResidualConfig

    def __init__(
        self, features: FeaturesLike, head: HeadLike, critic: CriticLike, config: ResidualConfig, seed: int, device: str
    ) -> None:
        super().__init__(features, head, critic, config, seed, device)
        self.target_head = self._copy("target_head", head)
        self.averaged_head = self._copy("averaged_head", head)

    @property
    def deployed(self) -> dict[str, Any]:
        return {"head": self.averaged_head} | ({"critic": self.target_critic} if self.config.choose else {})

    def pace(self, done: float, updates: int) -> None:
        self.set_gain(min(1.0, FIRST_GAIN + updates / max(1, self.config.ramp)))
        self.set_actor_lr(1 + (self.config.actor_lr_end - 1) * done)

    def set_gain(self, gain: float) -> None:
        """Scale of the correction, 0 to 1: it ramps up after the warm-up."""
        for head in (self.head, self.target_head, self.averaged_head):
            head.gain.fill_(gain)

    def _next_value(self, rows: Mapping[str, Tensor]) -> Tensor:
        config, base = self.config, rows["next_base"]
        u = self.target_head(rows["next_features"])
        noise = (self._noise(u) * config.target_noise).clamp(-config.target_clip, config.target_clip)
        action = self.head.executed(base, u + noise)
        return self._target_value(rows, action, *((base,) if config.choose else ()))

    def _update_actor(self, rows: Mapping[str, Tensor]) -> Metrics:
        features, base = rows["features"], rows["base"]
        u = self.head(features)
        self._freeze(True)
        with torch.no_grad():
            embedded = self.critic.embed(features)
            reference = self._value(embedded, base, base)
        values = self._value(embedded, base, self.head.executed(base, u), u)
        gain = head_relative(values, reference, self.config.spread)
        scale = reference.abs().mean().clamp(min=0.05)
        loss = -gain.mean() / scale + self.config.penalty * u.square().mean()
        if self.config.smoothness > 0:
            disturbed = self.head(features + NEARBY * self._noise(features))
            loss = loss + self.config.smoothness * (disturbed - u).square().mean()
        before = self._head_flat.data.clone()
        norm = self._step_actor(loss)
        moved = self._bound_movement(before, features, u.detach())
        self._follow("target_head", self.config.tau * self.config.actor_every)
        self._follow("averaged_head", 1 - self.config.average)
        size = u.detach().abs()
        return {"actor_loss": loss.detach(), "actor_grad": norm, "moved": moved, "gain": gain.detach().mean(),
                "correction": size.mean(), "saturated": (size > 0.95).float().mean()}  # fmt: skip

    @torch.no_grad()
    def _bound_movement(self, before: Tensor, features: Tensor, u: Tensor) -> Tensor:
        """Shorten the step in weight space if it moved the correction by more than `movement` on average. Adam on a
        zero-initialised last layer ignores how small the gradient is: without this, success falls at first."""
        some = slice(None, None, MOVEMENT_STRIDE)
        moved = (self.head(features[some]) - u[some]).abs().mean()
        share = torch.clamp(self.config.movement / (moved + 1e-12), max=1.0)
        self._head_flat.data.copy_(torch.lerp(before, self._head_flat.data, share))
        return moved

    def state(self) -> dict[str, Any]:
        return super().state() | {"gain": self.head.gain.clone()}

    def load(self, state: Mapping[str, Any]) -> None:
        super().load(state)
        self.set_gain(float(state["gain"]))
