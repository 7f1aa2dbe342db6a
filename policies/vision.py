"""Eyes: what a policy makes of its cameras' pictures.

One small vision transformer a camera, as residual learners use them (IBRL, arXiv 2311.02198): a convolutional stem, one
transformer layer over its patches, and a few numbers of each patch, so that it stays known what was where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robo_rl.cameras import camera_keys
from robo_rl.errors import UserError
from robo_rl.spec import Spec
from robo_rl.types import Obs

WIDTH, ATTENTION, KEPT = 128, 4, 8  # of the transformer; its heads; numbers kept of a patch
LEAST = 16  # [px] that a picture must measure


class Eye(nn.Module):
    """Pictures of one camera (B, 3, H, W) in +-0.5 -> (B, size) in +-1."""

    def __init__(self, height: int, width: int, size: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, WIDTH, 3, stride=2, padding=1)
        )
        patches = self.stem(torch.zeros(1, 3, height, width)).flatten(2).shape[2]
        self.place = nn.Parameter(0.02 * torch.randn(1, patches, WIDTH))
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, ATTENTION, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.few = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, KEPT), nn.Flatten())
        self.out = nn.Sequential(nn.Linear(patches * KEPT, size), nn.LayerNorm(size), nn.Tanh())

    def forward(self, picture: Tensor) -> Tensor:
        patches = self.stem(picture).flatten(2).transpose(1, 2)
        return self.out(self.few(self.layer(patches + self.place)))


class Eyes(nn.Module):
    """Pictures (B, C, H, W, 3) uint8 of the cameras `keys` -> (B, C * each).

    Args:
        keys: observation keys of the pictures.
        height, width: of every picture [px].
        each: numbers a camera.
    """

    def __init__(self, keys: Sequence[str], height: int, width: int, each: int = 64) -> None:
        super().__init__()
        self.keys, self.height, self.width, self.each = tuple(keys), height, width, each
        self.size = len(self.keys) * each
        self.eyes = nn.ModuleList(Eye(height, width, each) for _ in self.keys)

    @classmethod
    def of(cls, spec: Spec, cameras: Sequence[str], key: str, each: int = 64) -> Eyes | None:
        """Eyes for cameras by name, as `key` chose them; None for no cameras.

        Raises `UserError` where the observations lack one, or where their pictures differ in size.
        """
        if not cameras:
            return None
        keys = camera_keys(spec, cameras, key)
        shapes = {spec[key].shape for key in keys}
        if len(shapes) > 1 or min(min(shape[:2]) for shape in shapes) < LEAST:
            raise UserError(f"{key}: pictures must be of one size, {LEAST} px at least; they are {sorted(shapes)}")
        height, width, _ = shapes.pop()
        return cls(keys, height, width, each)

    def forward(self, pictures: Tensor) -> Tensor:
        scaled = pictures.float().div(255.0).sub(0.5).permute(1, 0, 4, 2, 3)  # (C, B, 3, H, W)
        return torch.cat([eye(picture) for eye, picture in zip(self.eyes, scaled, strict=True)], 1)

    def look(self, obs: Obs) -> np.ndarray:
        """The pictures in an observation, (N, C, H, W, 3) uint8."""
        return np.stack([obs[key] for key in self.keys], axis=1)

    def config(self) -> dict[str, Any]:
        """What a bundle's JSON needs to build empty ones."""
        return {"keys": list(self.keys), "height": self.height, "width": self.width, "each": self.each}


def eyes_config(eyes: Eyes | None) -> dict[str, Any] | None:
    """Their `config`, where there are any."""
    return None if eyes is None else eyes.config()


def empty_eyes(config: dict[str, Any] | None) -> Eyes | None:
    """Of the shape that `Eyes.config` said, for weights to be read into."""
    return None if config is None else Eyes(**config)


def seen_size(eyes: Eyes | None) -> int:
    """Width of `seen`."""
    return 0 if eyes is None else eyes.size


def seen(eyes: Eyes | None, pictures: Tensor | None) -> tuple[Tensor, ...]:
    """What the eyes make of pictures (B, C, H, W, 3), to be put before a network's other inputs."""
    if eyes is None:
        return ()
    assert pictures is not None
    return (eyes(pictures),)


def looks(eyes: Eyes | None, obs: Obs) -> tuple[np.ndarray, ...]:
    """What a network with these eyes takes beside its vectors: the pictures, or nothing."""
    return () if eyes is None else (eyes.look(obs),)
