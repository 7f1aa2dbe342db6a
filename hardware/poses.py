"""Poses (7,), x y z [m] and unit quaternion w x y z, as 4 by 4 matrices and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation


def matrix_of(pose: Sequence[float] | np.ndarray) -> np.ndarray:
    """(7,) -> (4, 4)."""
    pose = np.asarray(pose, np.float64)
    out = np.eye(4)
    out[:3, :3] = Rotation.from_quat(pose[[4, 5, 6, 3]]).as_matrix()
    out[:3, 3] = pose[:3]
    return out


def pose_of(matrix: np.ndarray) -> np.ndarray:
    """(4, 4) -> (7,) float64 with w >= 0."""
    x, y, z, w = Rotation.from_matrix(matrix[:3, :3]).as_quat()
    sign = -1.0 if w < 0 else 1.0
    return np.concatenate([matrix[:3, 3], sign * np.array([w, x, y, z])])


def rigid(turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Rotation vector (3,) [rad] and translation (3,) [m] -> (4, 4)."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(np.asarray(turn).ravel()).as_matrix()
    out[:3, 3] = np.asarray(shift).ravel()
    return out


def difference(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """How far two poses (4, 4) are apart: [m], [rad]."""
    turn = Rotation.from_matrix(left[:3, :3].T @ right[:3, :3]).magnitude()
    return float(np.linalg.norm(left[:3, 3] - right[:3, 3])), float(turn)
