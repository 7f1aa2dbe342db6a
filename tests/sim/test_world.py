"""Determinism, isolation, and the physics of the servos."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.seeds import Seeds
from robo_rl.types import NO_SEED, Kind, Reason, Step
from sim import world as world_module

MakeEnv = Callable[..., RigEnv]


class Fixed(Seeds):
    """Every row runs the same seed."""

    def take(self, where: np.ndarray) -> np.ndarray:
        return np.where(where, self.start, NO_SEED)


def rollout(make_env: MakeEnv, n: int, nthread: int, seeds: Seeds, ticks: int = 60) -> list[Step]:
    """The same wavy joint motion in every row."""
    env = make_env(n, nthread)
    steps = [env.reset(np.ones(n, bool), seeds)]
    home = steps[0].obs["applied"]
    for tick in range(ticks):
        env.send(home + np.float32(0.5 * np.sin(0.1 * tick)))
        steps.append(env.recv())
    return steps


def same(left: Step, right: Step, row: int, other: int) -> bool:
    return all(np.array_equal(left.obs[key][row], right.obs[key][other]) for key in left.obs)


def test_identical_across_n_rows_and_threads(make_env: MakeEnv) -> None:
    few, many, single = (
        rollout(make_env, 4, 2, Seeds(7)),
        rollout(make_env, 64, 2, Seeds(7)),
        rollout(make_env, 4, 1, Seeds(7)),
    )
    for a, b, c in zip(few, many, single, strict=True):
        assert all(same(a, b, row, row) and same(a, c, row, row) for row in range(4))


def test_same_seed_in_every_row(make_env: MakeEnv) -> None:
    for step in rollout(make_env, 5, 2, Fixed(11)):
        assert all(same(step, step, 0, row) for row in range(1, 5))


def test_episode_forgets_history(make_env: MakeEnv) -> None:
    used, new = make_env(2), make_env(2)
    rows = np.ones(2, bool)
    used.reset(rows, Fixed(5))
    for _ in range(80):
        used.send(np.full((2, 6), 0.7, np.float32))
        used.recv()
    left, right = used.reset(rows, Fixed(3)), new.reset(rows, Fixed(3))
    for _ in range(30):
        assert same(left, right, 0, 0)
        action = left.obs["applied"] + np.float32(0.02)
        used.send(action), new.send(action)
        left, right = used.recv(), new.recv()


def test_state_round_trip(make_env: MakeEnv) -> None:
    env = make_env(3)
    step = env.reset(np.ones(3, bool), Seeds(0))
    action = step.obs["applied"] + np.float32(0.05)
    world = env.rig.world
    for _ in range(10):
        env.send(action)
        env.recv()
    saved = env.rig.save_state(np.array([0]))
    world.step(np.ones(3, bool))
    expected = world.qpos[0].copy()
    env.rig.load_state(np.array([2]), saved)
    world.step(np.array([False, False, True]))
    assert np.array_equal(world.qpos[2], expected)
    assert world.seed[2] == world.seed[0] and world.tick[2] == world.tick[0]


def test_a_diverged_row_ends_alone(make_env: MakeEnv) -> None:
    env, healthy = make_env(3), make_env(3)
    for each in (env, healthy):
        step = each.reset(np.ones(3, bool), Seeds(0))
    action = step.obs["applied"]
    env.rig.world.qvel[1, 0] = np.nan
    for tick in range(3):
        for each in (env, healthy):
            each.send(action)
        step, reference = env.recv(), healthy.recv()
        assert same(step, reference, 0, 0) and same(step, reference, 2, 2)
        if tick == 0:
            assert step.kind.tolist() == [Kind.MID, Kind.LAST, Kind.MID]
            assert step.reason[1] == Reason.DIVERGED and step.discount[1] == 1.0
    assert step.kind.tolist() == [Kind.MID] * 3
    assert all(np.isfinite(value).all() for value in step.obs.values())


def test_rows_that_are_not_live_stand_still(make_env: MakeEnv) -> None:
    env = make_env(2)
    env.reset(np.ones(2, bool), Seeds(0))
    world = env.rig.world
    before = world.qpos[1].copy()
    env.rig.write(np.full((2, 6), 0.4, np.float32), np.array([True, False]))
    env.rig.tick(np.array([True, False]))
    assert np.array_equal(world.qpos[1], before) and not np.array_equal(world.qpos[0], before)


def test_guard_fault_ends_the_row_and_clears_at_reset(make_env: MakeEnv) -> None:
    env = make_env(2)
    step = env.reset(np.ones(2, bool), Seeds(0))
    action = step.obs["applied"].copy()
    action[1, 2] = np.nan
    env.send(action)
    step = env.recv()
    assert step.reason.tolist() == [Reason.RUNNING, Reason.FAULT] and env.rig.messages[1]
    env.send(step.obs["applied"])
    step = env.recv()
    assert step.kind[1] == Kind.FIRST and env.rig.condition[1] == Reason.RUNNING


def test_servo_settles_and_sags(description: RobotDescription, make_env: MakeEnv) -> None:
    env = make_env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    target = step.obs["applied"] + np.array([[0.4, 0.2, 0, 0, 0.5, 0]], np.float32)
    for _ in range(60):
        env.send(target)
        step = env.recv()
    error = step.obs["joint_position"] - target
    assert np.abs(step.obs["joint_velocity"]).max() < 0.01
    assert np.abs(error[0, [0, 4, 5]]).max() < 0.01  # friction only
    assert 0.0 < error[0, 1] < 0.1  # the shoulder sags forward under the arm's weight


def test_peg_falls_freely(make_env: MakeEnv) -> None:
    env = make_env(1)
    env.reset(np.ones(1, bool), Seeds(0))
    world = env.rig.world
    world.qpos[0, 8] = 0.5
    for _ in range(6):
        world.step(np.ones(1, bool))
    fallen, t = 0.5 - world.qpos[0, 8], 6 * world.dt
    assert fallen == pytest.approx(0.5 * 9.81 * t**2, rel=0.05)


def test_mujoco_requirement_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "__version__", "4.0.0")
    with pytest.raises(UserError, match=r"4\.0\.0") as error:
        world_module.require_batch()
    assert "\n" not in str(error.value)


def test_a_mujoco_without_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"mujoco>=3\.17"):
        world_module.require_batch()
