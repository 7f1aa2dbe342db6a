"""What is done to pictures before a learner sees them."""

from __future__ import annotations

import torch
from torch import Tensor


def random_shift(pictures: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, C, H, W, 3), each moved by up to `pad` pixels in both directions, edges repeated (DrQ-v2, arXiv
    2107.09645): what the critic then learns does not hang on single pixels."""
    if not pad:
        return pictures
    count, cameras, height, width, _ = pictures.shape
    offset = torch.randint(-pad, pad + 1, (2, count, cameras, 1), generator=generator)
    rows = (torch.arange(height) + offset[0]).clamp(0, height - 1).to(pictures.device)
    columns = (torch.arange(width) + offset[1]).clamp(0, width - 1).to(pictures.device)
    which = torch.arange(count, device=pictures.device)[:, None, None, None]
    camera = torch.arange(cameras, device=pictures.device)[None, :, None, None]
    return pictures[which, camera, rows[..., None], columns[:, :, None]]
