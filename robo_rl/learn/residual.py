"""Residual off-policy learning on a frozen base policy (after ResFiT, arXiv 2509.19301, with its defects designed out).

executed = clamp(a_b + bound * pi(o, a_b))
target   R_n + gamma^n discount * min over 2 random target heads at the executed action of the target policy
actor    maximise mean - spread of the heads' gain over the base action, minus a penalty on the correction
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from robo_rl.data.replay import Batch
from robo_rl.learn.critics import critic_loss, head_relative, td_target, two_heads
from robo_rl.learn.gate import GateReading, agreement, auc
from robo_rl.learn.learner import Learner, Metrics
from robo_rl.learn.optimise import Flat, FlatAdamW

MOVEMENT_STRIDE = 4  # every fourth row of a batch measures how far an update moved the correction


class FeaturesLike(Protocol):
    """Normalised inputs from packed observation and extras (see policies.networks.Features)."""

    action: Any

    def __call__(self, obs: Tensor, extra: Tensor) -> Tensor: ...
    def base(self, extra: Tensor) -> Tensor: ...


class CriticLike(Protocol):
    """Values (K, B) of K heads: states first, then actions (see policies.networks.Critic)."""

    heads: int

    def embed(self, features: Tensor, heads: Tensor | None = None) -> Tensor: ...
    def __call__(self, embedded: Tensor, action: Tensor, relative: Tensor, heads: Tensor | None = None) -> Tensor: ...


class HeadLike(Protocol):
    """The correction and its sum with the base action (see policies.networks.ResidualHead)."""

    bound: Tensor
    gain: Tensor

    def __call__(self, features: Tensor) -> Tensor: ...

    def executed(self, base: Tensor, u: Tensor) -> Tensor: ...
    def relative(self, base: Tensor, action: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ResidualConfig:
    gamma: float = 0.99  # discount a step
    n_step: int = 3  # steps of a return
    critic_lr: float = 3e-4
    actor_lr: float = 3e-4
    tau: float = 0.005  # target network's share of the new weights an update
    clip: float = 10.0  # gradient norm of the critic
    actor_clip: float = 1.0
    actor_every: int = 2  # critic updates an actor update
    spread: float = 0.5  # standard deviations over heads taken off the actor's objective
    penalty: float = 0.005  # weight of the squared correction
    movement: float = 0.02  # largest mean change of the correction by one actor update, in units of its bound
    average: float = 0.998  # decay, an actor update, of the averaged correction: the one that is evaluated and deployed
    target_noise: float = 0.1  # smoothing of the target action, in units of the bound
    target_clip: float = 0.3
    value_low: float = 0.0  # reachable returns
    value_high: float = 1.0


class ResidualLearner(Learner[Batch]):
    """Critic ensemble and correction; the base policy is data (`extra` holds its action), never touched."""

    def __init__(
        self, features: FeaturesLike, head: nn.Module, critic: nn.Module, config: ResidualConfig, seed: int, device: str
    ) -> None:
        self.config, self.features = config, features
        self.head: Any = head
        self.critic: CriticLike = critic  # type: ignore[assignment]
        self.device, self.heads = torch.device(device), self.critic.heads
        self._critic_parameters = list(critic.parameters())
        self.target_critic, self.target_head = copy.deepcopy(self.critic), copy.deepcopy(self.head)
        self.averaged_head: Any = copy.deepcopy(self.head)
        self._critic_flat, self._target_flat = Flat(critic), Flat(self.target_critic)  # type: ignore[arg-type]
        self._head_flat, self._target_head_flat = Flat(head), Flat(self.target_head)
        self._averaged_flat = Flat(self.averaged_head)
        self.critic_optimiser = FlatAdamW(self._critic_flat, config.critic_lr, config.clip)
        self.actor_optimiser = FlatAdamW(self._head_flat, config.actor_lr, config.actor_clip)
        self.generator = torch.Generator().manual_seed(seed)
        self.updates = 0
        self.actor_enabled = False

    # -- one update ----------------------------------------------------------------------------------------------

    def update(self, batch: Batch) -> Metrics:
        rows = self._tensors(batch)
        metrics = self._update_critic(rows, self._td_target(rows))
        self.updates += 1
        if self.actor_enabled and self.updates % self.config.actor_every == 0:
            metrics |= self._update_actor(rows)
            self._target_head_flat.follow(self._head_flat, self.config.tau * self.config.actor_every)
            self._averaged_flat.follow(self._head_flat, 1 - self.config.average)
        self._target_flat.follow(self._critic_flat, self.config.tau)
        return metrics

    def regress(self, batch: Batch) -> Metrics:
        """Warm-up: regress the critic on the batch's Monte-Carlo returns; targets follow at once."""
        rows = self._tensors(batch)
        metrics = self._update_critic(rows, rows["to_go"])
        self._target_flat.follow(self._critic_flat, 1.0)
        return metrics

    def _update_critic(self, rows: Mapping[str, Tensor], target: Tensor) -> Metrics:
        values = self._value(self.critic.embed(rows["features"]), rows["base"], rows["action"])
        loss = critic_loss(values, target)
        self.critic_optimiser.zero_grad()
        loss.backward()
        norm = self.critic_optimiser.step()
        return {"critic_loss": loss.detach(), "critic_grad": norm, "q": values.detach().mean()}

    @torch.no_grad()
    def _td_target(self, rows: Mapping[str, Tensor]) -> Tensor:
        config, base = self.config, rows["next_base"]
        u = self.target_head(rows["next_features"])
        noise = torch.randn(u.shape, generator=self.generator).to(u.device) * config.target_noise
        action = self.head.executed(base, u + noise.clamp(-config.target_clip, config.target_clip))
        pair = two_heads(self.heads, self.generator).to(u.device)
        embedded = self.target_critic.embed(rows["next_features"], pair)
        relative = self.head.relative(base, action)
        next_value = self.target_critic(embedded, self.features.action(action), relative, pair).amin(0)
        return td_target(rows["reward"], rows["discount"], next_value, config.value_low, config.value_high)

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
        self.actor_optimiser.zero_grad()
        loss.backward()
        self._freeze(False)
        before = self._head_flat.data.clone()
        norm = self.actor_optimiser.step()
        moved = self._bound_movement(before, features, u.detach())
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

    def _freeze(self, frozen: bool) -> None:
        for parameter in self._critic_parameters:
            parameter.requires_grad_(not frozen)

    def set_gain(self, gain: float) -> None:
        """Scale of the correction, 0 to 1: it ramps up after the warm-up."""
        for head in (self.head, self.target_head, self.averaged_head):
            head.gain.fill_(gain)

    def set_actor_lr(self, share: float) -> None:
        """Step size of the actor as a share of `actor_lr`: it anneals, so that the correction comes to rest."""
        self.actor_optimiser.adam.param_groups[0]["lr"] = self.config.actor_lr * share

    # -- values --------------------------------------------------------------------------------------------------

    def _value(self, embedded: Tensor, base: Tensor, action: Tensor, u: Tensor | None = None) -> Tensor:
        """(K, B) at executed actions in raw units; `u` where the gradient of the correction is wanted."""
        relative = self.head.relative(base, action) if u is None else u
        return self.critic(embedded, self.features.action(action), relative)

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        names = ("obs", "extra", "action", "reward", "discount", "next_obs", "next_extra", "to_go")
        rows = {name: torch.from_numpy(getattr(batch, name)).to(self.device, non_blocking=True) for name in names}
        with torch.no_grad():
            rows["features"] = self.features(rows["obs"], rows["extra"])
            rows["next_features"] = self.features(rows["next_obs"], rows["next_extra"])
        rows["base"], rows["next_base"] = self.features.base(rows["extra"]), self.features.base(rows["next_extra"])
        return rows

    def gate_reading(self, batch: Batch) -> GateReading:
        """Does the critic explain these held-out transitions (with known returns), and does it look at actions?"""
        rows = self._tensors(batch)
        action = rows["action"].clone().requires_grad_(True)
        values = self._value(self.critic.embed(rows["features"]), rows["base"], action)
        gradients = [torch.autograd.grad(head.sum(), action, retain_graph=True)[0] for head in values]
        score = values.detach().mean(0).cpu().numpy()
        scaled = torch.stack(gradients) * self.head.bound
        return GateReading(
            auc=auc(score, batch.to_go > 0),
            bias=float(np.mean(score - batch.to_go)),
            agreement=agreement(scaled.cpu().numpy()),
        )

    # -- persistence ---------------------------------------------------------------------------------------------

    def _networks(self) -> dict[str, Flat]:
        critics = {"critic": self._critic_flat, "target_critic": self._target_flat}
        heads = {"head": self._head_flat, "target_head": self._target_head_flat, "averaged_head": self._averaged_flat}
        return critics | heads

    def state(self) -> dict[str, Any]:
        return {
            **{name: flat.data.clone() for name, flat in self._networks().items()},
            **{f"critic_adam.{key}": value for key, value in self.critic_optimiser.state().items()},
            **{f"actor_adam.{key}": value for key, value in self.actor_optimiser.state().items()},
            "generator": self.generator.get_state(),
            "counters": torch.tensor([self.updates, int(self.actor_enabled)]),
            "gain": self.head.gain.clone(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        for name, flat in self._networks().items():
            flat.data.copy_(state[name])
        for name, optimiser in (("critic_adam.", self.critic_optimiser), ("actor_adam.", self.actor_optimiser)):
            optimiser.load({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
        self.generator.set_state(state["generator"])
        self.updates, enabled = (int(x) for x in state["counters"])
        self.actor_enabled = bool(enabled)
        self.set_gain(float(state["gain"]))
