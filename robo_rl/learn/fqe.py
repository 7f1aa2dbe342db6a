"""Fitted Q evaluation: how often a policy would succeed, from what others did.

An episode is cut into stretches of a few ticks; a stretch's commands are one action, its start one state. With F the
episode's end, G = 1 at success, and pi the policy that is judged,

    Q(s, a) <- G at F, Q'(s', pi(s')) before        (Le et al. 2019, arXiv 1903.08738; no discount, Q in 0..1)

Each head of an ensemble learns from episodes drawn with replacement, so that heads disagree as much as other logs of
the same size would (Hao et al. 2021, arXiv 2102.03607).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, layer_norm

from robo_rl.learn.optimise import Flat, FlatAdamW


@dataclass(frozen=True)
class FQEConfig:
    heads: int = 5
    hidden: int = 64
    updates: int = 600
    batch: int = 128  # of each head
    lr: float = 1e-3  # falls linearly to zero
    tau: float = 0.02  # of the target network
    weight_decay: float = 1e-3
    clip: float = 10.0  # of the gradient's norm


@dataclass(frozen=True)
class Stretches:
    """M stretches of E episodes, in their order; `wanted` is what the judged policy would have commanded."""

    state: np.ndarray  # (M, D), time in the episode included
    action: np.ndarray  # (M, K)
    wanted: np.ndarray  # (M, K)
    success: np.ndarray  # (M,) bool, of the stretch that ends with success
    last: np.ndarray  # (M,) bool
    episode: np.ndarray  # (M,) 0..E-1, ascending

    def __len__(self) -> int:
        return len(self.last)

    @property
    def first(self) -> np.ndarray:
        """(E,) index of each episode's first stretch."""
        return np.flatnonzero(np.diff(self.episode, prepend=-1))


class _Heads(nn.Module):
    """Perceptrons side by side; (H, B, D) -> logits (H, B). LayerNorm bounds the values of actions never seen."""

    def __init__(self, size: int, hidden: int, heads: int) -> None:
        super().__init__()
        sizes = (size, hidden, hidden, 1)
        self.weights = nn.ParameterList(torch.randn(heads, a, b) / a**0.5 for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(heads, 1, size) for size in sizes[1:])
        self.weights[-1].data *= 0.1

    def forward(self, x: Tensor) -> Tensor:
        *inner, (last, bias) = zip(self.weights, self.biases, strict=True)
        for weight, shift in inner:
            x = torch.relu(layer_norm(torch.baddbmm(shift, x, weight), weight.shape[-1:]))
        return torch.baddbmm(bias, x, last)[..., 0]


def fit(
    data: Stretches, learn: np.ndarray, config: FQEConfig, seed: int, stop: Callable[[], bool] = lambda: False
) -> np.ndarray:
    """Estimated success (H, E) of the judged policy from the beginning of every episode.

    Args:
        learn: (E,) bool, episodes to learn from; the others are only judged.
        stop: asked now and then; a fit that was stopped raises `KeyboardInterrupt`.
    """
    torch.manual_seed(seed)
    here, there = (_inputs(data, action) for action in (data.action, data.wanted))
    success = torch.from_numpy(data.success.astype(np.float32))
    alive = torch.from_numpy(1.0 - data.last.astype(np.float32))
    after = torch.from_numpy(np.minimum(np.arange(len(data)) + 1, len(data) - 1))
    drawn = _bootstrap(data, learn, config, np.random.default_rng(seed))
    online, target = (_Heads(here.shape[1], config.hidden, config.heads) for _ in range(2))
    target.load_state_dict(online.state_dict())
    flat, follower = Flat(online), Flat(target)
    optimiser = FlatAdamW(flat, config.lr, config.clip, config.weight_decay)
    heads = torch.arange(config.heads)[:, None]
    for update in range(config.updates):
        if update % 50 == 0 and stop():
            raise KeyboardInterrupt
        optimiser.adam.param_groups[0]["lr"] = config.lr * (1 - update / config.updates)
        batch = drawn[heads, torch.randint(drawn.shape[1], (config.heads, config.batch))]
        with torch.no_grad():
            goal = success[batch] + alive[batch] * torch.sigmoid(target(there[after[batch]]))
        loss = binary_cross_entropy_with_logits(online(here[batch]), goal, reduction="none").mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        follower.follow(flat, config.tau)
    with torch.no_grad():
        start = there[torch.from_numpy(data.first)].expand(config.heads, -1, -1)
        return torch.sigmoid(online(start)).numpy()


def _inputs(data: Stretches, action: np.ndarray) -> Tensor:
    """(M, D + K), both normalised by what is in the data."""
    parts = []
    for value, reference in ((data.state, data.state), (action, data.action)):
        mean, scale = reference.mean(0), np.maximum(reference.std(0), 1e-3)
        parts.append(np.clip((value - mean) / scale, -5, 5))
    return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))


def _bootstrap(data: Stretches, learn: np.ndarray, config: FQEConfig, rng: np.random.Generator) -> Tensor:
    """Stretches (H, M') of episodes drawn with replacement, for each head; cut to the shortest head's number."""
    numbers = np.flatnonzero(learn)
    places = [np.flatnonzero(data.episode == number) for number in numbers]
    chosen = rng.integers(len(places), size=(config.heads, len(places)))
    drawn = [np.concatenate([places[i] for i in row]) for row in chosen]
    shortest = min(map(len, drawn))
    return torch.from_numpy(np.stack([rng.permutation(which)[:shortest] for which in drawn]))
