"""Inverse kinematics in the space of the tool: exact where it can be, finite and within limits where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.orientation import Leaning, LeaningInPlane, orientation_of
from robo_rl.robot import RobotDescription
from robo_rl.tool_space import ToolSpace
from tests.fakes import tiny_arm

CONFIGS = Path(__file__).parents[1] / "configs" / "description"
ARMS = {name: RobotDescription.load(CONFIGS / f"{name}.yaml") for name in ("so101", "koch", "ur5e")}
SPACES = {name: ToolSpace(robot) for name, robot in ARMS.items()}
every_arm = pytest.mark.parametrize("name", ARMS)


def home(name: str, n: int = 1) -> np.ndarray:
    return np.tile(ARMS[name].array("home").astype(np.float32), (n, 1))


def somewhere(name: str, n: int, seed: int = 0) -> np.ndarray:
    """Joint positions (n, J) anywhere within the limits."""
    robot = ARMS[name]
    return np.random.default_rng(seed).uniform(robot.array("low"), robot.array("high"), (n, len(robot.joints)))


def turned(numbers: np.ndarray) -> Rotation:
    """The orientation that numbers of an arm that leans in any direction mean, put together by scipy."""
    x, y, yaw = numbers
    return Rotation.from_rotvec([y, -x, 0.0]) * Rotation.from_rotvec([0.0, 0.0, yaw])


@every_arm
def test_the_motion_is_the_derivative_of_the_pose(name: str) -> None:
    kinematics, step = Kinematics(ARMS[name]), 1e-6
    q = somewhere(name, 20)
    carrying = q[:, kinematics.columns]
    tool, motion = kinematics.motion(carrying)
    pose = kinematics.tool_pose(q)
    assert np.allclose(tool[:, :3, 3], pose[:, :3], atol=1e-12)
    assert np.allclose(tool[:, :3, :3], Rotation.from_quat(pose[:, 3:], scalar_first=True).as_matrix(), atol=1e-9)
    for column in range(carrying.shape[1]):
        change = step * np.eye(carrying.shape[1])[column]
        ahead, behind = (kinematics.motion(carrying + sign * change)[0] for sign in (1, -1))
        assert np.allclose((ahead - behind)[:, :3, 3] / (2 * step), motion[:, column, :3], atol=1e-7)
        turn = Rotation.from_matrix(ahead[:, :3, :3]) * Rotation.from_matrix(behind[:, :3, :3]).inv()
        assert np.allclose(turn.as_rotvec() / (2 * step), motion[:, column, 3:], atol=1e-7)


def test_numbers_of_an_orientation_mean_a_lean_after_a_turn() -> None:
    frames = np.tile(np.eye(4), (200, 1, 1))
    frames[:, :3, :3] = Rotation.random(200, rng=np.random.default_rng(0)).as_matrix()
    leaning = Leaning()
    numbers = leaning.numbers(frames, np.empty((200, 0)))
    for frame, found in zip(frames, numbers, strict=True):
        assert np.allclose(turned(found).as_matrix(), frame[:3, :3], atol=1e-9)
    assert np.abs(leaning.error(leaning.aim(numbers), frames, np.empty((200, 0)))).max() < 1e-6


@pytest.mark.parametrize("name", ["so101", "koch"])
def test_an_arm_of_five_joints_leans_outwards(name: str) -> None:
    """The same as what the pose says, but for the sign of the lean, which is told from the arm's plane."""
    kinematics = Kinematics(ARMS[name])
    turning = orientation_of(ARMS[name], kinematics)
    assert isinstance(turning, LeaningInPlane)
    carrying = somewhere(name, 200)[:, kinematics.columns]
    tool, _ = kinematics.motion(carrying)
    tilt, yaw = turning.numbers(tool, carrying).T
    plane = carrying[:, 0]
    usual = np.abs(tilt) < 3.1  # pointing up, the yaw means nothing
    for index in np.flatnonzero(usual):
        lean = tilt[index] * np.array([np.cos(plane[index]), np.sin(plane[index])])
        assert np.allclose(turned(np.append(lean, yaw[index])).as_matrix(), tool[index, :3, :3], atol=1e-9)


@every_arm
def test_joints_become_an_action_and_back(name: str) -> None:
    """From setpoints a little away, an action leads back to the joints that it was made of, in a tick."""
    space, robot, rng = SPACES[name], ARMS[name], np.random.default_rng(1)
    joints = home(name, 100) + rng.uniform(-0.2, 0.2, (100, len(robot.joints))).astype(np.float32)
    joints = np.clip(joints, robot.array("low"), robot.array("high")).astype(np.float32)
    action = space.action(joints)
    inside = ((action > space.spec.low) & (action < space.spec.high)).all(axis=1)
    sent = joints + rng.uniform(-0.02, 0.02, joints.shape).astype(np.float32)
    found, there = space.joints(action, np.clip(sent, robot.array("low"), robot.array("high")).astype(np.float32))
    assert inside.sum() > 30 and there[inside].mean() > 0.9
    assert np.abs(found - joints)[inside & there].max() < 5e-4
    assert np.abs(space.action(found) - action)[inside & there].max() < 1e-4


@pytest.mark.parametrize(("name", "corner"), [("so101", (0.2, 0.1)), ("koch", (0.14, 0.07)), ("ur5e", (0.5, 0.25))])
def test_the_tool_follows_a_line(name: str, corner: tuple[float, float]) -> None:
    """A far target on the right, then one on the left: straight there, at most at its speed, level, within 0.5 mm."""
    space, robot = SPACES[name], ARMS[name]
    speed = robot.model["tool_space"]["speed"] * robot.dt
    start = space.action(home(name))
    start[:, :3] = [corner[0], -corner[1], 0.05]
    start[:, 3:-1] = 0.0
    joints = home(name)
    for _ in range(60):
        joints, _ = space.joints(start, joints)
    assert np.abs(space.action(joints) - start)[:, :3].max() < 1e-5
    goal, there, path = start.copy(), np.zeros(1, bool), [space.action(joints)]
    goal[:, 1] = corner[1]
    while not there.all() and len(path) < 200:
        joints, there = space.joints(goal, joints)
        path.append(space.action(joints))
    line = np.concatenate(path)
    assert there.all() and np.abs(line[:, [0, 2]] - [corner[0], 0.05]).max() < 5e-4
    assert np.abs(line[:, 3:-1]).max() < 1e-3
    steps = np.diff(line[:, 1])
    assert (steps > 0).all() and steps.max() <= speed * (1 + 1e-5)


def test_position_goes_before_orientation_where_a_joint_ends() -> None:
    """Far out and high the so101's wrist cannot point down: the tool gets there all the same, leaning."""
    space, robot = SPACES["so101"], ARMS["so101"]
    goal = space.action(home("so101"))
    goal[:, :5] = [0.30, 0.0, 0.15, 0.0, 0.0]
    joints = home("so101")
    for _ in range(60):
        joints, there = space.joints(goal, joints)
    found = space.action(joints)
    assert not there.any() and joints[0, 3] == pytest.approx(robot.joints[3].high, abs=1e-6)
    assert np.abs(found - goal)[0, :3].max() < 1e-3 and found[0, 3] > 0.1


@pytest.mark.parametrize("height", [0.05, 0.30])
def test_an_arm_that_cannot_reach_comes_near_and_rests(height: float) -> None:
    space = SPACES["so101"]
    goal = space.action(home("so101"))
    goal[:, :4] = [0.36, 0.35, height, 0.0]  # a corner of the box, 0.5 m away
    joints, moved = home("so101"), []
    first = np.linalg.norm(space.action(joints)[0, :3] - goal[0, :3])
    for _ in range(150):
        last, (joints, there) = joints, space.joints(goal, joints)
        moved.append(np.abs(joints - last).max())
    away = np.linalg.norm(space.action(joints)[0, :3] - goal[0, :3])
    assert not there.any() and away < 0.6 * first
    assert max(moved[-50:]) < 2e-3  # [rad] a tick


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(list(ARMS)),
    seed=st.integers(0, 1000),
    data=arrays(np.float32, (4, 7), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_whatever_is_asked_setpoints_are_finite_within_limits_and_speeds(name, seed, data) -> None:
    space, robot = SPACES[name], ARMS[name]
    low, high = robot.array("low").astype(np.float32), robot.array("high").astype(np.float32)
    sent = np.clip(somewhere(name, 4, seed).astype(np.float32), low, high)
    carrying = Kinematics(robot).columns
    fastest = (robot.array("max_speed") * robot.dt)[carrying]
    for scale in (1e-6, 1e-3, 1.0):  # the second and third from where the one before led
        joints, _ = space.joints(data[:, : space.spec.size] * np.float32(scale), sent)
        assert joints.dtype == np.float32 and np.isfinite(joints).all()
        assert (joints >= low).all() and (joints <= high).all()
        assert (np.abs(joints.astype(float) - sent)[:, carrying] <= fastest + 1e-6).all()
        assert np.isfinite(space.action(joints)).all()
        sent = joints


@every_arm
def test_a_stretched_arm_stays_bounded(name: str) -> None:
    """All joints at zero: a singularity for each of these arms."""
    space, robot = SPACES[name], ARMS[name]
    q = np.clip(np.zeros(len(robot.joints)), robot.array("low"), robot.array("high")).astype(np.float32)[None]
    for direction in np.eye(3):
        goal = space.action(q)
        goal[:, :3] += 0.01 * direction
        joints, _ = space.joints(goal, q)
        fastest = robot.array("max_speed") * robot.dt
        assert np.isfinite(joints).all() and (np.abs(joints - q) <= fastest + 1e-6)[:, :-1].all()


@every_arm
def test_rows_do_not_see_one_another(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(3)
    sent = home(name, 40)
    actions = space.action(sent) + rng.normal(0, 0.02, (40, space.spec.size)).astype(np.float32)
    actions[::5] += 0.3
    together, there = space.joints(actions, sent)
    for row in range(40):
        alone, reached = space.joints(actions[row : row + 1], sent[row : row + 1])
        assert np.array_equal(alone[0], together[row]) and reached[0] == there[row]


def test_what_is_not_finite_stays_so_and_stays_in_its_row() -> None:
    space, sent = SPACES["so101"], home("so101", 3)
    actions = space.action(sent)
    actions[1, 2] = np.nan
    joints, there = space.joints(actions, sent)
    assert np.isnan(joints[1]).all() and there.tolist() == [True, False, True]
    assert np.abs(joints[[0, 2]] - sent[[0, 2]]).max() < 1e-5


def test_the_names_say_what_an_arm_can_do() -> None:
    assert SPACES["so101"].spec.names == ("x", "y", "z", "tilt", "yaw", "gripper")
    assert SPACES["ur5e"].spec.names == ("x", "y", "z", "tilt_x", "tilt_y", "yaw", "gripper")
    left = replace(ARMS["so101"], prefix="left/", base_position=(0.0, 0.22, 0.0))
    spec = ToolSpace(left).spec
    assert spec.names[0] == "left/x" and spec.low[1] == pytest.approx(SPACES["so101"].spec.low[1] + 0.22)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tool_space": None}, "has no tool_space; use robot.action=joint"),
        ({"tool_space": {"low": [0, 0, 0]}}, "missing 4 required"),
        (
            {"tool_space": {"low": [1, 1, 1], "high": [0, 0, 0], "tilt": [0, 1], "speed": 1, "turn": 1}},
            "low below high",
        ),
        ({"tool_space": {"low": [0, 0], "high": [1, 1, 1], "tilt": [0, 1], "speed": 1, "turn": 1}}, "low below high"),
        ({"tool_space": {"low": [0, 0, 0], "high": [1, 1, 1], "tilt": [0, 1], "speed": 0, "turn": 1}}, "above 0"),
        ({"tool_space": {"low": "abc", "high": [1, 1, 1], "tilt": [0, 1], "speed": 1, "turn": 1}}, "could not convert"),
    ],
)
def test_a_bad_tool_space_is_one_line(change: dict, words: str) -> None:
    robot = replace(ARMS["so101"], model={**ARMS["so101"].model, **change})
    with pytest.raises(UserError, match=words) as error:
        ToolSpace(robot)
    assert str(error.value).startswith("robot.action=tool: robot description so101") and "\n" not in str(error.value)


def test_arms_of_another_kind_are_refused() -> None:
    space = ARMS["so101"].model["tool_space"]
    with pytest.raises(UserError, match="carries its tool with 2 joints; 5 or more are needed"):
        ToolSpace(replace(tiny_arm(), model={**tiny_arm().model, "tool_space": space}))
    joints = list(ARMS["so101"].joints)
    joints[3] = replace(joints[3], axis=(0.0, 0.0, 1.0))
    with pytest.raises(UserError, match="five joints, but not pan, three that bend"):
        ToolSpace(replace(ARMS["so101"], joints=tuple(joints)))
