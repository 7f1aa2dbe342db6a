"""Hand-eye calibration on synthetic poses: exact without noise, close with it, and honest about bad data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hardware.hand_eye import MIN_MOMENTS, Moments, solve
from hardware.poses import difference, rigid
from robo_rl.errors import UserError

CAMERA = rigid(np.array([-2.0, 0.3, 0.2]), np.array([0.5, -0.2, 0.6]))
MARKER = rigid(np.array([0.1, 1.5, -0.3]), np.array([0.02, 0.0, 0.04]))


def moments(count: int, move: float = 0.0, turn: float = 0.0, axes: int = 3) -> tuple[list, list]:
    """Tool and marker poses; `move` [m] and `turn` [rad] are the standard deviations of the marker's errors."""
    rng = np.random.default_rng(1)
    tools, markers = [], []
    for _ in range(count):
        vector = rng.uniform(-0.8, 0.8, 3)
        vector[axes:] = 0
        tool = rigid(vector, np.array([0.2, 0, 0.2]) + rng.uniform(-0.1, 0.1, 3))
        error = rigid(rng.normal(0, 1, 3) * turn, rng.normal(0, 1, 3) * move)
        tools.append(tool)
        markers.append(np.linalg.inv(CAMERA) @ tool @ MARKER @ error)
    return tools, markers


def test_exact_poses_give_the_exact_answer() -> None:
    found = solve(*moments(10))
    assert difference(found.camera, CAMERA) < (1e-6, 1e-6) and difference(found.marker, MARKER) < (1e-6, 1e-6)
    assert max(found.error) < 1e-6


def test_noise_of_a_tracker_is_averaged() -> None:
    found = solve(*moments(20, 0.001, 0.01))
    away, turned = difference(found.camera, CAMERA)
    assert away < 0.003 and turned < 0.006
    assert 0.0005 < found.error[0] < 0.004 and 0.005 < found.error[1] < 0.04


def test_a_wrong_view_is_refused() -> None:
    tools, markers = moments(20, 0.0005, 0.003)
    markers[4] = markers[4] @ rigid(np.array([0.0, 0.3, 0.0]), np.zeros(3))  # the other pose of a flat marker
    with pytest.raises(UserError, match="do not fit together"):
        solve(tools, markers)
    del tools[4], markers[4]
    assert difference(solve(tools, markers).camera, CAMERA)[0] < 0.003


@pytest.mark.parametrize(
    ("count", "axes", "words"), [(MIN_MOMENTS - 1, 3, "7 places of the arm, 8"), (12, 1, "about one axis")]
)
def test_bad_data_is_said(count: int, axes: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        solve(*moments(count, axes=axes))


def test_only_new_places_count() -> None:
    tools, markers = moments(3)
    collected = Moments()
    assert [collected.add(tools[i], markers[i]) for i in (0, 0, 1, 1, 2)] == [True, False, True, False, True]
    shaken = tools[0] @ rigid(Rotation.from_euler("x", 3, degrees=True).as_rotvec(), np.array([0.01, 0, 0]))
    assert not collected.add(shaken, markers[0]) and len(collected) == 3
