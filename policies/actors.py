"""Actors: what maps an observation, and what the base is about to do, to an executed action.

Every learner's action is `executed = clamp(reference + bound * u)` with u in [-1, 1]. The reference is the base's
action (a residual), or the last setpoint (a policy of its own, as RLPD and IBRL learn); critics, noise and
demonstrations speak of u. Inputs are packed float32 vectors in raw units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.networks import Ensemble, Inputs, Normalise, mlp
from policies.vision import Eyes, empty_eyes, eyes_config, seen, seen_size
from robo_rl.errors import UnknownName


class Features(nn.Module):
    """What residual head and critic see: observation, base action, rest of the chunk and its phase; normalised.

    `extra` is the chunked base's packed extras: base_action (A), chunk_rest ((E-1)*A), chunk_phase (1). The rest of
    the chunk is taken relative to the base action: without it a chunked base is not Markov. `chunk=False` hides rest
    and phase.
    """

    kind = "residual"

    def __init__(self, observation: Inputs, action: Normalise, chunk: bool = True, eyes: Eyes | None = None) -> None:
        super().__init__()
        self.observation, self.action, self.chunk, self.eyes = observation, action, chunk, eyes
        self.actions = len(action.mean)

    def size(self, extra: int) -> int:
        """Width of the features for `extra` packed extras."""
        return self.observation.size + (extra if self.chunk else self.actions) + seen_size(self.eyes)

    def base(self, extra: Tensor) -> Tensor:
        """(B, A): the base action, raw units."""
        return extra[:, : self.actions]

    def reference(self, obs: Tensor, extra: Tensor) -> Tensor:
        """(B, A): what the head's output is added to, raw units."""
        return self.base(extra)

    def forward(self, obs: Tensor, extra: Tensor, pictures: Tensor | None = None) -> Tensor:
        a = self.actions
        base, rest, phase = extra[:, :a], extra[:, a:-1], extra[:, -1:]
        parts = (*seen(self.eyes, pictures), self.observation(obs), self.action(base))
        if not self.chunk:
            return torch.cat(parts, 1)
        chunk = (rest.reshape(-1, rest.shape[1] // a, a) - base[:, None]) / (0.25 * self.action.std)
        return torch.cat((*parts, chunk.flatten(1).clamp(-4, 4), 2 * phase - 1), 1)

    def config(self) -> dict[str, Any]:
        """What a bundle's JSON needs to build an empty one."""
        return {"features": self.kind, "chunk": self.chunk, "eyes": eyes_config(self.eyes)}


class OwnFeatures(nn.Module):
    """What a policy without a base sees: the normalised observation. Its actions are relative to the last setpoint.

    Args:
        centre: (A,) middle of the demonstrated actions, relative to the setpoint where there is one, raw units.
        relative_to: offset of the setpoint in the packed observation; None: actions are absolute.
    """

    kind = "own"
    centre: Tensor

    def __init__(
        self, observation: Inputs, action: Normalise, centre: Tensor, relative_to: int | None, eyes: Eyes | None = None
    ) -> None:
        super().__init__()
        self.observation, self.action, self.relative_to, self.eyes = observation, action, relative_to, eyes
        self.actions = len(action.mean)
        self.register_buffer("centre", centre.float().clone())

    def size(self, extra: int) -> int:
        return self.observation.size + seen_size(self.eyes)

    def base(self, extra: Tensor) -> Tensor:
        return extra[:, : self.actions]

    def reference(self, obs: Tensor, extra: Tensor) -> Tensor:
        if self.relative_to is None:
            return torch.zeros_like(self.base(extra)) + self.centre
        return obs[:, self.relative_to : self.relative_to + self.actions] + self.centre

    def forward(self, obs: Tensor, extra: Tensor, pictures: Tensor | None = None) -> Tensor:
        if self.eyes is None:
            return self.observation(obs)
        return torch.cat((*seen(self.eyes, pictures), self.observation(obs)), 1)

    def config(self) -> dict[str, Any]:
        return {"features": self.kind, "relative_to": self.relative_to, "eyes": eyes_config(self.eyes)}


class Head(nn.Module):
    """u in [-1, 1], and the one place where it is added to its reference.

    executed = clamp(reference + bound * u); the sum is formed in raw units, so that u = 0 gives the reference bit for
    bit. `hidden`, `norm`, `dropout` as in `networks.mlp`.
    """

    kind: str
    outputs = 1  # numbers an action element
    bound: Tensor
    low: Tensor
    high: Tensor
    gain: Tensor

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        bound: Tensor,
        low: Tensor,
        high: Tensor,
        norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._shape = {"hidden": list(hidden), "norm": norm, "dropout": dropout}
        self.body = mlp([inputs, *hidden], self.outputs * len(bound), norm, dropout)
        for name, value in (("bound", bound), ("low", low), ("high", high)):
            self.register_buffer(name, value.float().clone())
        self.register_buffer("gain", torch.ones(()))

    def executed(self, reference: Tensor, u: Tensor) -> Tensor:
        """(B, A) raw units: the action that is sent. `u` is clamped first, so noise stays inside the bound."""
        return torch.clamp(reference + self.bound * u.clamp(-1.0, 1.0), self.low, self.high)

    def relative(self, reference: Tensor, action: Tensor) -> Tensor:
        """(B, A): an executed action as u."""
        return (action - reference) / self.bound

    def perturbed(self, features: Tensor, noise: Tensor) -> Tensor:
        """(B, F), exploration (B, A) -> u (B, A)."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        return {"head": self.kind, **self._shape}

    def _start_at_zero(self) -> None:
        last = self.body[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


class ResidualHead(Head):
    """Deterministic: u = gain * tanh(network); starts at zero. Noise is added to u."""

    kind = "deterministic"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._start_at_zero()

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> u (B, A) in [-1, 1]."""
        return self.gain * torch.tanh(self.body(features))

    def perturbed(self, features: Tensor, noise: Tensor) -> Tensor:
        return self(features) + noise


class GaussianHead(Head):
    """u = tanh(mean + std * noise), as in SAC (arXiv 1812.05905); deployed at its mean."""

    kind = "gaussian"
    outputs = 2
    LOG_STD = (-20.0, 2.0)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> tanh(mean) (B, A)."""
        return torch.tanh(self._parts(features)[0])

    def perturbed(self, features: Tensor, noise: Tensor) -> Tensor:
        mean, log_std = self._parts(features)
        return torch.tanh(mean + torch.exp(log_std) * noise)

    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """u (B, A) and its log density (B,), differentiable; noise (B, A) standard normal."""
        mean, log_std = self._parts(features)
        before = mean + log_std.exp() * noise
        normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        squash = 2 * (math.log(2) - before - F.softplus(-2 * before))  # log(1 - tanh^2), without cancellation
        return torch.tanh(before), (normal - squash).sum(1)

    def _parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        both = self.body(features)
        actions = len(self.bound)
        return both[:, :actions], both[:, actions:].clamp(*self.LOG_STD)


class LinearHead(Head):
    """u = network, as PPO's mean is; what lies beyond [-1, 1] is clamped when it is executed."""

    kind = "linear"

    def forward(self, features: Tensor) -> Tensor:
        return self.body(features)

    def perturbed(self, features: Tensor, noise: Tensor) -> Tensor:
        return self(features) + noise


class Critic(nn.Module):
    """Q(features, executed action). A residual's critic sees the full action and its difference to the base.

    `embed` (B, F) -> (K, B, W), then `forward` with actions (B, A), normalised, and `relative` (B, A) in units of the
    bound, -> (K, B); K is the number of `heads` asked for. `own`: sees `relative` alone, which says everything where
    the reference is part of the observation.
    """

    def __init__(
        self,
        features: int,
        actions: int,
        hidden: Sequence[int],
        heads: int,
        generator: torch.Generator,
        norm: bool = True,
        own: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.own = heads, own
        self.net = Ensemble(features, actions if own else 2 * actions, hidden, heads, generator, norm)

    def embed(self, features: Tensor, heads: Tensor | None = None) -> Tensor:
        return self.net.embed(features, heads)

    def forward(self, embedded: Tensor, action: Tensor, relative: Tensor, heads: Tensor | None = None) -> Tensor:
        return self.net(embedded, self._late(action, relative), heads)

    def penultimate(self, embedded: Tensor, action: Tensor, relative: Tensor) -> Tensor:
        """(K, B, W): what the last layer of each head sees."""
        return self.net.penultimate(embedded, self._late(action, relative))

    def _late(self, action: Tensor, relative: Tensor) -> Tensor:
        relative = relative.clamp(-4, 4)
        return relative if self.own else torch.cat((action, relative), 1)

    def config(self) -> dict[str, Any]:
        return {"hidden": self.net.hidden, "heads": self.heads, "norm": self.net.norm, "own": self.own}


class Actor(nn.Module):
    """Packed observation, packed extras, exploration (B, A) in units of the bound, and pictures where the features have
    eyes -> executed action (B, A).

    With a `critic` the better of two actions is executed, by the mean of its heads: the head's, or the base's (IBRL,
    arXiv 2311.02198; EXPO, arXiv 2507.07986).
    """

    def __init__(self, features: Features | OwnFeatures, head: Head, critic: Critic | None = None) -> None:
        super().__init__()
        self.features, self.head, self.critic = features, head, critic

    def forward(self, obs: Tensor, extra: Tensor, noise: Tensor, pictures: Tensor | None = None) -> Tensor:
        features, reference = self.features(obs, extra, pictures), self.features.reference(obs, extra)
        action = self.head.executed(reference, self.head.perturbed(features, noise))
        if self.critic is None:
            return action
        base = self.features.base(extra)
        embedded = self.critic.embed(features)
        gain = self._value(embedded, reference, action) - self._value(embedded, reference, base)
        return torch.where(gain[:, None] > 0, action, base)

    def _value(self, embedded: Tensor, reference: Tensor, action: Tensor) -> Tensor:
        assert self.critic is not None
        relative = self.head.relative(reference, action)
        return self.critic(embedded, self.features.action(action), relative).mean(0)

    def config(self) -> dict[str, Any]:
        critic = None if self.critic is None else self.critic.config()
        return {**self.features.config(), **self.head.config(), "critic": critic}


HEADS: Mapping[str, type[Head]] = {kind.kind: kind for kind in (ResidualHead, GaussianHead, LinearHead)}


def empty_actor(config: Mapping[str, Any], observation: Inputs, action: Normalise, extra: int) -> Actor:
    """Of the shape that `Actor.config` said, for weights to be read into; older bundles hold `hidden` alone."""
    zeros = torch.zeros(len(action.mean))
    kind = config.get("features", "residual")
    if kind not in ("residual", "own"):
        raise UnknownName("features", kind, ("residual", "own"))
    features: Features | OwnFeatures
    eyes = empty_eyes(config.get("eyes"))
    if kind == "residual":
        features = Features(observation, action, config.get("chunk", True), eyes)
    else:
        features = OwnFeatures(observation, action, zeros, config["relative_to"], eyes)
    size = features.size(extra)
    shape = (config.get("norm", True), config.get("dropout", 0.0))
    head = HEADS[config.get("head", "deterministic")](size, config["hidden"], zeros, zeros, zeros, *shape)
    critic = config.get("critic")
    if critic is not None:
        critic = Critic(size, len(zeros), generator=torch.Generator(), **critic)
    return Actor(features, head, critic)
