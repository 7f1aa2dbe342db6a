"""Targets and losses of ensemble critics."""

from __future__ import annotations

import torch
from torch import Tensor


def two_heads(heads: int, generator: torch.Generator) -> Tensor:
    """Indices of two random heads, drawn anew for every update; a target is their minimum (REDQ, arXiv 2101.05982)."""
    return torch.randperm(heads, generator=generator)[:2]


def td_target(reward: Tensor, discount: Tensor, next_value: Tensor, low: float, high: float) -> Tensor:
    """R_n + gamma^n discount V(s'), clipped to the reachable range of returns. All (B,)."""
    return torch.clamp(reward + discount * next_value, low, high)


def critic_loss(values: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared errors of each head, summed over heads. (K, B), (B,) -> scalar."""
    return (values - target).square().mean(1).sum()


def head_relative(values: Tensor, reference: Tensor, spread: float) -> Tensor:
    """Mean minus `spread` standard deviations, over heads, of what each head gains on its own reference value.

    Heads disagree more on the level of Q than on the effect of an action; their differences cancel the level.
    (K, B), (K, B) -> (B,)
    """
    gain = values - reference
    return gain.mean(0) - spread * gain.std(0, unbiased=False)
