"""Optimiser and target updates as one kernel each: a module's parameters live in one flat buffer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Flat:
    """Lays a module's parameters, and their gradients, out in one buffer each. The module works on views."""

    def __init__(self, module: nn.Module) -> None:
        parameters = list(module.parameters())
        self.data = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.grad = torch.zeros_like(self.data)
        offset = 0
        for p in parameters:
            size = p.numel()
            p.data = self.data[offset : offset + size].view_as(p)
            p.grad = self.grad[offset : offset + size].view_as(p)
            offset += size

    def follow(self, source: Flat, tau: float) -> None:
        """Polyak average: self = (1 - tau) self + tau source."""
        self.data.lerp_(source.data, tau)


class FlatAdamW:
    """AdamW with gradient clipping over a `Flat` module: one fused kernel a step."""

    def __init__(self, flat: Flat, lr: float, clip: float, weight_decay: float = 0.0) -> None:
        self.flat, self.clip = flat, clip
        self.parameter = nn.Parameter(flat.data)
        self.parameter.grad = flat.grad
        self.adam = torch.optim.AdamW([self.parameter], lr=lr, weight_decay=weight_decay, fused=True)

    def zero_grad(self) -> None:
        self.flat.grad.zero_()

    def step(self) -> Tensor:
        """Clip and apply the accumulated gradient; returns its norm before clipping."""
        norm = torch.linalg.vector_norm(self.flat.grad)
        self.flat.grad.mul_(torch.clamp(self.clip / (norm + 1e-6), max=1.0))
        self.adam.step()
        return norm

    def state(self) -> dict[str, Tensor]:
        state = self.adam.state[self.parameter]
        return {key: value.clone() for key, value in state.items()} if state else {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        if state:
            self.adam.state[self.parameter] = {key: value.clone() for key, value in state.items()}
