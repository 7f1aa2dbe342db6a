"""Several robots as one rig: one act spec, one reading, names told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardware.emulators.servo_arm import ServoArm
from hardware.rig import DeviceRig
from robo_rl.clock import Deadline
from robo_rl.errors import CorruptFile
from robo_rl.joined import joined_feature, joined_readings
from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription, load_descriptions
from robo_rl.types import Reason
from tests.contract.robot import RigContract
from tests.fakes import FakeClock, tiny_arm

PAIR = Path(__file__).parents[1] / "configs" / "description" / "so101_pair.yaml"
LEFT, RIGHT = replace(tiny_arm(), prefix="left/"), replace(tiny_arm(), prefix="right/", base_position=(0.0, -1.0, 0.0))
ONE = np.ones(1, bool)


def make_rig(clock: FakeClock) -> DeviceRig:
    arms = [ServoArm(robot, now=clock) for robot in (LEFT, RIGHT)]
    return DeviceRig(arms, deadline=Deadline(LEFT.dt, now=clock, sleep=clock.sleep), now=clock)


class TestTwoDevices(RigContract):
    def make(self) -> DeviceRig:
        return make_rig(FakeClock())


def test_what_two_arms_share_lies_side_by_side() -> None:
    rig = make_rig(FakeClock())
    names = ("left/shoulder", "left/elbow", "right/shoulder", "right/elbow")
    assert rig.act_spec.names == rig.obs_spec["joint_position"].names == rig.obs_spec["applied"].names == names
    assert rig.obs_spec["left/tool_pose"].shape == rig.obs_spec["right/tool_pose"].shape == (7,)
    assert "tool_pose" not in rig.obs_spec
    rig.close()


def test_each_arm_gets_its_part() -> None:
    rig = make_rig(FakeClock())
    while not rig.home(ONE, np.zeros(1, np.int64)).all():
        rig.tick(~ONE)
    home = rig.read()[0]["applied"]
    target = home + np.array([[0.01, 0.02, -0.01, -0.02]], np.float32)
    assert np.array_equal(rig.write(target, ONE), target)
    received = [robot.received[-1] for robot in rig.robots]
    assert np.array_equal(np.concatenate(received), target[0])
    rig.close()


def test_a_fault_of_one_arm_holds_both_and_says_whose_it_is() -> None:
    rig = make_rig(FakeClock())
    while not rig.home(ONE, np.zeros(1, np.int64)).all():
        rig.tick(~ONE)
    before = rig.read()[0]["applied"]
    rig.robots[1].broken = True
    rig.read()
    assert rig.condition[0] == Reason.FAULT and rig.messages[0].startswith("right/tiny: ")
    assert np.array_equal(rig.write(before + np.float32(0.01), ONE), before)
    rig.close()


def test_the_oldest_part_dates_a_joined_reading() -> None:
    readings = [({"x": np.zeros((1, 2))}, {"x": np.array([t])}) for t in (5.0, 3.0)]
    obs, stamp = joined_readings(readings)
    assert obs["x"].shape == (1, 4) and stamp["x"] == 3.0


def test_two_arms_without_prefixes_are_refused() -> None:
    with pytest.raises(ValueError, match="different prefixes: shoulder, elbow, shoulder, elbow"):
        joined_feature([tiny_arm().act_spec, tiny_arm().act_spec])


def test_a_pose_is_told_in_the_rigs_frame() -> None:
    quarter = (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))
    placed = replace(tiny_arm(), base_position=(1.0, 2.0, 0.5), base_quaternion=quarter)
    q = np.array([[0.3, -0.4]])
    plain, moved = Kinematics(tiny_arm()).tool_pose(q)[0], Kinematics(placed).tool_pose(q)[0]
    np.testing.assert_allclose(moved[:3], [1.0 - plain[1], 2.0 + plain[0], 0.5 + plain[2]], atol=1e-12)


def test_a_pair_is_two_descriptions() -> None:
    left, right = load_descriptions(PAIR)
    assert (left.names[0], right.names[0]) == ("left/shoulder_pan", "right/shoulder_pan")
    assert left.base_position[1] == -right.base_position[1] > 0


def test_a_pair_is_not_one_robot() -> None:
    with pytest.raises(CorruptFile, match=r"holds several robots \(left, right\), not one"):
        RobotDescription.load(PAIR)


@pytest.mark.parametrize("text", ["robots: {left: {description: nothing}}", "robots: {left: {base: 1}}", "robots: [a]"])
def test_a_bad_pair_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(text)
    with pytest.raises(CorruptFile, match=r"pair\.yaml|nothing\.yaml") as error:
        load_descriptions(tmp_path / "pair.yaml")
    assert "\n" not in str(error.value)
