"""Corners of dark squares on white, found as where their sides meet.

Blur rounds a corner off, so that looking at the corner itself finds it too far inside, by a quarter of a pixel and
more; along a side blur changes nothing.
"""

from __future__ import annotations

import cv2
import numpy as np

ALONG = (np.arange(16) + 0.5) / 16 * 0.7 + 0.15  # places on a side, away from its ends
ACROSS = 25  # samples of a profile
CELLS = 6  # of a marker's side, its black rim included
PASSES = 2
END = 5  # samples at an end of a profile, beyond the blur
CONTRAST = 10.0  # grey levels that an edge has at least


def refine(grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Corners (4, 2) of a square [px] in a picture (H, W) uint8, going round: better ones, (4, 2) float64."""
    found = corners.astype(np.float64)
    for _ in range(PASSES):
        lines = _sides(grey, found)
        if lines is None:
            return corners.astype(np.float64)
        found = np.cross(np.roll(lines, 1, axis=0), lines)
        found = found[:, :2] / found[:, 2:]
    return found


def _sides(grey: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """Lines (4, 3), a x + b y + c = 0, through the edges from each corner to the next; None where there are none."""
    start, end = corners, np.roll(corners, -1, axis=0)
    length = np.linalg.norm(end - start, axis=1)
    if length.min() < 2 * CELLS:
        return None  # too small to tell a side from its neighbours
    way = (end - start) / length[:, None]
    normal = np.stack([-way[:, 1], way[:, 0]], axis=1)
    reach = np.clip(0.6 * length.min() / CELLS, 1.5, 4.0)  # [px], within the black rim and the white border
    offset = np.linspace(-reach, reach, ACROSS)
    middle = start[:, None] + ALONG[None, :, None] * (end - start)[:, None]  # (4, S, 2)
    place = middle[:, :, None] + offset[None, None, :, None] * normal[:, None, None]  # (4, S, P, 2)
    grid = place.reshape(-1, ACROSS, 2).astype(np.float32)
    profile = cv2.remap(grey, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _lines(profile.reshape(4, len(ALONG), ACROSS).astype(np.float64), offset, middle, normal)


def _lines(rows: np.ndarray, offset: np.ndarray, middle: np.ndarray, normal: np.ndarray) -> np.ndarray | None:
    """A profile (4, S, P) falls from the grey of its first end to that of its last; the area under it says where."""
    first, last = rows[..., :END].mean(-1), rows[..., -END:].mean(-1)
    if np.abs(first - last).min() < CONTRAST:
        return None
    share = np.clip((rows - last[..., None]) / (first - last)[..., None], -0.2, 1.2)  # 1 before the edge, 0 behind it
    step = offset[1] - offset[0]
    where = offset[0] - step / 2 + step * share.sum(-1)
    points = middle + where[..., None] * normal[:, None]
    lines = []
    for side in points:
        centre = side.mean(axis=0)
        across = np.linalg.svd(side - centre)[2][1]
        lines.append([*across, -across @ centre])
    return np.array(lines)
