"""Acting in chunks by value: candidates are proposed, the one of most value is executed (Q-chunking, arXiv 2507.07969;
V-GPS, arXiv 2410.13816, where the candidates are those of a base that is left as it is)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from policies.actors import Critic, OwnFeatures
from policies.flow import FlowHead, draws
from policies.networks import Inputs, Normalise
from robo_rl.errors import UserError
from robo_rl.policy import Planner, Policy
from robo_rl.spec import Spec
from robo_rl.types import Action, Obs


class ChunkFeatures(OwnFeatures):
    """What a policy of whole chunks sees: the observation. Chunks (B, H * A) are relative to the last setpoint.

    Args:
        centre: (H * A,) middle of the demonstrated chunks, relative to the setpoint where there is one, raw units.
    """

    kind = "chunk"

    def __init__(self, observation: Inputs, action: Normalise, centre: Tensor, relative_to: int | None) -> None:
        self.horizon, self.width = len(centre) // len(action.mean), len(action.mean)
        tiled = Normalise(action.mean.repeat(self.horizon), action.std.repeat(self.horizon))
        super().__init__(observation, tiled, centre, relative_to)

    def base(self, extra: Tensor) -> Tensor:
        """The base's next action, as often as the chunk is long: (B, H * A)."""
        return extra[:, : self.width].repeat(1, self.horizon)

    def reference(self, obs: Tensor, extra: Tensor) -> Tensor:
        if self.relative_to is None:
            return self.centre.expand(len(obs), -1)
        setpoint = obs[:, self.relative_to : self.relative_to + self.width]
        return setpoint.repeat(1, self.horizon) + self.centre


class ChunkActor(nn.Module):
    """A head that proposes chunks and a critic that values them, `samples` at a time."""

    def __init__(self, features: ChunkFeatures, head: FlowHead, critic: Critic, samples: int = 8) -> None:
        super().__init__()
        self.features, self.head, self.critic, self.samples = features, head, critic, samples

    def propose(self, obs: Tensor, noise: Tensor) -> Tensor:
        """(B, D), standard normal (B, H * A) -> executable chunk (B, H * A), raw units."""
        u = self.head.perturbed(self.features(obs, obs), noise)
        return self.head.executed(self.features.reference(obs, obs), u)

    def value(self, obs: Tensor, chunks: Tensor) -> Tensor:
        """(B, D), chunks (B, H * A) raw -> (B,), the mean of the critic's heads."""
        relative = self.head.relative(self.features.reference(obs, obs), chunks)
        embedded = self.critic.embed(self.features(obs, obs))
        return self.critic(embedded, self.features.action(chunks), relative).mean(0)

    def config(self) -> dict[str, Any]:
        critic = self.critic.config()
        return {**self.features.config(), **self.head.config(), "critic": critic, "samples": self.samples,
                "horizon": self.features.horizon}  # fmt: skip


def empty_chunk_actor(config: Mapping[str, Any], observation: Inputs, action: Normalise) -> ChunkActor:
    """Of the shape that `ChunkActor.config` said, for weights to be read into."""
    zeros = torch.zeros(config["horizon"] * len(action.mean))
    features = ChunkFeatures(observation, action, zeros, config["relative_to"])
    size = features.size(0)
    head = FlowHead(size, config["hidden"], zeros, zeros, zeros, config["norm"])
    critic = Critic(size, len(zeros), generator=torch.Generator(), **config["critic"])
    return ChunkActor(features, head, critic, config["samples"])


class Proposals(Planner):
    """The head's own chunks."""

    stochastic = True

    def __init__(self, actor: ChunkActor, obs_spec: Spec) -> None:
        self.actor, self.obs_spec = actor, obs_spec
        self._device = actor.head.bound.device

    @property
    def horizon(self) -> int:
        return self.actor.features.horizon

    @torch.inference_mode()
    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        size = len(self.actor.head.bound)
        noise = draws(rng, samples, size).reshape(-1, size)
        packed = np.repeat(self.obs_spec.pack(obs)[rows], samples, axis=0)
        chunks = self.actor.propose(*(torch.from_numpy(x).to(self._device) for x in (packed, noise)))
        return chunks.cpu().numpy().reshape(len(rows), samples, self.horizon, -1)


@dataclass(frozen=True)
class Steering:
    """Choose among `candidates` chunks of the base by the value in `actor`."""

    actor: ChunkActor
    candidates: int


class BestOf(Planner):
    """Of `candidates` chunks of a planner, which is not touched, the one of most value.

    Raises `UserError` where the planner has one chunk to offer, or shorter ones than those that were valued.
    """

    def __init__(self, planner: Planner, actor: ChunkActor, obs_spec: Spec, candidates: int) -> None:
        self.planner, self.actor, self.obs_spec, self.candidates = planner, actor, obs_spec, candidates
        self._valued = actor.features.horizon
        self._device = actor.head.bound.device
        if not planner.stochastic:
            raise UserError("steer=: the base proposes one chunk, always the same; clone one with policy=flow")
        if planner.horizon < self._valued:
            raise UserError(f"steer=: chunks of {planner.horizon} actions; the value is of chunks of {self._valued}")

    @property
    def horizon(self) -> int:
        return self.planner.horizon

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        """`samples` best chunks, the best first."""
        chunks = self.planner.plan(obs, rows, max(samples, self.candidates), rng)
        order = np.argsort(-self._values(self.obs_spec.pack(obs)[rows], chunks), axis=1)[:, :samples]
        return np.take_along_axis(chunks, order[:, :, None, None], 1)

    @torch.inference_mode()
    def _values(self, packed: np.ndarray, chunks: np.ndarray) -> np.ndarray:
        """(K, D), (K, C, H, A) -> (K, C)."""
        k, c = chunks.shape[:2]
        flat = chunks[:, :, : self._valued].reshape(k * c, -1)
        inputs = (np.repeat(packed, c, axis=0), flat)
        value = self.actor.value(*(torch.from_numpy(x).to(self._device) for x in inputs))
        return value.cpu().numpy().reshape(k, c)


class Beside(Policy):
    """Acts by one policy and tells what another would have done: the base's action, chunk and phase ride in `extra`."""

    def __init__(self, policy: Policy, base: Policy) -> None:
        self.policy, self.base = policy, base
        self.extra_spec = base.extra_spec

    def pace(self, noise: float, share: float) -> None:
        """Exploration is what the policy draws by itself."""

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self.policy.reset(where, seeds)
        self.base.reset(where, seeds)

    def act(self, obs: Obs) -> Action:
        return Action(self.policy.act(obs).value, self.base.act(obs).extra)

    def state(self) -> dict[str, np.ndarray]:
        return {f"{name}.{key}": value for name, part in self._parts().items() for key, value in part.state().items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        for name, part in self._parts().items():
            prefix = name + "."
            part.load({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})

    def _parts(self) -> dict[str, Policy]:
        return {"policy": self.policy, "base": self.base}
