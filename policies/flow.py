"""Rectified flow: a network that turns noise into samples of what it was shown (Liu et al. 2022, arXiv 2209.03003;
Lipman et al. 2022, arXiv 2210.02747), and the chunked base policy and the head that are made of it.

A sample follows dx/dt = v(x, t, features) from noise at t = 0 to t = 1, in a few Euler steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from policies.actors import Head
from policies.networks import ChunkNetwork, mlp
from policies.vision import looks
from robo_rl import random
from robo_rl.policy import Planner
from robo_rl.spec import Spec
from robo_rl.types import Obs


class Flow(nn.Module):
    """Velocity network and its integration. `size` numbers a sample, `features` a condition."""

    def __init__(self, features: int, size: int, hidden: Sequence[int], steps: int, norm: bool = True) -> None:
        super().__init__()
        self.size, self.steps = size, steps
        self.body = mlp([size + 1 + features, *hidden], size, norm)

    def loss(self, features: Tensor, sample: Tensor, generator: torch.Generator) -> Tensor:
        """Mean squared error of the velocity at a random time on the straight way from noise to `sample` (B, size)."""
        noise = torch.randn(sample.shape, generator=generator).to(sample.device)
        time = torch.rand((len(sample), 1), generator=generator).to(sample.device)
        velocity = self.body(torch.cat((noise + time * (sample - noise), time, features), 1))
        return (velocity - (sample - noise)).square().mean()

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """(B, F), standard normal (B, size) -> sample (B, size)."""
        x = noise
        for step in range(self.steps):
            time = torch.full_like(x[:, :1], step / self.steps)
            x = x + self.body(torch.cat((x, time, features), 1)) / self.steps
        return x


class FlowNet(ChunkNetwork):
    """Samples chunks, where `ChunkNet` regresses on one. `forward` gives the sample that grows from no noise."""

    kind = "flow"
    STEPS = 5

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.body = Flow(self.input_size, self.horizon * self.actions, self.hidden, self.STEPS)

    def loss(self, obs: Tensor, chunk: Tensor, generator: torch.Generator, pictures: Tensor | None = None) -> Tensor:
        return self.body.loss(self.inputs(obs, pictures), self.target(obs, chunk).flatten(1), generator)

    def sample(self, obs: Tensor, noise: Tensor, pictures: Tensor | None = None) -> Tensor:
        """(B, D), standard normal (B, H * A) -> chunk (B, H, A), raw units."""
        flat = self.body(self.inputs(obs, pictures), noise)
        return self.restore(obs, flat.reshape(-1, self.horizon, self.actions))

    def forward(self, obs: Tensor, pictures: Tensor | None = None) -> Tensor:
        return self.sample(obs, torch.zeros((len(obs), self.horizon * self.actions), device=obs.device), pictures)


class FlowPlanner(Planner):
    """Plans with a `FlowNet`: every sample of a row is another draw, by the row's seed."""

    stochastic = True

    def __init__(self, network: FlowNet, obs_spec: Spec) -> None:
        self.network, self.obs_spec = network.eval(), obs_spec
        self._device = network.action.mean.device

    @property
    def horizon(self) -> int:
        return self.network.horizon

    @torch.inference_mode()
    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        size = self.network.body.size
        noise = draws(rng, samples, size).reshape(-1, size)
        packed = np.repeat(self.obs_spec.pack(obs)[rows], samples, axis=0)
        pictures = (np.repeat(picture[rows], samples, axis=0) for picture in looks(self.network.eyes, obs))
        chunks = self.network.sample(*(torch.from_numpy(x).to(self._device) for x in (packed, noise, *pictures)))
        return chunks.cpu().numpy().reshape(len(rows), samples, self.horizon, -1)


def draws(seeds: np.ndarray, samples: int, size: int) -> np.ndarray:
    """Standard normal noise (K, samples, size), float32, for the draws' seeds (K,)."""
    noise = random.normal(seeds, 0, random.stream("plan"), samples * size)
    return noise.astype(np.float32).reshape(len(seeds), samples, size)


class FlowHead(Head):
    """u of a whole chunk, sampled: what Q-chunking proposes its candidates with."""

    kind = "flow"
    STEPS = 5

    def __init__(self, inputs: int, hidden: Sequence[int], bound: Tensor, *args: Any, **kwargs: Any) -> None:
        super().__init__(inputs, hidden, bound, *args, **kwargs)
        self.body = Flow(inputs, len(bound), hidden, self.STEPS, self._shape["norm"])

    def forward(self, features: Tensor) -> Tensor:
        return self.body(features, torch.zeros((len(features), len(self.bound)), device=features.device))

    def perturbed(self, features: Tensor, noise: Tensor) -> Tensor:
        return self.body(features, noise)

    def loss(self, features: Tensor, u: Tensor, generator: torch.Generator) -> Tensor:
        """Of imitating u (B, A), see `Flow.loss`."""
        return self.body.loss(features, u, generator)
