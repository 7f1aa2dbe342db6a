"""Pictures of flat things as a pinhole camera with a distorting lens shows them: blurred, noisy, on grey."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hardware.aruco import Marker
from hardware.lens import Board, Lens, dictionary

SUPERSAMPLING = 2
PIXELS = 8  # of a drawn marker's cell
CELLS = 6  # of a marker: 4 x 4 bits and the black rim


def render(texture: np.ndarray, corners: np.ndarray, pose: np.ndarray, lens: Lens, seed: int) -> np.ndarray:
    """A picture (H, W, 3) of a flat texture whose corners (4, 3) [m], clockwise from the upper left, lie in a body of
    pose (4, 4) in the camera's frame."""
    width, height = (SUPERSAMPLING * side for side in lens.size)
    straight = Lens("", lens.size, lens.matrix)
    turn = Rotation.from_matrix(pose[:3, :3]).as_rotvec()
    target = (straight.project(corners, turn, pose[:3, 3]) + 0.5) * SUPERSAMPLING - 0.5
    rows, columns = texture.shape
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]]) - 0.5
    warp = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    canvas = np.full((height, width), 120, np.uint8)
    cv2.warpPerspective(texture, warp, (width, height), canvas, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)
    canvas = cv2.resize(canvas, lens.size, interpolation=cv2.INTER_AREA)
    picture = cv2.remap(canvas, *_straightened(lens), cv2.INTER_LINEAR)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7).astype(np.float64)
    picture += np.random.default_rng(seed).normal(0, 4.0, picture.shape)
    return cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def marker_texture(number: int, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The marker of `side` [m] with a white border of a cell, and that border's corners (4, 3) [m]."""
    drawn = cv2.aruco.generateImageMarker(dictionary("DICT_4X4_50"), number, CELLS * PIXELS)
    return np.pad(drawn, PIXELS, constant_values=255), Marker(number, side * (CELLS + 2) / CELLS).corners


def board_texture(board: Board) -> tuple[np.ndarray, np.ndarray]:
    """The board, and its corners (4, 3) [m]."""
    columns, rows = board.squares
    width, height = columns * board.square, rows * board.square
    corners = np.array([[0, 0, 0], [width, 0, 0], [width, height, 0], [0, height, 0]])
    return board.made().generateImage((columns * 60, rows * 60)), corners


@cache
def _straightened(lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera without distortion would show what this one shows at each pixel, x and y (H, W)."""
    grid = np.stack(np.meshgrid(*map(np.arange, lens.size)), -1).reshape(-1, 1, 2).astype(np.float32)
    matrix = np.array(lens.matrix)
    where = cv2.undistortPoints(grid, matrix, np.array(lens.distortion), P=matrix).reshape(*lens.size[::-1], 2)
    return where[..., 0].astype(np.float32), where[..., 1].astype(np.float32)
