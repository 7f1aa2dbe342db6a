"""Networks. Inputs are packed float32 vectors in raw units; every network normalises for itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.vision import Eyes, eyes_config, seen, seen_size
from robo_rl.spec import Spec

LIMIT = 8.0  # standard deviations, beyond which normalised values are clamped


class Normalise(nn.Module):
    """(x - mean) / std, clamped to +-`limit`. Frozen: statistics of the demonstrations."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, limit: float = LIMIT) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float().clone())
        self.register_buffer("std", std.float().clone())
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.std).clamp(-self.limit, self.limit)


class Inputs(nn.Module):
    """Packed observation (B, D) -> (B, D + 2 P): normalised values, clamped to +-`limit`, and P differences of like
    quantities.

    A difference (tool to peg, peg to hole, setpoint to joint) comes twice: normalised, and squashed at a tenth of its
    spread, so that the last millimetres are as visible as the first decimetres. `pairs` (P, 2) indexes the packed
    observation; see `like_pairs`.
    """

    mean: Tensor
    std: Tensor
    left: Tensor
    right: Tensor

    FINE = 0.1

    def __init__(self, mean: Tensor, std: Tensor, pairs: Tensor, limit: float = LIMIT) -> None:
        super().__init__()
        self.limit = limit
        self.observed = len(mean) - len(pairs)
        self.size = len(mean) + len(pairs)
        self.register_buffer("mean", mean.float().clone())
        self.register_buffer("std", std.float().clone())
        self.register_buffer("left", pairs[:, 0].clone(), persistent=False)
        self.register_buffer("right", pairs[:, 1].clone(), persistent=False)

    @classmethod
    def fit(cls, observations: Tensor, scale: Tensor, pairs: Tensor) -> Inputs:
        """Statistics of observations (F, D); no standard deviation is taken below `scale` (D,)."""
        differences = observations[:, pairs[:, 0]] - observations[:, pairs[:, 1]]
        every = torch.cat((observations, differences), 1)
        least = torch.cat((scale, scale[pairs[:, 0]]))
        return cls(every.mean(0), torch.maximum(every.std(0), least), pairs)

    def forward(self, x: Tensor) -> Tensor:
        difference = x[:, self.left] - x[:, self.right]
        normalised = ((torch.cat((x, difference), 1) - self.mean) / self.std).clamp(-self.limit, self.limit)
        fine = torch.tanh(difference / (self.FINE * self.std[self.observed :]))
        return torch.cat((normalised, fine), 1)

    def config(self) -> dict[str, Any]:
        """What a bundle's JSON needs to build an empty one."""
        return {"pairs": len(self.left) > 0, "limit": self.limit if math.isfinite(self.limit) else None}


def like_pairs(spec: Spec) -> Tensor:
    """(P, 2) indices into the packed observation of every two elements that have the same name and unit."""
    offsets, places = 0, []
    for key in spec.vector_keys:
        places.append((spec[key].unit, spec[key].names, offsets))
        offsets += spec[key].size
    pairs = [
        (i + k, j + k)
        for (unit, names, i), (other_unit, other_names, j) in itertools.combinations(places, 2)
        if names and (unit, names) == (other_unit, other_names)
        for k in range(len(names))
    ]
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)


def mlp(sizes: Sequence[int], out: int, norm: bool = True, dropout: float = 0.0) -> nn.Sequential:
    """Linear, LayerNorm, ReLU for every hidden size (the first entry is the input's), then Linear to `out`.

    `norm=False` leaves out the LayerNorms; `dropout` is the share of hidden units that a training pass silences.
    """
    layers: list[nn.Module] = []
    for size, width in zip(sizes[:-1], sizes[1:], strict=True):
        norms = [nn.LayerNorm(width)] if norm else []
        layers += [nn.Linear(size, width), *norms, nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], out))


class Ensemble(nn.Module):
    """K multilayer perceptrons of one output, all heads in one matrix multiplication a layer.

    The first layer is a sum over early inputs (B, D), done by `embed`, and late inputs (B, L): an actor update, which
    asks for values of several actions in the same states, and for the gradient of the action alone, does the larger
    part once. LayerNorm (Ba et al. 2016) before every ReLU bounds the values of actions never seen (RLPD, arXiv
    2302.02948); it has no gain and shift of its own, which cost more time than they are worth. `norm=False` leaves it
    out, as TD3 and SAC do.
    """

    def __init__(
        self, early: int, late: int, hidden: Sequence[int], heads: int, generator: torch.Generator, norm: bool = True
    ) -> None:
        super().__init__()
        sizes = [early + late, *hidden, 1]
        self.heads, self.hidden, self.norm = heads, list(hidden), norm
        for i, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            bound = 1.0 / math.sqrt(fan_in)
            weight = torch.empty(heads, fan_in, fan_out).uniform_(-bound, bound, generator=generator)
            if i == 0:
                self.late = nn.Parameter(weight[:, early:].contiguous())
                weight = weight[:, :early].contiguous()
            self.register_parameter(f"weight{i}", nn.Parameter(weight))
            self.register_parameter(f"bias{i}", nn.Parameter(torch.zeros(heads, 1, fan_out)))

    def _part(self, name: str, heads: Tensor | None) -> Tensor:
        value = getattr(self, name)
        return value if heads is None else value[heads]

    def embed(self, early: Tensor, heads: Tensor | None = None) -> Tensor:
        """(B, D) -> (K, B, hidden[0]), or (len(heads), ...) for some of them: to be given to `forward`."""
        x = early.expand(self.heads if heads is None else len(heads), -1, -1)
        return torch.baddbmm(self._part("bias0", heads), x, self._part("weight0", heads))

    def forward(self, embedded: Tensor, late: Tensor, heads: Tensor | None = None) -> Tensor:
        """(K, B, hidden[0]), (B, L) -> (K, B)."""
        last = len(self.hidden)
        h = self.penultimate(embedded, late, heads)
        return torch.baddbmm(self._part(f"bias{last}", heads), h, self._part(f"weight{last}", heads)).squeeze(-1)

    def penultimate(self, embedded: Tensor, late: Tensor, heads: Tensor | None = None) -> Tensor:
        """What the last layer sees, (K, B, hidden[-1])."""
        h = torch.baddbmm(embedded, late.expand(embedded.shape[0], -1, -1), self._part("late", heads))
        for i, width in enumerate(self.hidden):
            if i:
                h = torch.baddbmm(self._part(f"bias{i}", heads), h, self._part(f"weight{i}", heads))
            h = F.relu_(torch.layer_norm(h, (width,)) if self.norm else h)
        return h


class ChunkNetwork(nn.Module):
    """Network of a base policy: packed observation (B, D) -> chunk (B, H, A) in raw action units.

    `relative_to` is the offset in the packed observation of A values that the chunk is predicted relative to (the
    previous setpoint, say): a small motion is then a small number, whatever the pose. None: absolute actions.
    """

    kind: str

    def __init__(
        self,
        observation: Inputs,
        action: Normalise,
        horizon: int,
        hidden: Sequence[int],
        relative_to: int | None = None,
        eyes: Eyes | None = None,
    ) -> None:
        super().__init__()
        self.observation, self.action, self.horizon, self.relative_to = observation, action, horizon, relative_to
        self.eyes = eyes
        self.actions, self.hidden = len(action.mean), list(hidden)

    @property
    def input_size(self) -> int:
        """Width of `inputs`."""
        return seen_size(self.eyes) + self.observation.size

    def inputs(self, obs: Tensor, pictures: Tensor | None) -> Tensor:
        """What its body sees of an observation and, where it has eyes, pictures (B, C, H, W, 3)."""
        if self.eyes is None:
            return self.observation(obs)
        return torch.cat((*seen(self.eyes, pictures), self.observation(obs)), 1)

    def reference(self, obs: Tensor) -> Tensor | float:
        """What the chunk is relative to, (B, 1, A)."""
        if self.relative_to is None:
            return 0.0
        return obs[:, None, self.relative_to : self.relative_to + self.actions]

    def target(self, obs: Tensor, chunk: Tensor) -> Tensor:
        """A chunk (B, H, A) in the units that the loss is taken on."""
        return self.action(chunk - self.reference(obs))

    def restore(self, obs: Tensor, normalised: Tensor) -> Tensor:
        """What `target` made of a chunk, back in raw units."""
        return normalised * self.action.std + self.action.mean + self.reference(obs)

    def loss(self, obs: Tensor, chunk: Tensor, generator: torch.Generator, pictures: Tensor | None = None) -> Tensor:
        """What behaviour cloning makes small, for observations (B, D), pictures (B, C, H, W, 3) where it has eyes, and
        the chunks (B, H, A) executed there."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """What a bundle's JSON needs to build an empty one."""
        shape = {"kind": self.kind, "horizon": self.horizon, "hidden": self.hidden, "relative_to": self.relative_to}
        return shape | {"eyes": eyes_config(self.eyes), "inputs": self.observation.config()}


class ChunkNet(ChunkNetwork):
    """Regresses on one chunk with a multilayer perceptron."""

    kind = "mlp"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.body = mlp([self.input_size, *self.hidden], self.horizon * self.actions)

    def normalised(self, obs: Tensor, pictures: Tensor | None = None) -> Tensor:
        """Predicted chunk in the units that the loss is taken on, (B, H, A)."""
        return self.body(self.inputs(obs, pictures)).reshape(-1, self.horizon, self.actions)

    def loss(self, obs: Tensor, chunk: Tensor, generator: torch.Generator, pictures: Tensor | None = None) -> Tensor:
        """Mean absolute error of normalised chunks (as ACT, arXiv 2304.13705)."""
        return (self.normalised(obs, pictures) - self.target(obs, chunk)).abs().mean()

    def forward(self, obs: Tensor, pictures: Tensor | None = None) -> Tensor:
        return self.restore(obs, self.normalised(obs, pictures))
