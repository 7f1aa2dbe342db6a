"""Cameras and trackers on the command line: found, calibrated, built from a config, refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hardware.aruco import Marker, MarkerTracker
from hardware.cameras import CameraSensor
from hardware.emulators.servo_arm import ServoArm
from hardware.emulators.servo_bus import emulated_calibration
from hardware.hand_eye import Moments
from hardware.lens import Board, Lens, Stand
from hardware.poses import difference, matrix_of, rigid
from hardware.rig import DeviceRig
from robo_rl.app.build import description_path
from robo_rl.app.calibrate_camera import place
from robo_rl.app.sensing import lens_path, make_sensors, stand_path
from robo_rl.clock import Deadline
from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription
from robo_rl.tracking import tracker_spec
from tests.app.support import assert_mistake
from tests.fakes import FakeClock
from tests.hardware.pictures import board_texture, marker_texture, render

ARM = RobotDescription.load(description_path("so101"))
LENS = Lens("front", (640, 480), ((600.0, 0.0, 322.0), (0.0, 598.0, 236.0), (0.0, 0.0, 1.0)), (0.02, -0.03, 0, 0, 0))
OBJECTS = {"peg": [{"id": 3, "size": 0.02}]}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def calibrated() -> None:
    LENS.save(lens_path("front"))
    Stand("so101", "front", (0.4, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0)).save(stand_path("so101", "arm", "front"))


def test_find_says_what_there_is(robo_rl, tmp_path) -> None:
    code, text, _ = robo_rl("find", f"out={tmp_path}")
    assert code == 0 and text
    assert set(json.loads((tmp_path / "result.json").read_text())) == {"ports", "cameras"}


def test_a_lens_from_a_folder_of_pictures(robo_rl, tmp_path) -> None:
    texture, corners = board_texture(Board())
    rng = np.random.default_rng(2)
    (tmp_path / "views").mkdir()
    for number in range(12):
        tilt = Rotation.from_rotvec([*rng.uniform(-0.6, 0.6, 2), rng.uniform(-0.3, 0.3)])
        middle = np.array([*rng.uniform(-0.08, 0.08, 2), rng.uniform(0.3, 0.5)])
        pose = rigid(tilt.as_rotvec(), middle - tilt.apply(corners.mean(axis=0)))
        cv2.imwrite(str(tmp_path / "views" / f"{number:02d}.png"), render(texture, corners, pose, LENS, number))
    cameras = f"robot.cameras={{front: {tmp_path / 'views'}}}"
    code, text, error = robo_rl("calibrate", "robot=so101", "camera=front", cameras, "views=9", "seconds=60")
    assert code == 0, error
    found = Lens.load(lens_path("front"), "lens")
    assert found.size == (640, 480) and found.error < 0.5
    assert np.abs(np.array(found.matrix) - np.array(LENS.matrix)).max() < 15
    assert "saved" in text


def test_where_a_camera_stands() -> None:
    """The arm at twelve places with a marker on its tool, pictures of it: the camera's pose comes out."""
    camera = rigid(np.array([-2.2, 0.1, 0.1]), np.array([0.25, -0.45, 0.45]))
    look_at = np.array([0.2, 0.0, 0.15]) - camera[:3, 3]
    camera[:3, :3] = _facing(look_at)
    clock, rng = FakeClock(), np.random.default_rng(4)
    tracker = MarkerTracker({"hand": [Marker(5, 0.04)]}, LENS)
    texture, corners = marker_texture(5, 0.04)
    moments, kinematics = Moments(), Kinematics(ARM)
    for seed in range(60):
        joints = ARM.array("home") + rng.uniform(-0.5, 0.5, len(ARM.joints))
        tool = matrix_of(kinematics.tool_pose(joints[None])[0])
        if not len(moments):
            marker = np.eye(4)  # glued on so that it faces the camera at the first place
            marker[:3, :3] = (
                tool[:3, :3].T @ camera[:3, :3] @ Rotation.from_euler("xy", [150, 20], degrees=True).as_matrix()
            )
        seen = np.linalg.inv(camera) @ tool @ marker
        if seen[:3, 2] @ seen[:3, 3] > -0.5 * np.linalg.norm(seen[:3, 3]):
            continue  # it looks away
        arm = ServoArm(ARM, start=joints, now=clock)
        rig = DeviceRig([arm], deadline=Deadline(ARM.dt, now=clock, sleep=clock.sleep), now=clock)
        rig.connect()
        place(rig, ARM, tracker, render(texture, corners, seen, LENS, seed), moments)
    found = moments.solve()
    away, turned = difference(found.camera, camera)
    assert len(moments) >= 12 and away < 0.005 and np.degrees(turned) < 0.6


def _facing(way: np.ndarray) -> np.ndarray:
    """Axes of a camera that looks along `way` (3,), as columns."""
    z = way / np.linalg.norm(way)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def test_pictures_and_poses_from_one_process() -> None:
    calibrated()
    tracker = {"camera": "front", "objects": OBJECTS, "max_age": 1.0}
    (sensor,) = make_sensors(ARM, pictures=["front"], cameras={"front": "synthetic"}, tracker=tracker)
    assert isinstance(sensor, CameraSensor) and sensor.max_age == 1.0
    assert (
        set(sensor.obs_spec) == {"camera/front", "peg_pose"}
        and sensor.obs_spec["peg_pose"] == tracker_spec(("peg",))["peg_pose"]
    )
    try:
        sensor.connect()
        obs, stamps = sensor.read()
        sensor.obs_spec.validate(obs, 1)
        assert obs["peg_pose"][0, 3] == 1.0  # no marker in the test picture
        assert stamps["peg_pose"][0] < stamps["camera/front"][0]
    finally:
        sensor.close()


def test_an_object_in_the_picture_is_tracked_by_the_process(tmp_path: Path) -> None:
    calibrated()
    texture, corners = marker_texture(3, 0.03)
    pose = rigid(np.array([2.6, 0.3, 0.2]), np.array([0.02, 0.01, 0.3]))
    cv2.imwrite(str(tmp_path / "one.png"), render(texture, corners, pose, LENS, 0))
    objects = {"peg": [{"id": 3, "size": 0.03}]}
    tracker = {"camera": "front", "objects": objects}
    (sensor,) = make_sensors(ARM, cameras={"front": str(tmp_path / "one.png")}, tracker=tracker)
    try:
        sensor.connect()
        obs, _ = sensor.read()
    finally:
        sensor.close()
    stand = matrix_of((0.4, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0))
    away, turned = difference(matrix_of(obs["peg_pose"][0]), stand @ pose)
    assert set(obs) == {"peg_pose"} and away < 2e-3 and np.degrees(turned) < 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pictures": ["front"]}, "robot.cameras.front=: is needed"),
        ({"pictures": ["top"]}, "robot.cameras=top: unknown; valid choices: front, side, wrist"),
        ({"tracker": {"camera": "front"}}, "robot.tracker: needs camera and objects"),
        ({"tracker": {"kamera": "front"}}, "robot.tracker: unknown keys kamera; valid keys: camera"),
        ({"tracker": {"camera": "front", "objects": {"peg": [{"id": 1}]}}}, "a marker has id, size, position"),
        ({"tracker": {"camera": "front", "objects": OBJECTS}}, "calibrate the camera first: robo-rl calibrate camera="),
    ],
)
def test_what_does_not_fit_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_sensors(ARM, **options)


def test_a_missing_stand_is_said() -> None:
    LENS.save(lens_path("front"))
    with pytest.raises(UserError, match="find out where the camera stands first: robo-rl calibrate hand_eye="):
        make_sensors(ARM, tracker={"camera": "front", "objects": OBJECTS}, cameras={"front": "synthetic"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("robot=so101", "camera=front"), ["robot.cameras.front=: is needed"]),
        (("camera=front",), ["robot=so101_sim: has no physical cameras"]),
        (("robot=so101", "camera=top"), ["camera=top: unknown", "front, side, wrist"]),
        (("robot=so101", "camera=front", "hand_eye=front"), ["give one of the two"]),
        (("robot=so101", "hand_eye=front", "robot.cameras={front: synthetic}"), ["calibrate the camera first"]),
        (("robot=so101", "camera=front", "robot.cameras={front: synthetic}", "seconds=0.3"), ["0 views of the board"]),
    ],
)
def test_what_cannot_be_calibrated_is_said(robo_rl, arguments, words) -> None:
    assert_mistake(robo_rl("calibrate", *arguments), words)


def test_a_physical_arm_with_a_camera_gets_as_far_as_its_port(robo_rl, run_folder, data) -> None:
    calibrated()
    emulated_calibration(ARM).save(data / "robo_rl" / "calibration" / "so101" / "arm.json")
    objects = "{peg: [{id: 3, size: 0.02}], block: [{id: 4, size: 0.02}]}"
    arguments = ("robot=so101", "robot.bus=/dev/ttyACM77", "robot.cameras={front: synthetic}")
    result = robo_rl("deploy", f"run={run_folder}", *arguments, f"robot.tracker={{camera: front, objects: {objects}}}")
    assert_mistake(result, ["robot.bus=/dev/ttyACM77: no such port"])
