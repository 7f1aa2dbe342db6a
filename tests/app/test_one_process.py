"""`robot.rig.driver=null`: the robot is driven in the policy's process, or one line says why not."""

from __future__ import annotations

import json

import pytest

from robo_rl.app.build import description_path
from robo_rl.robot import RobotDescription
from tests.app.support import assert_mistake

ALONE = "robot.rig.driver=null"
CALM = {  # a busy machine is late
    "so101": ("task=so101/lift", "robot.rig.arm.patience=0.2"),
    "ur5e": ("task=ur5e/lift", "robot.rig.arm.watchdog=20.0", "+robot.rig.arm.max_age=20.0"),
}


@pytest.mark.parametrize("robot", CALM)
def test_an_emulated_arm_gets_home(robo_rl, robot: str, tmp_path) -> None:
    guard = ("+robot.guard.max_age=20.0", "+robot.guard.max_misses=1000", "seconds=60")
    words = (f"robot={robot}", "robot.bus=emulated", ALONE, *CALM[robot], *guard, f"out={tmp_path}")
    code, _, error = robo_rl("home", *words)
    assert code == 0, error
    found = json.loads((tmp_path / "result.json").read_text())["joint_position"]
    home = RobotDescription.load(description_path(robot)).array("home").tolist()
    assert list(found.values()) == pytest.approx(home, abs=0.06)


def test_a_quadruped_needs_its_driver(robo_rl) -> None:
    words = ("task=go2/joystick", "robot=go2", "robot.bus=emulated", ALONE)
    assert_mistake(robo_rl("home", *words), [ALONE, "robot=go2", "500 times a second", "robot.rig.driver.rate="])
