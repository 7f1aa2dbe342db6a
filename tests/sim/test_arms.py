"""Every arm: its description's table, the closed forms and the generated MJCF say the same; published facts hold."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription
from sim.experts.six_joint_arm import SixJointArm
from sim.experts.top_down import arm_of
from sim.tasks.lift import KochLiftConfig, LiftConfig, Ur5eLiftConfig
from sim.tasks.table_top import build_model
from tests.sim.table_tasks import DESCRIPTIONS, KOCH, UR5E

CONFIGS = {"so101": LiftConfig(), "koch": KochLiftConfig(), "ur5e": Ur5eLiftConfig()}
UR5E_DH = [  # d [m], a [m], alpha [rad]: Universal Robots, DH parameters
    (0.1625, 0.0, np.pi / 2),
    (0.0, -0.425, 0.0),
    (0.0, -0.3922, 0.0),
    (0.1333, 0.0, np.pi / 2),
    (0.0997, 0.0, -np.pi / 2),
    (0.0996, 0.0, 0.0),
]


@pytest.fixture(params=CONFIGS)
def robot(request: pytest.FixtureRequest) -> RobotDescription:
    return RobotDescription.load(DESCRIPTIONS / f"{request.param}.yaml")


def postures(robot: RobotDescription, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(robot.array("low"), robot.array("high"), (count, len(robot.joints)))


def test_table_closed_form_and_model_agree(robot: RobotDescription) -> None:
    model = build_model(robot, CONFIGS[robot.name])
    data, arm, table = mujoco.MjData(model), arm_of(robot), Kinematics(robot)
    for q in postures(robot, 30):
        data.qpos[: len(q)] = q
        mujoco.mj_kinematics(model, data)
        tool = data.site("tool").xpos
        assert np.abs(table.tool_pose(q[None])[0, :3] - tool).max() < 1e-9
        assert np.abs(arm.forward(q[None, :-1])[0] - tool).max() < 1e-9


def test_the_model_holds_the_description(robot: RobotDescription) -> None:
    model = build_model(robot, CONFIGS[robot.name])
    for index, joint in enumerate(robot.joints):
        assert model.joint(index).name == model.actuator(index).name == joint.name
        np.testing.assert_allclose(model.jnt_range[index], [joint.low, joint.high])
        assert model.actuator_forcerange[index, 1] == joint.max_torque
        assert model.actuator_gainprm[index, 0] == robot.servo("kp")[index]
        assert model.body(joint.name).mass[0] == robot.model["links"][joint.name]["mass"]


def test_the_home_pose_is_free_and_points_down(robot: RobotDescription) -> None:
    home = robot.array("home")
    assert ((home >= robot.array("low")) & (home <= robot.array("high"))).all()
    tool, _, pitch = arm_of(robot).forward(home[None, :-1])
    assert tool[0, 2] > 0.06 and abs(pitch[0] - np.pi / 2) < 0.35


def test_an_arm_of_another_kind_is_one_line(robot: RobotDescription) -> None:
    joints = (replace(robot.joints[0], axis=(1, 0, 0)), *robot.joints[1:])
    with pytest.raises(UserError, match="the scripted experts know arms like"):
        arm_of(replace(robot, joints=joints))


def test_ur5e_has_the_published_dh_parameters() -> None:
    robot = RobotDescription.load(UR5E)
    table = Kinematics(replace(robot, base_quaternion=(1, 0, 0, 0), tool_position=(0.0, 0.0, 0.0996)))
    for q in postures(robot, 20):
        frame = np.eye(4)
        for angle, (d, a, alpha) in zip(q, UR5E_DH, strict=False):
            c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
            frame = frame @ [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0, sa, ca, d], [0, 0, 0, 1]]
        np.testing.assert_allclose(table.tool_pose(q[None])[0, :3], frame[:3, 3], atol=1e-9)


def test_ur5e_inverse_round_trip() -> None:
    arm, rng = SixJointArm(RobotDescription.load(UR5E)), np.random.default_rng(1)
    radius, pan = rng.uniform(0.28, 0.75, 300), rng.uniform(-2.0, 2.0, 300)
    goal = np.stack([radius * np.cos(pan), radius * np.sin(pan), rng.uniform(0.01, 0.3, 300)], axis=1)
    yaw = rng.uniform(-1.0, 1.0, 300)
    tool, heading, pitch = arm.forward(arm.inverse(goal, yaw))
    assert np.abs(tool - goal).max() < 1e-9 and np.abs(heading - yaw).max() < 1e-9
    assert np.abs(pitch - np.pi / 2).max() < 1e-6


def test_both_fingers_follow_the_drive() -> None:
    """85 mm open at 0.8 rad, closed at 0; gravity moves neither arm nor fingers."""
    robot = RobotDescription.load(UR5E)
    model = build_model(robot, Ur5eLiftConfig())
    data = mujoco.MjData(model)
    data.qpos[:7] = robot.array("home")
    data.qpos[6] = 0.0
    data.ctrl[:] = [*robot.array("home")[:6], 0.8]
    for _ in range(400):
        mujoco.mj_step(model, data)
    pads = [data.geom(f"finger_{side}_pad").xpos for side in ("left", "right")]
    assert np.linalg.norm(pads[0] - pads[1]) - 2 * 0.004 == pytest.approx(0.085, abs=2e-3)
    assert np.abs(data.qpos[:6] - robot.array("home")[:6]).max() < 1e-3


def test_koch_has_two_kinds_of_motor() -> None:
    """ROBOTIS e-Manual: XL430-W250 at 12 V, XL330-M288 at 5 V; 4096 steps a turn."""
    robot = RobotDescription.load(KOCH)
    assert robot.array("max_torque").tolist() == [1.5] * 2 + [0.52] * 4
    details = robot.model["servo_details"]
    assert details["encoder"] == 4096
    rpm = np.array(details["no_load_speed"]) * 60 / (2 * np.pi)
    np.testing.assert_allclose(rpm, [61] * 2 + [103] * 4, rtol=0.01)
