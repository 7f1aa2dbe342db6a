"""Cameras in processes of their own: what they deliver, and what becomes of them when something breaks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware.camera_process import CameraJob
from hardware.camera_sources import Device, File, Synthetic, find_cameras, source_of
from hardware.cameras import CameraSensor
from hardware.emulators.servo_arm import ServoArm
from hardware.rig import DeviceRig
from robo_rl.cameras import Camera
from robo_rl.errors import UserError
from tests.fakes import tiny_arm

FRONT = Camera("front", 84, 84, rate=100.0, capture=(160, 120))
PATIENCE = 20.0  # [s] that a busy machine may take
MakeSensor = Callable[..., CameraSensor]


@pytest.fixture
def sensor() -> Iterator[MakeSensor]:
    """A connected sensor of a job."""
    made = []

    def make(job: CameraJob, **options: float) -> CameraSensor:
        made.append(CameraSensor("front", job, **options))
        made[-1].connect()
        return made[-1]

    yield make
    for one in made:
        one.close()


def eventually(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def video(path: Path, colours: list[tuple[int, int, int]]) -> Path:
    """One frame a colour (blue, green, red)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (160, 120))
    for colour in colours:
        writer.write(np.full((120, 160, 3), colour, np.uint8))
    writer.release()
    return path


def number_of(picture: np.ndarray) -> int:
    """The frame number that a synthetic picture (84, 84, 3) shows."""
    middles = ((np.arange(Synthetic.BITS) + 0.5) * 84 / Synthetic.BITS).astype(int)
    return int(((picture[70, middles, 0] > 127) << np.arange(Synthetic.BITS)).sum())


def test_what_it_delivers_is_what_the_simulated_camera_does(sensor: MakeSensor) -> None:
    front = sensor(CameraJob(Synthetic((160, 120), 100.0), FRONT))
    obs, stamp = front.read()
    front.obs_spec.validate(obs, 1)
    assert front.obs_spec == FRONT.spec
    assert stamp["camera/front"].shape == (1,) and 0 <= time.monotonic() - stamp["camera/front"][0] < PATIENCE
    picture = obs["camera/front"][0]
    assert picture[10, [10, 42, 74]].argmax(axis=1).tolist() == [2, 1, 0]  # drawn blue, green, red: delivered as RGB


def test_pictures_are_whole_and_their_stamps_are_theirs(sensor: MakeSensor) -> None:
    """Every picture read shows one frame number, never older than the one before, taken when its stamp says."""
    front = sensor(CameraJob(Synthetic((160, 120), 100.0), FRONT))
    seen = {}
    eventually(lambda: len(seen) > 20 or bool(seen.update([_numbered(front)])))
    numbers, stamps = np.array(list(seen)), np.array(list(seen.values()))
    assert (np.diff(numbers) > 0).all()
    assert np.allclose(np.diff(stamps), np.diff(numbers) / 100.0, atol=1e-6)


def _numbered(front: CameraSensor) -> tuple[int, float]:
    obs, stamp = front.read()
    return number_of(obs["camera/front"][0]), float(stamp["camera/front"][0])


def test_pictures_that_were_handed_out_stay_as_they_are(sensor: MakeSensor) -> None:
    front = sensor(CameraJob(Synthetic((160, 120), 100.0), FRONT))
    picture = front.read()[0]["camera/front"]
    kept = picture.copy()
    eventually(lambda: not np.array_equal(front.read()[0]["camera/front"], kept))
    assert np.array_equal(picture, kept)


def test_a_stopped_camera_grows_old_and_blocks_nobody(sensor: MakeSensor) -> None:
    front = sensor(CameraJob(Synthetic((160, 120), 100.0), FRONT))
    os.kill(front.pid, signal.SIGSTOP)
    eventually(lambda: Path(f"/proc/{front.pid}/stat").read_text().split()[2] == "T")
    before = front.read()
    for _ in range(1000):
        after = front.read()
    assert after[1] == before[1] and np.array_equal(after[0]["camera/front"], before[0]["camera/front"])


def test_a_lost_device_is_opened_again(sensor: MakeSensor, tmp_path: Path) -> None:
    """A video as the device: it is gone after its last frame, then gone for good, then back."""
    path = video(tmp_path / "device.avi", [(0, 0, 200)] * 3)
    front = sensor(CameraJob(Device(str(path)), FRONT, retry=0.05))
    eventually(lambda: front.reopened >= 2)
    path.rename(tmp_path / "unplugged.avi")
    eventually(lambda: "cannot be opened" in front.problem)
    old = front.read()[1]["camera/front"][0]
    assert front.read()[1]["camera/front"][0] == old
    video(path, [(200, 0, 0)] * 3)
    eventually(lambda: front.read()[0]["camera/front"][0, 40, 40].argmax() == 2)
    assert front.read()[1]["camera/front"][0] > old


def test_a_camera_that_is_not_there_is_refused() -> None:
    front = CameraSensor("front", CameraJob(Device("/dev/video77"), FRONT))
    with pytest.raises(UserError, match="camera front: /dev/video77 cannot be opened; is it plugged in"):
        front.connect()


def test_a_stale_camera_is_a_fault_with_its_reason(tmp_path: Path) -> None:
    path = video(tmp_path / "device.avi", [(0, 0, 200)] * 3)
    camera = CameraSensor("front", CameraJob(Device(str(path)), FRONT, retry=0.05), max_age=0.5)
    rig = DeviceRig([ServoArm(tiny_arm())], [camera])
    try:
        while not rig.home(np.ones(1, bool), np.zeros(1, np.int64)).all():
            rig.tick(np.zeros(1, bool))
        rig.obs_spec.validate(rig.read()[0], 1)
        path.unlink()
        eventually(lambda: time.monotonic() - rig.read()[1]["camera/front"][0] > 1.0)
        assert rig.messages == [""]  # nobody acts yet
        rig.write(rig.read()[0]["applied"], np.ones(1, bool))
        rig.tick(np.ones(1, bool))
        rig.read()
        words = rig.messages[0]
        assert "camera/front" in words and "cannot be opened" in words and "limit 0.500 s" in words
    finally:
        rig.close()
    assert camera.problem == ""  # closed with the rig


def test_a_killed_process_is_said(sensor: MakeSensor) -> None:
    front = sensor(CameraJob(Synthetic((160, 120), 100.0), FRONT))
    os.kill(front.pid, signal.SIGKILL)
    eventually(lambda: front.problem == "its process got signal -9" or front.problem == "its process got signal 9")
    front.read()


def test_files_are_played_in_a_loop(sensor: MakeSensor, tmp_path: Path) -> None:
    for name, level in (("b.png", 200), ("a.png", 50)):
        cv2.imwrite(str(tmp_path / name), np.full((120, 160, 3), level, np.uint8))
    played = source_of(str(tmp_path), FRONT, "robot.cameras.front")
    played.open()
    assert [int(played.read()[0][0, 0, 0]) for _ in range(4)] == [50, 200, 50, 200]
    film = File(str(video(tmp_path / "film.avi", [(0, 0, 250), (250, 0, 0)])), 100.0)
    film.open()
    assert [int(film.read()[0][60, 80].argmax()) for _ in range(4)] == [2, 0, 2, 0]


@pytest.mark.parametrize("text", ["/dev/video77", "nowhere.mp4", "front"])
def test_what_is_no_source_is_said(text: str) -> None:
    with pytest.raises(UserError, match=f"robot.cameras.front={text}: no such device, file or folder"):
        source_of(text, FRONT, "robot.cameras.front")


def test_cameras_are_found_by_their_first_device(tmp_path: Path) -> None:
    for name, index in (("video10", 0), ("video2", 0), ("video3", 1)):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
        about = tmp_path / "names" / name
        about.mkdir(parents=True)
        (about / "index").write_text(f"{index}\n")
        (about / "name").write_text(f"Camera of {name}\n")
    found = find_cameras(tmp_path / "dev", tmp_path / "names")
    assert found == [(str(tmp_path / "dev" / f"video{n}"), f"Camera of video{n}") for n in (2, 10)]
