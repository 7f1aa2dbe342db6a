"""`robot=so101` on the command line: the real driver on the emulated bus, and what is said where there is no arm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.servo_bus import emulated_calibration
from robo_rl.app.build import description_path
from robo_rl.log.reader import read_log
from robo_rl.robot import RobotDescription
from tests.app.support import assert_mistake

EMULATED = (
    "robot=so101",
    "robot.bus=emulated",
    "robot.rig.arm.patience=0.2",  # [s]; a busy machine answers late, and wakes up late
    "robot.rig.driver.watchdog=60.0",  # [s]
    "robot.rig.driver.patience=60.0",  # [s]
    "robot.rig.driver.stall=60.0",  # [s]
    "+robot.guard.max_age=60.0",  # [s]
    "+robot.guard.max_misses=1000",
)
SHORT = "task.task.config.limit=0.5"  # [s]


def test_a_bundle_runs_on_the_emulated_bus(robo_rl, run_folder, tmp_path) -> None:
    out = tmp_path / "out"
    code, _, error = robo_rl("deploy", f"run={run_folder}", *EMULATED, "episodes=2", SHORT, f"out={out}")
    assert code == 0, error
    result = json.loads((out / "result.json").read_text())
    assert result["episodes"] == 2 and result["faults"] == 0 and result["robot"] == "so101"
    assert [row["reason"] for row in result["rows"]] == ["timeout", "timeout"]
    episodes = [episode for path in out.glob("log/*.mcap") for episode in read_log(path).episodes]
    assert [len(episode) for episode in episodes] == [16, 16]


def test_shadow_leaves_the_motors_alone(robo_rl, run_folder, tmp_path, monkeypatch) -> None:
    buses = []
    begin = FeetechBusEmulator.__init__

    def noted(self, *arguments, **options) -> None:
        buses.append(self)
        begin(self, *arguments, **options)

    monkeypatch.setattr(FeetechBusEmulator, "__init__", noted)
    shadow = ("shadow=true", "seconds=0.4", f"out={tmp_path / 's'}")
    code, _, error = robo_rl("deploy", f"run={run_folder}", *EMULATED, *shadow)
    assert code == 0, error
    assert len(buses) == 1 and not buses[0].observed


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A data folder without a calibration."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "robo_rl" / "calibration" / "so101"


def test_a_bus_has_to_be_named(robo_rl, run_folder) -> None:
    words = ["robot.bus=", "/dev/ttyACM0", "emulated"]
    assert_mistake(robo_rl("deploy", f"run={run_folder}", "robot=so101"), words)


def test_a_missing_calibration_is_said(robo_rl, run_folder, home) -> None:
    words = ["robot.calibration=", str(home / "left.json"), "calibrate the arm first"]
    arguments = ("robot=so101", "robot.bus=/dev/ttyACM0", "robot.id=left")
    assert_mistake(robo_rl("deploy", f"run={run_folder}", *arguments), words)


def test_a_calibration_of_another_robot_is_said(robo_rl, run_folder, home) -> None:
    description = RobotDescription.load(description_path("so101"))
    emulated_calibration(description).save(home / "arm.json")
    path = home / "arm.json"
    path.write_text(path.read_text().replace('"so101"', '"koch"'))
    arguments = ("robot=so101", "robot.bus=/dev/ttyACM0")
    assert_mistake(robo_rl("deploy", f"run={run_folder}", *arguments), ["is of robot=koch, this is robot=so101"])


def test_a_task_that_needs_a_tracker_says_so(robo_rl, run_folder, home) -> None:
    description = RobotDescription.load(description_path("so101"))
    emulated_calibration(description).save(home / "arm.json")
    result = robo_rl("deploy", f"run={run_folder}", "robot=so101", "robot.bus=/dev/ttyACM0")
    assert_mistake(result, ["so101/insert_peg", "object tracker", "robot.bus=emulated"])


def test_a_robot_has_one_row(robo_rl, run_folder) -> None:
    assert_mistake(robo_rl("evaluate", f"run={run_folder}", *EMULATED, "n=2"), ["n=2", "1 row"])


def test_home_says_where_the_joints_are(robo_rl, tmp_path) -> None:
    code, text, error = robo_rl("home", *EMULATED, f"out={tmp_path}")
    assert code == 0, error
    found = json.loads((tmp_path / "result.json").read_text())
    description = RobotDescription.load(description_path("so101"))
    assert found["seconds"] > 0.5  # the emulated arm is not at home when it is switched on
    assert list(found["joint_position"].values()) == pytest.approx(description.array("home").tolist(), abs=0.06)
    assert "shoulder_lift" in text


def test_home_gives_up(robo_rl) -> None:
    assert_mistake(robo_rl("home", *EMULATED, "seconds=0.2"), ["not home after 0.2 s", "seconds="])


def test_home_stops_at_a_fault(robo_rl) -> None:
    words = ["a fault stopped the way home", "shoulder_pan: 12.0 V, limit 13.0"]
    assert_mistake(robo_rl("home", *EMULATED, "robot.rig.arm.limits.min_voltage=13.0"), words)


def test_a_workspace_box_reaches_the_guard(robo_rl) -> None:
    box = "robot.guard.workspace=[[0.1,-0.3,0.0],[0.1,0.3,0.4]]"
    assert_mistake(robo_rl("home", *EMULATED, box), ["workspace: low=[0.1, -0.3, 0.0] must be below high="])


def test_the_expert_works_on_the_emulated_bus(robo_rl, tmp_path) -> None:
    code, _, error = robo_rl("record", *EMULATED, "episodes=1", "n=1", SHORT, f"out={tmp_path / 'd'}")
    assert code == 0, error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("robot=so101_sim",), ["robot=so101_sim: has nothing to calibrate"]),
        (("robot=so101",), ["robot.bus=", "/dev/ttyACM0"]),
        (EMULATED, ["robot.bus=emulated", "brings its own calibration"]),
        (("robot=so101", "robot.bus=/dev/ttyACM77"), ["robot.bus=/dev/ttyACM77: no such port"]),
    ],
)
def test_what_cannot_be_calibrated_is_said(robo_rl, arguments, words) -> None:
    assert_mistake(robo_rl("calibrate", *arguments), words)


def test_calibrating_needs_a_person(tmp_path) -> None:
    """Standard input ends at once: the arm keeps its calibration, and no file is written."""
    bus = FeetechBusEmulator(RobotDescription.load(description_path("so101")))
    command = [sys.executable, "-m", "robo_rl.app.main", "calibrate", "robot=so101", f"robot.bus={bus.port}"]
    file = tmp_path / "arm.json"
    done = subprocess.run(
        [*command, f"robot.calibration={file}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "standard input has ended" in done.stderr and "Traceback" not in done.stderr
    assert not file.exists() and not bus.observed
    bus.close()
