"""so101_pair/handover: resets, the verdict, that it takes two arms, and the expert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.uniform import Uniform
from hardware.emulators.servo_arm import EmulatedTracker, ServoArm
from hardware.guard import Guard
from hardware.rig import DeviceRig
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.robot import Rig, load_descriptions
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Action, Reason, Step
from sim.experts.handover import HandoverExpert
from sim.experts.top_down_arm import TopDownArm
from sim.poses import pose_view
from sim.tasks.handover import Handover, HandoverConfig, make_rig
from tests.contract.env import EnvContract
from tests.contract.policy import PolicyContract
from tests.contract.robot import RigContract
from tests.contract.task import TaskContract
from tests.sim.table_tasks import DESCRIPTIONS, SO101

PAIR = DESCRIPTIONS / "so101_pair.yaml"
Episodes = Callable[..., dict[int, tuple[int, int]]]


def make_env(n: int, servo: str = "ideal", randomise: str = "none", **changes: Any) -> RigEnv:
    config, guards = HandoverConfig(**changes), [Guard(robot, n) for robot in load_descriptions(PAIR)]
    rig = make_rig(PAIR, n, config, 1, guards, servo=servo, randomise=randomise)
    return RigEnv(rig, Handover(rig.world, config))


class TestHandoverEnv(EnvContract):
    ticks = 75

    def make(self, n: int) -> RigEnv:
        return make_env(n, limit=1.0)


class TestHandoverRig(RigContract):
    def make(self) -> Rig:
        return make_env(3, "real", "train").rig


class TestHandover(TaskContract):
    def make(self, n: int) -> RigEnv:
        return make_env(n, reward="shaped")


class TestHandoverExpert(PolicyContract):
    tolerance = 1e-5

    def make(self, n: int) -> HandoverExpert:
        return HandoverExpert(n, PAIR)

    @pytest.fixture(autouse=True)
    def _specs(self) -> None:
        env = make_env(1)
        self.obs_spec, self.act_spec = env.obs_spec | env.rig.privileged(), env.act_spec
        env.close()


def test_resets_lie_in_the_declared_regions() -> None:
    env = make_env(300)
    obs, c = env.reset(np.ones(300, bool), Seeds(0)).obs, HandoverConfig()
    for body, centre, region in (("bar", c.bar_centre, c.bar_region), ("place", c.place_centre, c.place_region)):
        away = np.abs(obs[f"{PRIVILEGED}{body}_pose"][:, :2] - centre)
        assert (away <= np.array(region) / 2 + 1e-6).all() and (away.max(axis=0) > 0.45 * np.array(region)).all()
    bar = obs[PRIVILEGED + "bar_pose"]
    across = 2 * np.arctan2(bar[:, 6], bar[:, 3]) - np.pi / 2
    assert 0.9 * c.bar_yaw < np.abs(across).max() <= c.bar_yaw + 1e-6
    env.close()


def test_nothing_moves_after_a_reset() -> None:
    env = make_env(16)
    step = env.reset(np.ones(16, bool), Seeds(500))
    before = step.obs[PRIVILEGED + "bar_pose"]
    for _ in range(15):
        env.send(step.obs["applied"])
        step = env.recv()
    assert np.abs(step.obs[PRIVILEGED + "bar_pose"][:, :3] - before[:, :3]).max() < 5e-4
    env.close()


@pytest.mark.parametrize(
    ("sideways", "height", "tool", "expected"),
    [
        (0.0195, 0.010, 0.2, True),
        (0.0205, 0.010, 0.2, False),
        (0.0, 0.0131, 0.2, False),
        (0.0, 0.010, 0.041, True),
        (0.0, 0.010, 0.039, False),
    ],
)
def test_the_condition_ends_where_it_says(sideways: float, height: float, tool: float, expected: bool) -> None:
    """The bar lies at its place, its axis along y, and one tool is above its end."""
    env = make_env(1)
    obs = dict(env.reset(np.ones(1, bool), Seeds(0)).obs)
    (bar, turn), (place, _) = pose_view(env.rig.world, "bar"), pose_view(env.rig.world, "place")
    bar[:] = [*place[0, :2] + [sideways, 0.0], height]
    turn[:] = [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]
    obs["right/tool_pose"] = obs["right/tool_pose"].copy()
    obs["right/tool_pose"][:, :3] = bar + [0.0, 0.06, tool]
    assert bool(env.task.solved(obs)[0]) is expected
    env.close()


def test_neither_arm_can_do_it_alone() -> None:
    """No pose of an arm brings its tool to the bar, or to its place, on the other side."""
    c, reach = HandoverConfig(), np.zeros(2)
    rng = np.random.default_rng(0)
    for index, robot in enumerate(load_descriptions(PAIR)):
        q = rng.uniform(robot.array("low"), robot.array("high"), (20_000, len(robot.joints)))
        tool = ServoArm(robot)._kinematics.tool_pose(q)
        low = tool[tool[:, 2] < 0.03, :2]
        reach[index] = np.linalg.norm(low - robot.base_position[:2], axis=1).max()
    bar = [c.bar_centre[0] - c.bar_region[0] / 2, c.bar_centre[1] - c.bar_region[1] / 2 - c.bar_length / 2]
    place = [c.place_centre[0] - c.place_region[0] / 2, c.place_centre[1] + c.place_region[1] / 2 + c.bar_length / 2]
    left, right = (np.array(robot.base_position[:2]) for robot in load_descriptions(PAIR))
    assert np.linalg.norm(bar - right) > reach[1] and np.linalg.norm(place - left) > reach[0]


def test_the_expert_succeeds_and_the_bar_changes_hands(episodes: Episodes) -> None:
    env, closed = make_env(25), 0.36
    seen: dict[int, set[str]] = {}

    def look(step: Step, action: Action) -> None:
        bar = step.obs[PRIVILEGED + "bar_pose"]
        lifted = bar[:, 2] > 0.035
        for row in np.flatnonzero(lifted & (step.seed >= 0)):
            grips = step.obs["joint_position"][row, [5, 11]] < closed
            seen.setdefault(int(step.seed[row]), set()).add("".join("LR"[i] for i in np.flatnonzero(grips)))

    results = episodes(env, HandoverExpert(25, PAIR), 0, 25, look)
    assert np.mean([success for success, _ in results.values()]) >= 0.95
    assert sum({"L", "LR", "R"} <= hands for hands in seen.values()) >= 24


def test_random_actions_fail(episodes: Episodes) -> None:
    env = make_env(20, limit=10.0)
    results = episodes(env, Uniform(20, env.act_spec), 0, 20)
    assert all(not success and reason == Reason.TIMEOUT for success, reason in results.values())


def test_a_physical_rig_would_have_the_same_fingerprint() -> None:
    simulated = make_env(1).rig
    poses = dict.fromkeys(HandoverConfig.bodies, (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    physical = DeviceRig([ServoArm(robot) for robot in load_descriptions(PAIR)], [EmulatedTracker(poses)])
    assert simulated.obs_spec.diff(physical.obs_spec) == []
    assert simulated.act_spec == physical.act_spec
    simulated.close()


def test_arms_do_not_pass_through_one_another() -> None:
    env = make_env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    target, arm = step.obs["applied"].copy(), TopDownArm(load_descriptions(PAIR)[0])
    for first, side in ((0, -1.0), (6, 1.0)):  # both to the middle, 70 mm above the table
        target[0, first : first + 5] = arm.inverse(np.array([[0.15, side * 0.22, 0.07]]), np.zeros(1))[0]
    for _ in range(60):
        env.send(target)
        step = env.recv()
    apart = step.obs["left/tool_pose"][0, 1] - step.obs["right/tool_pose"][0, 1]
    assert apart > 0.03
    env.close()


def test_one_arm_is_refused() -> None:
    with pytest.raises(UserError, match="so101_pair/handover needs two robots: left, right"):
        make_rig(SO101, 1, HandoverConfig())
