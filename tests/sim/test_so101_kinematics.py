"""The description's table, the closed forms and the generated MJCF say the same."""

from __future__ import annotations

import mujoco
import numpy as np

from robo_rl.robot import RobotDescription
from sim.experts.top_down_arm import TopDownArm
from sim.tasks.insert_peg import InsertPegConfig, build_model


def table_forward(description: RobotDescription, q: np.ndarray) -> np.ndarray:
    """Tool position from the kinematic table alone (identity fixed rotations)."""
    frames = {"": (np.zeros(3), np.eye(3))}
    for joint, angle in zip(description.joints, q, strict=True):
        origin, turn = frames[joint.parent]
        matrix = np.zeros(9)
        quat = np.zeros(4)
        mujoco.mju_axisAngle2Quat(quat, np.array(joint.axis, float), angle)
        mujoco.mju_quat2Mat(matrix, quat)
        frames[joint.name] = origin + turn @ joint.position, turn @ matrix.reshape(3, 3)
    origin, turn = frames[description.tool_parent]
    return origin + turn @ description.tool_position


def test_forward_kinematics_agree(description: RobotDescription) -> None:
    model = build_model(description, InsertPegConfig())
    data, arm = mujoco.MjData(model), TopDownArm(description)
    rng = np.random.default_rng(0)
    for q in rng.uniform(description.array("low"), description.array("high"), (50, 6)):
        data.qpos[:6] = q
        mujoco.mj_kinematics(model, data)
        tool = data.site("tool").xpos
        assert np.abs(table_forward(description, q) - tool).max() < 1e-9
        assert np.abs(arm.forward(q[:5])[0] - tool).max() < 1e-9


def test_model_holds_the_description(description: RobotDescription) -> None:
    model = build_model(description, InsertPegConfig())
    for index, joint in enumerate(description.joints):
        assert model.joint(index).name == model.actuator(index).name == joint.name
        np.testing.assert_allclose(model.jnt_range[index], [joint.low, joint.high])
        assert model.actuator_forcerange[index, 1] == joint.max_torque
    assert 0.4 < model.body_subtreemass[model.body("base").id] < 0.75  # [kg]


def test_inverse_round_trip(description: RobotDescription) -> None:
    arm, rng = TopDownArm(description), np.random.default_rng(1)
    radius, pan = rng.uniform(0.10, 0.235, 500), rng.uniform(-1.2, 1.2, 500)
    height, yaw = rng.uniform(0.035, 0.075, 500), rng.uniform(-1.0, 1.0, 500)
    goal = np.stack([radius * np.cos(pan), radius * np.sin(pan), height], axis=1)
    tool, heading, pitch = arm.forward(arm.inverse(goal, yaw))
    assert np.abs(tool - goal).max() < 1e-9
    assert np.abs(heading - yaw).max() < 1e-9
    assert np.abs(pitch - np.pi / 2).max() < 0.1  # only the wrist's limit tilts the gripper


def test_inverse_tilts_where_the_wrist_ends(description: RobotDescription) -> None:
    arm = TopDownArm(description)
    goal = np.array([[0.20, 0.0, 0.12]])
    q = arm.inverse(goal, np.zeros(1))
    tool, _, pitch = arm.forward(q)
    assert np.abs(tool - goal).max() < 1e-9
    assert q[0, 3] == description.joints[3].high and pitch[0] < np.pi / 2


def test_sag_is_gravity(description: RobotDescription) -> None:
    model = build_model(description, InsertPegConfig())
    data, arm = mujoco.MjData(model), TopDownArm(description)
    data.qpos[:6] = [0.3, -0.2, 0.6, 1.2, 0.0, 0.3]
    mujoco.mj_forward(model, data)
    expected = -data.qfrc_bias[:5] / description.servo("kp")[:5]
    np.testing.assert_allclose(arm.sag(data.qpos[:5])[1:4], expected[1:4], atol=1e-3)
