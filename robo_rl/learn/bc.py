"""Behaviour cloning of action chunks (supervised; the base policy of a residual)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from robo_rl.data.episode import Episode
from robo_rl.learn.augment import random_shift
from robo_rl.learn.learner import Learner, Metrics
from robo_rl.ranges import COUNT, COUNT_OR_NONE, NOT_NEGATIVE, POSITIVE
from robo_rl.spec import Spec


@dataclass(frozen=True)
class BCConfig:
    updates: int = 6000  # gradient steps
    batch: int = 256
    lr: float = 1e-3  # falls to zero along a cosine
    weight_decay: float = 1e-4
    noise: float = 0.03  # added to inputs, in standard deviations of each: a clone drifts off the demonstrations
    shift: int = 4  # pictures are moved by up to so many pixels

    def __post_init__(self) -> None:
        COUNT.check_fields(self, "learner.config", "updates", "batch")
        POSITIVE.check_fields(self, "learner.config", "lr")
        NOT_NEGATIVE.check_fields(self, "learner.config", "weight_decay", "noise")
        COUNT_OR_NONE.check_fields(self, "learner.config", "shift")


@dataclass(frozen=True, slots=True)
class ChunkBatch:
    obs: np.ndarray  # (B, D) packed
    chunk: np.ndarray  # (B, H, A) actions executed from there on
    pictures: np.ndarray | None = None  # (B, C, H, W, 3) uint8


class ChunkDataset:
    """All frames of some episodes, each with the `horizon` actions executed from it on (the last one repeated), and the
    pictures of the observation keys `cameras`."""

    def __init__(self, episodes: Sequence[Episode], obs_spec: Spec, horizon: int, cameras: Sequence[str] = ()) -> None:
        self.obs = np.concatenate([obs_spec.pack({k: e.obs[k] for k in obs_spec})[:-1] for e in episodes])
        chunks = []
        for episode in episodes:
            last = len(episode) - 1  # applied[t + 1] answers the action of t
            ahead = np.minimum(np.arange(1, last + 1)[:, None] + np.arange(horizon), last)
            chunks.append(episode.applied[ahead])
        self.chunk = np.concatenate(chunks).astype(np.float32)
        self.pictures = [np.concatenate([np.asarray(e.obs[key][:-1]) for e in episodes]) for key in cameras]

    def __len__(self) -> int:
        return len(self.obs)

    def sample(self, n: int, rng: np.random.Generator) -> ChunkBatch:
        index = rng.integers(0, len(self), n)
        pictures = np.stack([each[index] for each in self.pictures], axis=1) if self.pictures else None
        return ChunkBatch(self.obs[index], self.chunk[index], pictures)


class BehaviourCloning(Learner[ChunkBatch]):
    """Steps on the network's own loss (see policies.networks.ChunkNet and policies.flow.FlowNet)."""

    def __init__(self, network: nn.Module, config: BCConfig, seed: int, device: str) -> None:
        self.network: Any = network.to(device)
        self.config, self.device = config, torch.device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, config.updates)

    def update(self, batch: ChunkBatch) -> Metrics:
        obs, chunk = (torch.from_numpy(x).to(self.device) for x in (batch.obs, batch.chunk))
        noise = torch.randn(obs.shape, generator=self.generator).to(self.device)
        obs = obs + self.config.noise * self.network.observation.std[: obs.shape[1]] * noise
        # The reference of a relative chunk is disturbed, too: the clone learns to come back to the demonstrated motion.
        loss = self.network.loss(obs, chunk, self.generator, *self._pictures(batch))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        return {"bc_loss": loss.detach()}

    def _pictures(self, batch: ChunkBatch) -> tuple[torch.Tensor, ...]:
        """A batch's pictures, each moved a little."""
        if batch.pictures is None:
            return ()
        pictures = torch.from_numpy(batch.pictures).to(self.device)
        return (random_shift(pictures, self.config.shift, self.generator),)

    def state(self) -> dict[str, Any]:
        return {key: value.clone() for key, value in self.network.state_dict().items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state)
