"""Ticks and angles, and what is refused as a calibration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware.calibration import Calibration, JointCalibration, Ticks, check, default_path, load_calibration
from hardware.emulators.servo_bus import emulated_calibration
from robo_rl.errors import UserError
from tests.fakes import tiny_arm

ARM = tiny_arm()  # limits -1.7 to 1.3 and -0.6 to 2.1 rad
LOW, HIGH = ARM.array("low"), ARM.array("high")
TICK = 2 * np.pi / 4096
CALIBRATION = Calibration(
    "tiny",
    {
        "shoulder": JointCalibration(1, 0, 1070, 3026, 0),  # middle 2048 at -0.2 rad
        "elbow": JointCalibration(2, -500, 1168, 2928, 1),  # middle 2048 at 0.75 rad, mirrored
    },
)
TICKS = Ticks(CALIBRATION, ARM)


def test_the_middle_of_the_travel_is_the_middle_of_the_limits() -> None:
    assert np.allclose(TICKS.angle(np.array([2048, 2048])), [-0.2, 0.75])


def test_a_mirrored_servo_counts_against_the_joint() -> None:
    assert np.allclose(TICKS.angle(np.array([2148, 2148])), [-0.2 + 100 * TICK, 0.75 - 100 * TICK])
    assert np.allclose(TICKS.velocity(np.array([100, 100])), [100 * TICK, -100 * TICK])
    assert TICKS.tick_velocity(np.array([100, 100]) * TICK).tolist() == [100, -100]


def test_a_quarter_turn_is_1024_ticks() -> None:
    angle = np.array([-0.2 + np.pi / 4, 0.75 + np.pi / 4])
    assert TICKS.goal(angle).tolist() == [2560, 1536]


@given(arrays(np.float64, 2, elements=st.floats(0, 1)))
def test_an_angle_within_the_limits_comes_back_to_half_a_tick(share: np.ndarray) -> None:
    angle = LOW + 3 * TICK + share * (HIGH - LOW - 6 * TICK)
    assert np.abs(TICKS.angle(TICKS.goal(angle)) - angle).max() <= TICK / 2 + 1e-9


@given(arrays(np.float64, 2, elements=st.floats(-20, 20)))
def test_a_goal_is_never_outside_limits_or_travel(angle: np.ndarray) -> None:
    goal = TICKS.goal(angle)
    assert (goal >= CALIBRATION.array("range_min")).all() and (goal <= CALIBRATION.array("range_max")).all()
    back = TICKS.angle(goal)
    assert (back >= LOW - 1e-6).all() and (back <= HIGH + 1e-6).all()


@given(arrays(np.int64, 2, elements=st.integers(0, 4095)), st.sampled_from([-4096, 4096]))
def test_a_reading_beyond_the_encoders_zero_is_the_same_place(ticks: np.ndarray, turn: int) -> None:
    assert np.allclose(TICKS.angle(ticks), TICKS.angle(ticks + turn))


def test_the_encoders_zero_beside_the_travel_does_not_make_a_jump() -> None:
    servo = JointCalibration(1, 0, 10, 1966, 0)  # the travel begins 10 ticks from zero
    ticks = Ticks(Calibration("tiny", {**CALIBRATION.joints, "shoulder": servo}), ARM)
    before, after = ticks.angle(np.array([2, 2048])), ticks.angle(np.array([4092, 2048]))
    assert after[0] - before[0] == pytest.approx(-6 * TICK)


def write(path: Path, change: Callable[[Any], Any]) -> Path:
    CALIBRATION.save(path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps(change(data)))
    return path


def test_a_file_holds_it_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "arm.json"
    CALIBRATION.save(path)
    loaded = load_calibration(path, ARM)
    assert loaded.joints == CALIBRATION.joints and loaded.ids == (1, 2)
    assert [entry.name for entry in path.parent.iterdir()] == ["arm.json"]


def changed(joint: str, **values: Any) -> Callable[[Any], Any]:
    def change(data: Any) -> Any:
        data["joints"][joint].update(values)
        return data

    return change


BROKEN = [
    (lambda data: data["joints"], "not a calibration of this format"),  # LeRobot's file
    (lambda data: [1], "not a calibration of this format"),
    (lambda data: data | {"robot": "so101"}, "is of robot=so101, this is robot=tiny"),
    (lambda data: data | {"joints": {}}, "expected shoulder, elbow"),
    (changed("elbow", id=1), "id=1 is given to two joints"),
    (changed("elbow", id=253), "id=253: valid are 0 to 252"),
    (changed("elbow", drive_mode=2), "drive_mode=2"),
    (changed("elbow", homing_offset=3000), "homing_offset=3000"),
    (changed("elbow", range_min=2928, range_max=1168), "expected 0 <= range_min < range_max < 4096"),
    (changed("elbow", range_max=4095), "calibrated travel is 4.49 rad, the robot's is 2.70 rad"),
    (changed("elbow", range_max=2928.5), "elbow: expected integers"),
    (changed("elbow", speed=3), "elbow: expected integers"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, change: Callable[[Any], Any], words: str) -> None:
    path = write(tmp_path / "arm.json", change)
    with pytest.raises(UserError, match=words) as caught:
        load_calibration(path, ARM)
    assert str(caught.value).startswith(f"robot.calibration={path}: ") and "\n" not in str(caught.value)


def test_a_missing_or_unreadable_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; calibrate the arm first"):
        load_calibration(tmp_path / "arm.json", ARM)
    (tmp_path / "arm.json").write_text("{")
    with pytest.raises(UserError, match=r"robot\.calibration="):
        load_calibration(tmp_path / "arm.json", ARM)


def test_files_live_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path("so101", "left") == tmp_path / "robo_rl" / "calibration" / "so101" / "left.json"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path("so101", "left").is_relative_to(tmp_path / ".local" / "share")


def test_the_emulated_arms_calibration_is_a_valid_one() -> None:
    calibration = emulated_calibration(ARM)
    check(calibration, ARM)
    assert len(set(calibration.array("drive_mode"))) == 2 and len(set(calibration.array("homing_offset"))) == 2
