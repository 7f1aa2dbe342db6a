"""Where a camera stands, from views of a marker that the arm carries.

With the tool's pose T_i in the base frame and the marker's pose M_i in the camera's, at moment i,

    T_i Z = X M_i        X: camera in the base frame, Z: marker in the tool's frame, both unknown and constant

Two moments give A X = X B with A = T_j T_i^-1, B = M_j M_i^-1, solved in closed form (Park and Martin, IEEE T-RA 1994)
and then refined over all moments at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hardware.poses import difference, rigid
from robo_rl.errors import UserError

MIN_MOMENTS = 8
LEVER = 0.1  # [m] per rad: how residuals of turning weigh beside those of moving
LEAST_TURN = 0.1  # [rad] between two moments that are compared
NEW_PLACE = (0.03, 0.15)  # [m], [rad] that the tool must have moved by for another moment
MAX_ERROR = (0.01, 0.05)  # [m], [rad] root mean square; beyond that something is loose


class HandEye(NamedTuple):
    """Camera in the base frame and marker in the tool's, (4, 4); root mean square residuals [m], [rad]."""

    camera: np.ndarray
    marker: np.ndarray
    error: tuple[float, float]


class Moments:
    """Views of the marker with the arm at different places."""

    def __init__(self) -> None:
        self.tools: list[np.ndarray] = []
        self.markers: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.tools)

    def add(self, tool: np.ndarray, marker: np.ndarray) -> bool:
        """Whether the arm (tool (4, 4) in the base frame, marker (4, 4) in the camera's) is at a new place."""
        for other in self.tools:
            moved, turned = difference(other, tool)
            if moved < NEW_PLACE[0] and turned < NEW_PLACE[1]:
                return False
        self.tools.append(tool)
        self.markers.append(marker)
        return True

    def solve(self) -> HandEye:
        """Raises `UserError` for too few moments, for an arm that hardly turned, for large residuals."""
        return solve(self.tools, self.markers)


def solve(tools: Sequence[np.ndarray], markers: Sequence[np.ndarray]) -> HandEye:
    """Both unknowns from K moments, (4, 4) each; raises as `Moments.solve` does."""
    if len(tools) < MIN_MOMENTS:
        raise UserError(f"hand_eye=: {len(tools)} places of the arm, {MIN_MOMENTS} are needed")
    camera = _closed_form(tools, markers)
    guesses = [np.linalg.inv(tool) @ camera @ marker for tool, marker in zip(tools, markers, strict=True)]
    turn = Rotation.from_matrix(np.array([guess[:3, :3] for guess in guesses])).mean()
    carried = rigid(turn.as_rotvec(), np.mean([guess[:3, 3] for guess in guesses], axis=0))
    found = least_squares(
        _residuals, [*_numbers(camera), *_numbers(carried)], args=(tools, markers), loss="soft_l1", f_scale=0.003
    )
    camera, carried = rigid(found.x[:3], found.x[3:6]), rigid(found.x[6:9], found.x[9:])
    pairs = zip(tools, markers, strict=True)
    errors = np.array([difference(tool @ carried, camera @ marker) for tool, marker in pairs])
    moved, turned = np.sqrt((errors**2).mean(axis=0)).tolist()
    if moved > MAX_ERROR[0] or turned > MAX_ERROR[1]:
        raise UserError(
            f"hand_eye=: the views do not fit together ({1e3 * moved:.1f} mm, {np.degrees(turned):.1f} degrees); is "
            "the marker firm on the tool, its size right, and the camera at rest?"
        )
    return HandEye(camera, carried, (moved, turned))


def _closed_form(tools: Sequence[np.ndarray], markers: Sequence[np.ndarray]) -> np.ndarray:
    """X (4, 4): log(A) = R log(B) by the singular value decomposition, then (R_A - 1) t = R t_B - t_A."""
    pairs = [
        (tools[j] @ np.linalg.inv(tools[i]), markers[j] @ np.linalg.inv(markers[i]))
        for i, j in combinations(range(len(tools)), 2)
    ]
    logs = np.array([[Rotation.from_matrix(side[:3, :3]).as_rotvec() for side in pair] for pair in pairs])
    turning = np.linalg.norm(logs[:, 0], axis=1) > LEAST_TURN
    axes = (
        logs[turning, 0] / np.linalg.norm(logs[turning, 0], axis=1, keepdims=True)
        if turning.any()
        else np.zeros((0, 3))
    )
    if len(axes) < 3 or np.linalg.svd(axes, compute_uv=False)[1] < 0.1 * np.sqrt(len(axes)):
        raise UserError(
            "hand_eye=: the tool turned about one axis at most; turn it about several, by 30 degrees or more"
        )
    turn = Rotation.align_vectors(logs[turning, 0], logs[turning, 1])[0]
    left = np.concatenate([one[:3, :3] - np.eye(3) for one, _ in pairs])
    right = np.concatenate([turn.apply(other[:3, 3]) - one[:3, 3] for one, other in pairs])
    return rigid(turn.as_rotvec(), np.linalg.lstsq(left, right, rcond=None)[0])


def _numbers(matrix: np.ndarray) -> np.ndarray:
    return np.concatenate([Rotation.from_matrix(matrix[:3, :3]).as_rotvec(), matrix[:3, 3]])


def _residuals(numbers: np.ndarray, tools: Sequence[np.ndarray], markers: Sequence[np.ndarray]) -> np.ndarray:
    """(6 K,) [m]."""
    camera, carried = rigid(numbers[:3], numbers[3:6]), rigid(numbers[6:9], numbers[9:])
    left, right = np.array(tools) @ carried, camera @ np.array(markers)
    turns = Rotation.from_matrix(left[:, :3, :3].transpose(0, 2, 1) @ right[:, :3, :3]).as_rotvec()
    return np.concatenate([(left - right)[:, :3, 3].ravel(), LEVER * turns.ravel()])
