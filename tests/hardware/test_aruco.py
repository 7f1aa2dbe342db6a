"""The marker tracker on pictures rendered by a pinhole model, with blur and noise; calibration on the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hardware.aruco import Marker, MarkerTracker
from hardware.lens import Board, Lens, LensFinder, Stand, dictionary
from hardware.poses import difference, matrix_of, pose_of, rigid
from robo_rl.errors import CorruptFile, UserError
from robo_rl.tracking import tracker_spec
from tests.hardware.pictures import board_texture, marker_texture, render

SIZE = (1280, 720)  # [px]
LENS = Lens("front", SIZE, ((950.0, 0.0, 644.0), (0.0, 948.0, 355.0), (0.0, 0.0, 1.0)), (0.05, -0.08, 0.001, 0.0, 0.0))
STAND = pose_of(rigid(np.array([-2.0, 0.2, 0.1]), np.array([0.4, -0.1, 0.5])))  # somewhere above, looking down
SIDE = 0.04  # [m]
NUMBER = 7


def poses(count: int, seed: int, distance: float = 0.5) -> list[np.ndarray]:
    """Bodies in front of the camera, tilted by 20 to 55 degrees from facing it."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        facing = Rotation.from_euler("x", np.pi) * Rotation.from_euler("z", rng.uniform(-np.pi, np.pi))
        around = rng.uniform(-np.pi, np.pi)
        tilt = Rotation.from_rotvec(rng.uniform(0.35, 0.96) * np.array([np.cos(around), np.sin(around), 0]))
        shift = np.array([*rng.uniform(-0.12, 0.12, 2), distance])
        found.append(rigid((tilt * facing).as_rotvec(), shift * distance / np.linalg.norm(shift)))
    return found


def test_pose_error_at_half_a_metre() -> None:
    texture, corners = marker_texture(NUMBER, SIDE)
    errors = []
    for seed, pose in enumerate(poses(12, 3)):
        tracker = MarkerTracker({"peg": [Marker(NUMBER, SIDE)]}, LENS, STAND)
        found = tracker.look(render(texture, corners, pose, LENS, seed))["peg"]
        assert found.dtype == np.float32 and found[3] >= 0 and abs(np.linalg.norm(found[3:]) - 1) < 1e-6
        errors.append(difference(matrix_of(found), matrix_of(STAND) @ pose))
    away, turned = np.array(errors).T
    assert away.max() < 2e-3, f"{1e3 * away.max():.2f} mm"
    assert np.degrees(turned).max() < 2.0, f"{np.degrees(turned).max():.2f} degrees"


def test_a_marker_may_sit_anywhere_on_its_object() -> None:
    mount = rigid(np.array([0.3, -0.4, 0.2]), np.array([0.01, -0.02, 0.015]))
    marker = Marker(NUMBER, SIDE, tuple(pose_of(mount)[:3]), tuple(pose_of(mount)[3:]))
    texture, corners = marker_texture(NUMBER, SIDE)
    pose = poses(1, 5)[0]
    found = MarkerTracker({"peg": [marker]}, LENS).look(render(texture, corners, pose, LENS, 0))["peg"]
    away, turned = difference(matrix_of(found), pose @ np.linalg.inv(mount))
    assert away < 3e-3 and np.degrees(turned) < 2.0


def test_the_spec_is_the_simulated_trackers() -> None:
    tracker = MarkerTracker({"peg": [Marker(1, 0.02)], "block": [Marker(2, 0.02)]}, LENS)
    assert tracker.obs_spec == tracker_spec(("peg", "block"))


def test_objects_that_are_not_there_are_not_reported() -> None:
    texture, corners = marker_texture(NUMBER, SIDE)
    tracker = MarkerTracker({"peg": [Marker(NUMBER, SIDE)], "block": [Marker(9, SIDE)]}, LENS)
    assert set(tracker.look(render(texture, corners, poses(1, 1)[0], LENS, 0))) == {"peg"}
    assert tracker.look(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)) == {}


def test_mistakes_are_said() -> None:
    with pytest.raises(UserError, match="each id may be used once"):
        MarkerTracker({"peg": [Marker(1, 0.02)], "block": [Marker(1, 0.02)]}, LENS)
    with pytest.raises(UserError, match=r"pictures of 640 x 480, its calibration is for 1280 x 720"):
        MarkerTracker({"peg": [Marker(1, 0.02)]}, LENS).look(np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(UserError, match="dictionary=DICT_1: unknown"):
        dictionary("DICT_1")


def test_a_lens_is_found_from_views_of_a_board() -> None:
    board = Board()
    texture, corners = board_texture(board)
    finder = LensFinder("front", board)
    rng = np.random.default_rng(0)
    for seed in range(12):
        tilt = Rotation.from_rotvec([*rng.uniform(-0.6, 0.6, 2), rng.uniform(-0.3, 0.3)])
        middle = np.array([*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.3, 0.5)])
        pose = rigid(tilt.as_rotvec(), middle - tilt.apply(corners.mean(axis=0)))
        finder.look(render(texture, corners, pose, LENS, seed))
    assert not finder.look(render(texture, corners, pose, LENS, 99))  # the same view again
    found = finder.solve()
    assert found.size == SIZE and found.error < 0.5
    difference_px = np.array(found.matrix) - np.array(LENS.matrix)
    assert np.abs(difference_px).max() < 10.0
    probe = np.array([[x, y, 0.5] for x in (-0.2, 0, 0.2) for y in (-0.1, 0, 0.1)])
    assert np.abs(found.project(probe, np.zeros(3), np.zeros(3)) - LENS.project(probe, *np.zeros((2, 3)))).max() < 5.0


def test_too_few_views_are_said() -> None:
    with pytest.raises(UserError, match="camera=front: 0 views of the board, 8 are needed"):
        LensFinder("front", Board()).solve()


def test_calibrations_survive_the_disk(tmp_path: Path) -> None:
    stand = Stand("so101", "front", tuple(map(float, STAND)), (0.001, 0.01))
    LENS.save(tmp_path / "lens.json")
    stand.save(tmp_path / "stand.json")
    assert Lens.load(tmp_path / "lens.json", "lens") == LENS
    assert Stand.load(tmp_path / "stand.json", "so101", "stand") == stand
    with pytest.raises(UserError, match="is of robot=so101, this is robot=koch"):
        Stand.load(tmp_path / "stand.json", "koch", "stand")
    with pytest.raises(UserError, match="no such file; calibrate the camera first"):
        Lens.load(tmp_path / "nothing.json", "lens")


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"format": 2}', '{"format": 1, "camera": "a", "x": 1}'])
def test_broken_calibrations_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "lens.json"
    path.write_text(text)
    with pytest.raises(CorruptFile, match="lens="):
        Lens.load(path, "lens")
