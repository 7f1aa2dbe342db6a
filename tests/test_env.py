"""`RigEnv` on a point mass."""

from __future__ import annotations

import numpy as np

from robo_rl.env import Env, RigEnv
from robo_rl.seeds import Seeds
from robo_rl.types import NO_SEED, Kind, Reason
from tests.contract.env import EnvContract, snapshot
from tests.contract.policy import PolicyContract
from tests.contract.robot import RigContract
from tests.contract.task import TaskContract
from tests.fakes import GoalPolicy, PointRig, ReachTask, kinds


class TestInstantHome(EnvContract):
    def make(self, n: int) -> Env:
        return RigEnv(PointRig(n), ReachTask(n))


class TestSlowHome(EnvContract):
    def make(self, n: int) -> Env:
        return RigEnv(PointRig(n, home_ticks=4), ReachTask(n))


class TestDiverging(EnvContract):
    def make(self, n: int) -> Env:
        return RigEnv(PointRig(n, diverging=range(0, 100, 2)), ReachTask(n))


class TestPointRig(RigContract):
    def make(self) -> PointRig:
        return PointRig(3, home_ticks=2)


class TestReachTask(TaskContract):
    def make(self, n: int) -> RigEnv:
        return RigEnv(PointRig(n, home_ticks=2), ReachTask(n))


class TestGoalPolicy(PolicyContract):
    obs_spec = PointRig(1).obs_spec | ReachTask(1).obs_spec
    act_spec = PointRig(1).act_spec

    def make(self, n: int) -> GoalPolicy:
        return GoalPolicy(n, noise=0.1)


def still(env: RigEnv) -> np.ndarray:
    return np.zeros((env.n, 2), np.float32)


def test_nothing_is_written_on_the_ticks_that_reset() -> None:
    rig = PointRig(2, home_ticks=3)
    env = RigEnv(rig, ReachTask(2, limit=0.5))
    step, commanded = env.reset(np.ones(2, bool), Seeds(0)), np.zeros(2, np.int64)
    for _ in range(40):
        commanded += step.live
        env.send(still(env) + 0.9)
        assert np.array_equal(rig.writes, commanded)
        step = env.recv()
    assert (commanded < 40).all()


def test_homing_shows_as_reset_ticks() -> None:
    env = RigEnv(PointRig(1, home_ticks=3), ReachTask(1, limit=0.3))
    steps = [env.reset(np.ones(1, bool), Seeds(0, 2))]
    for _ in range(12):
        env.send(still(env))
        steps.append(env.recv())
    episode = [Kind.FIRST, Kind.MID, Kind.MID, Kind.LAST]
    assert kinds(steps, 0) == [Kind.RESET] * 2 + episode + [Kind.RESET] * 2 + episode + [Kind.RESET]
    assert [int(step.seed[0]) for step in steps] == [0] * 6 + [1] * 6 + [NO_SEED]


def test_a_time_out_is_not_a_terminal_state() -> None:
    env = RigEnv(PointRig(1), ReachTask(1, limit=0.3))
    env.reset(np.ones(1, bool), Seeds(0))
    for _ in range(3):
        env.send(still(env))
        step = env.recv()
    assert step.last[0] and step.reason[0] == Reason.TIMEOUT and step.discount[0] == 1


def test_a_row_that_diverges_ends_alone() -> None:
    """Row 1 carries the diverging seed; what rows 0 and 2 see does not change."""

    def steps(diverging: list[int]) -> list[dict[str, np.ndarray]]:
        env = RigEnv(PointRig(3, diverging=diverging), ReachTask(3))
        out = [snapshot(env.reset(np.ones(3, bool), Seeds(0)))]
        for _ in range(6):
            env.send(still(env))
            out.append(snapshot(env.recv()))
        return out

    broken, sound = steps([1]), steps([])
    assert [int(step["kind"][1]) for step in broken[:5]] == [Kind.FIRST, Kind.MID, Kind.MID, Kind.LAST, Kind.FIRST]
    assert broken[3]["reason"][1] == Reason.DIVERGED and broken[3]["discount"][1] == 1
    assert np.array_equal(broken[3]["position"][1], broken[2]["position"][1])
    for left, right in zip(broken, sound, strict=True):
        for key in set(left) - {"seed"}:
            assert np.array_equal(left[key][[0, 2]], right[key][[0, 2]])


def test_a_partial_reset_leaves_the_other_rows() -> None:
    env = RigEnv(PointRig(2), ReachTask(2))
    env.reset(np.ones(2, bool), Seeds(0))
    env.send(still(env) + 0.3)
    before = env.recv()
    after = env.reset(np.array([False, True]), Seeds(50))
    assert after.seed.tolist() == [0, 50] and after.kind.tolist() == [Kind.MID, Kind.FIRST]
    assert np.array_equal(after.obs["position"][0], before.obs["position"][0])


def test_closing_closes_the_rig() -> None:
    rig = PointRig(1)
    RigEnv(rig, ReachTask(1)).close()
    assert rig.closed
