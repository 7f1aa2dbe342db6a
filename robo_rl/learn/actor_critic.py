"""What off-policy learners share: an ensemble critic and its targets, a head, updates, the gate's reading, checkpoints.

An algorithm says what a next state is worth (`_next_value`) and how its head learns (`_update_actor`).
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from robo_rl.data.replay import Batch
from robo_rl.errors import UserError
from robo_rl.learn.augment import random_shift
from robo_rl.learn.critics import critic_loss, td_target, two_heads
from robo_rl.learn.gate import GateReading, agreement, auc
from robo_rl.learn.learner import Learner, Metrics
from robo_rl.learn.optimise import Flat, FlatAdamW
from robo_rl.ranges import COUNT, COUNT_OR_NONE, NOT_NEGATIVE, POSITIVE, SHARE_ABOVE_0

KEY = "learner.config"  # of an algorithm's numbers


class FeaturesLike(Protocol):
    """Normalised inputs from packed observation and extras (see policies.actors.Features)."""

    action: Any
    eyes: Any  # what turns pictures into further inputs (policies.vision.Eyes); None: it sees none

    def __call__(self, obs: Tensor, extra: Tensor, pictures: Tensor | None = None) -> Tensor: ...
    def base(self, extra: Tensor) -> Tensor: ...
    def reference(self, obs: Tensor, extra: Tensor) -> Tensor: ...


class CriticLike(Protocol):
    """Values (K, B) of K heads: states first, then actions (see policies.actors.Critic)."""

    heads: int

    def embed(self, features: Tensor, heads: Tensor | None = None) -> Tensor: ...
    def __call__(self, embedded: Tensor, action: Tensor, relative: Tensor, heads: Tensor | None = None) -> Tensor: ...
    def penultimate(self, embedded: Tensor, action: Tensor, relative: Tensor) -> Tensor: ...


class HeadLike(Protocol):
    """u (B, A) of a state, and its sum with a reference (see policies.actors.Head)."""

    bound: Tensor
    gain: Tensor

    def __call__(self, features: Tensor) -> Tensor: ...
    def train(self, mode: bool = True) -> Any: ...

    def executed(self, reference: Tensor, u: Tensor) -> Tensor: ...
    def relative(self, reference: Tensor, action: Tensor) -> Tensor: ...
    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class ActorCriticConfig:
    gamma: float = 0.99  # discount a step
    n_step: int = 3  # steps of a return
    actions: int = 1  # executed actions that the critic values at a time
    critic_lr: float = 3e-4
    actor_lr: float = 3e-4
    tau: float = 0.005  # target network's share of the new weights an update
    clip: float = 10.0  # gradient norm of the critic
    actor_clip: float = 10.0
    actor_every: int = 2  # critic updates an actor update
    eyes_lr: float = 1e-4  # of what looks at pictures: the critic alone trains it
    eyes_frozen: bool = False  # leave that as it is
    shift: int = 4  # pictures are moved by up to so many pixels
    value_low: float = 0.0  # reachable returns
    value_high: float = 1.0

    def __post_init__(self) -> None:
        SHARE_ABOVE_0.check_fields(self, KEY, "gamma", "tau")
        COUNT.check_fields(self, KEY, "n_step", "actions", "actor_every")
        NOT_NEGATIVE.check_fields(self, KEY, "critic_lr", "actor_lr", "eyes_lr")
        POSITIVE.check_fields(self, KEY, "clip", "actor_clip")
        COUNT_OR_NONE.check_fields(self, KEY, "shift")
        if not self.value_low < self.value_high:
            raise UserError(f"{KEY}.value_low={self.value_low}: expected a number below value_high={self.value_high}")


ModuleT = TypeVar("ModuleT", bound=Any)


class ActorCritic(Learner[Batch]):
    """Args: networks on `device`, of which `critic` and `head` are trained in place; see the Protocols above."""

    def __init__(
        self,
        features: FeaturesLike,
        head: HeadLike,
        critic: CriticLike,
        config: Any,
        seed: int,
        device: str,
    ) -> None:
        self.features, self.head, self.critic = features, head, critic
        self.config, self.device, self.heads = config, torch.device(device), critic.heads
        self._flat: dict[str, Flat] = {}
        self.target_critic = self._copy("target_critic", critic)
        self._critic_flat = self._flat["critic"] = Flat(critic)  # type: ignore[arg-type]
        self._head_flat = self._flat["head"] = Flat(head)  # type: ignore[arg-type]
        self._critic_parameters = list(critic.parameters())  # type: ignore[attr-defined]
        self.critic_optimiser = FlatAdamW(self._critic_flat, config.critic_lr, config.clip)
        self.actor_optimiser = FlatAdamW(self._head_flat, config.actor_lr, config.actor_clip)
        self._optimisers = {"critic_adam.": self.critic_optimiser, "actor_adam.": self.actor_optimiser}
        self.eyes_optimiser: FlatAdamW | None = None
        if features.eyes is not None and not config.eyes_frozen:
            self._flat["eyes"] = Flat(features.eyes)
            self._optimisers["eyes_adam."] = self.eyes_optimiser = FlatAdamW(
                self._flat["eyes"], config.eyes_lr, config.clip
            )
        self.generator = torch.Generator().manual_seed(seed)
        self.updates = 0
        self.actor_enabled = False

    @property
    def deployed(self) -> dict[str, Any]:
        """The networks that are evaluated and deployed, by the name they have in an actor."""
        return {"head": self.head}

    @property
    def kept(self) -> dict[str, Any]:
        """The networks to keep of a moment in training: what is deployed, and the eyes."""
        return self.deployed | ({} if self.features.eyes is None else {"eyes": self.features.eyes})

    def pace(self, done: float, updates: int) -> None:
        """Told the share of the run that is done, and the updates since the warm-up, before every update."""

    def _copy(self, name: str, network: ModuleT) -> ModuleT:
        """A frozen copy that is saved with the rest; move it with `_follow`."""
        twin = copy.deepcopy(network).requires_grad_(False)
        self._flat[name] = Flat(twin)
        return twin

    def _follow(self, name: str, tau: float) -> None:
        """Polyak average of a copy, by name, towards what it copies."""
        source = "critic" if name.endswith("critic") else "head"
        self._flat[name].follow(self._flat[source], tau)

    # -- one update ----------------------------------------------------------------------------------------------

    def update(self, batch: Batch) -> Metrics:
        rows = self._tensors(batch, learn=True)
        metrics = self._update_critic(rows, self._td_target(rows))
        rows["features"] = rows["features"].detach()  # the critic alone trains the eyes
        self.updates += 1
        if self.actor_enabled and self.updates % self.config.actor_every == 0:
            metrics |= self._update_actor(rows)
        self._follow("target_critic", self.config.tau)
        return metrics

    @abstractmethod
    def _next_value(self, rows: Mapping[str, Tensor]) -> Tensor:
        """What the next states are worth, (B,); called without gradients."""

    @abstractmethod
    def _update_actor(self, rows: Mapping[str, Tensor]) -> Metrics:
        """One step of the head."""

    def imitate(self, batch: Batch) -> Metrics:
        """One step of the head towards a batch's actions, for learners whose head imitates."""
        raise UserError(f"learner.online.imitation_updates: the head of {type(self).__name__} does not imitate")

    def regress(self, batch: Batch) -> Metrics:
        """Warm-up: regress the critic on the batch's Monte-Carlo returns; targets follow at once."""
        rows = self._tensors(batch, learn=True)
        metrics = self._update_critic(rows, rows["to_go"])
        self._follow("target_critic", 1.0)
        return metrics

    def _update_critic(self, rows: Mapping[str, Tensor], target: Tensor) -> Metrics:
        values = self._value(self.critic.embed(rows["features"]), rows["reference"], rows["action"])
        loss = critic_loss(values, target)
        self.critic_optimiser.zero_grad()
        if self.eyes_optimiser is not None:
            self.eyes_optimiser.zero_grad()
        loss.backward()
        norm = self.critic_optimiser.step()
        if self.eyes_optimiser is not None:
            self.eyes_optimiser.step()
        return {"critic_loss": loss.detach(), "critic_grad": norm, "q": values.detach().mean()}

    @torch.no_grad()
    def _td_target(self, rows: Mapping[str, Tensor]) -> Tensor:
        config = self.config
        value = self._next_value(rows)
        return td_target(rows["reward"], rows["discount"], value, config.value_low, config.value_high)

    def _target_value(self, rows: Mapping[str, Tensor], *actions: Tensor) -> Tensor:
        """The best of some next actions (B, A), each by the minimum of two random target heads: (B,)."""
        pair = two_heads(self.heads, self.generator).to(self.device)
        embedded = self.target_critic.embed(rows["next_features"], pair)
        reference, values = rows["next_reference"], []
        for action in actions:
            relative = self.head.relative(reference, action)
            values.append(self.target_critic(embedded, self.features.action(action), relative, pair).amin(0))
        return values[0] if len(values) == 1 else torch.stack(values).amax(0)

    def _step_actor(self, loss: Tensor) -> Tensor:
        """One optimiser step of the head; returns the norm of its gradient."""
        self.actor_optimiser.zero_grad()
        loss.backward()
        self._freeze(False)
        return self.actor_optimiser.step()

    def _freeze(self, frozen: bool) -> None:
        for parameter in self._critic_parameters:
            parameter.requires_grad_(not frozen)

    def _noise(self, like: Tensor) -> Tensor:
        """Standard normal noise, the same on every device."""
        return torch.randn(like.shape, generator=self.generator).to(like.device)

    def set_actor_lr(self, share: float) -> None:
        """Step size of the head as a share of `actor_lr`."""
        self.actor_optimiser.adam.param_groups[0]["lr"] = self.config.actor_lr * share

    # -- values --------------------------------------------------------------------------------------------------

    def _value(self, embedded: Tensor, reference: Tensor, action: Tensor, u: Tensor | None = None) -> Tensor:
        """(K, B) at executed actions in raw units; `u` where the gradient of the head's output is wanted."""
        relative = self.head.relative(reference, action) if u is None else u
        return self.critic(embedded, self.features.action(action), relative)

    def _tensors(self, batch: Batch, learn: bool = False) -> dict[str, Tensor]:
        """`learn`: the features of the present states carry gradients to the eyes."""
        names = ("obs", "extra", "action", "reward", "discount", "next_obs", "next_extra", "to_go")
        rows = {name: torch.from_numpy(getattr(batch, name)).to(self.device, non_blocking=True) for name in names}
        features, learn = self.features, learn and self.eyes_optimiser is not None
        for prefix in ("", "next_"):
            obs, extra = rows[prefix + "obs"], rows[prefix + "extra"]
            with torch.set_grad_enabled(learn and not prefix):
                rows[prefix + "features"] = features(obs, extra, self._pictures(batch, prefix))
            with torch.no_grad():
                rows[prefix + "reference"] = features.reference(obs, extra)
                rows[prefix + "base"] = features.base(extra)
        return rows

    def _pictures(self, batch: Batch, prefix: str) -> Tensor | None:
        """A batch's pictures, each moved a little."""
        if self.features.eyes is None:
            return None
        pictures = torch.from_numpy(getattr(batch, prefix + "pictures")).to(self.device, non_blocking=True)
        return random_shift(pictures, self.config.shift, self.generator)

    def gate_reading(self, batch: Batch) -> GateReading:
        """Does the critic explain these held-out transitions (with known returns), and does it look at actions?"""
        rows = self._tensors(batch)
        action = rows["action"].clone().requires_grad_(True)
        values = self._value(self.critic.embed(rows["features"]), rows["reference"], action)
        gradients = [torch.autograd.grad(head.sum(), action, retain_graph=True)[0] for head in values]
        score = values.detach().mean(0).cpu().numpy()
        scaled = torch.stack(gradients) * self.head.bound
        return GateReading(
            auc=auc(score, batch.to_go > 0),
            bias=float(np.mean(score - batch.to_go)),
            agreement=agreement(scaled.cpu().numpy()),
        )

    @torch.no_grad()
    def inspect(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean value (B,), what the critic's last layer sees (K, B, W), and u of the head (B, A)."""
        rows = self._tensors(batch)
        relative = self.head.relative(rows["reference"], rows["action"])
        action, embedded = self.features.action(rows["action"]), self.critic.embed(rows["features"])
        value = self.critic(embedded, action, relative).mean(0)
        hidden, u = self.critic.penultimate(embedded, action, relative), self.head(rows["features"])
        return value.cpu().numpy(), hidden.cpu().numpy(), u.cpu().numpy()

    # -- persistence ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            **{name: flat.data.clone() for name, flat in self._flat.items()},
            **{name + key: value for name, adam in self._optimisers.items() for key, value in adam.state().items()},
            "generator": self.generator.get_state(),
            "counters": torch.tensor([self.updates, int(self.actor_enabled)]),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        for name, flat in self._flat.items():
            flat.data.copy_(state[name])
        for name, optimiser in self._optimisers.items():
            optimiser.load({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
        self.generator.set_state(state["generator"])
        self.updates, enabled = (int(x) for x in state["counters"])
        self.actor_enabled = bool(enabled)
