"""`GymEnv` against plain Gymnasium."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from robo_rl.adapt.gymnasium_in import GymEnv
from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.seeds import Seeds
from robo_rl.types import Kind, Reason, Step, Success
from tests.contract.env import EnvContract, same, snapshot

REACH = "tests.adapt.gym_fakes:FakeReach-v0"


class TestPendulum(EnvContract):
    def make(self, n: int) -> Env:
        return GymEnv("Pendulum-v1", n, limit=9)


class TestGoalEnv(EnvContract):
    def make(self, n: int) -> Env:
        return GymEnv(REACH, n)


class TestNotFinite(EnvContract):
    def make(self, n: int) -> Env:
        return GymEnv(REACH, n, {"nan_at": 4})


def everyone(n: int) -> np.ndarray:
    return np.ones(n, bool)


def play(env: GymEnv, actions: np.ndarray, seed: int = 0, episodes: int | None = None) -> list[Step]:
    """Steps under actions (T, A), the same for every row."""
    steps = [env.reset(everyone(env.n), Seeds(seed, episodes))]
    for action in actions:
        env.send(np.tile(action, (env.n, 1)))
        steps.append(env.recv())
    env.close()
    return steps


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_an_episode_is_gymnasiums(env_id: str) -> None:
    actions = np.random.default_rng(0).uniform(-3, 3, (20, 1)).astype(np.float32)
    steps = play(GymEnv(env_id, 2), actions, seed=6)
    plain = gymnasium.make(env_id)
    box = plain.action_space
    assert np.array_equal(steps[0].obs["state"][1], plain.reset(seed=7)[0])
    for step, action in zip(steps[1:], actions, strict=True):
        clipped = np.clip(action, box.low, box.high)
        obs, reward, *_ = plain.step(clipped)
        assert np.array_equal(step.obs["state"][1], obs)
        assert step.reward[1] == np.float32(reward)
        assert np.array_equal(step.applied[1], clipped)
    plain.close()


def test_a_seed_beyond_gymnasiums_range_wraps() -> None:
    steps = [GymEnv("Pendulum-v1").reset(everyone(1), Seeds(seed)) for seed in (5, 3 * 2**31 + 5)]
    assert np.array_equal(steps[0].obs["state"], steps[1].obs["state"])
    assert steps[1].seed[0] == 3 * 2**31 + 5


def test_workers_change_nothing() -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 1))
    alone, shared = (play(GymEnv(REACH, 5, workers=workers), actions, episodes=8) for workers in (0, 2))
    assert alone[-1].exhausted
    assert all(same(snapshot(a), snapshot(b)) for a, b in zip(alone, shared, strict=True))


def test_spaces_become_specs() -> None:
    env = GymEnv("Pendulum-v1")
    assert list(env.obs_spec) == ["state"] and env.obs_spec["state"].high.tolist() == [1.0, 1.0, 8.0]
    assert env.act_spec.shape == (1,) and env.act_spec.high.tolist() == [2.0]
    assert env.dt == 0.05
    assert sorted(GymEnv(REACH).obs_spec) == ["achieved_goal", "desired_goal", "observation"]
    assert GymEnv(REACH).dt == 1 / 20 and GymEnv(REACH, dt=0.25).dt == 0.25


def towards_goal(env: GymEnv) -> Step:
    step = env.reset(everyone(1), Seeds(0))
    while not step.last[0]:
        env.send(step.obs["desired_goal"] - step.obs["achieved_goal"])
        step = env.recv()
    return step


def test_success_ends_the_episode() -> None:
    step = towards_goal(GymEnv(REACH))
    assert (step.success[0], step.reason[0], step.discount[0]) == (Success.YES, Reason.SUCCESS, 0)
    assert step.reward[0] <= 0


def test_success_can_be_the_reward() -> None:
    assert towards_goal(GymEnv(REACH, reward="success")).reward[0] == 1


def test_success_need_not_end_the_episode() -> None:
    step = towards_goal(GymEnv(REACH, end_on_success=False))
    assert (step.success[0], step.reason[0], step.discount[0]) == (Success.YES, Reason.TIMEOUT, 1)


def test_termination_without_success_is_failure() -> None:
    step = play(GymEnv(REACH), np.full((5, 1), 0.5), seed=3)[-1]
    assert (step.success[0], step.reason[0], step.discount[0]) == (Success.NO, Reason.FAILURE, 0)


def test_without_a_success_key_nobody_can_tell() -> None:
    step = play(GymEnv("Pendulum-v1", limit=3), np.zeros((3, 1)))[-1]
    assert step.last[0] and step.success[0] == Success.UNKNOWN and step.discount[0] == 1


def test_termination_can_mean_success() -> None:
    env = GymEnv("MountainCarContinuous-v0", success_key="terminated")
    step = env.reset(everyone(1), Seeds(0))
    for _ in range(300):
        env.send(np.sign(step.obs["state"][:, 1:]))  # pump energy
        step = env.recv()
        if step.last[0]:
            break
    assert (step.success[0], step.reason[0]) == (Success.YES, Reason.SUCCESS)


@pytest.mark.parametrize(("nan_at", "action"), [(1, 0.0), (0, np.nan)])
def test_a_row_that_is_not_finite_ends_alone(nan_at: int, action: float) -> None:
    env = GymEnv(REACH, 2, {"nan_at": nan_at})
    env.reset(everyone(2), Seeds(0))
    env.send(np.array([[0.0], [action]]))
    step = env.recv()
    assert step.kind.tolist() == [Kind.LAST if nan_at else Kind.MID, Kind.LAST]
    assert step.reason[1] == Reason.DIVERGED and step.discount[1] == 1
    assert np.isfinite(step.obs["observation"]).all()
    env.send(np.zeros((2, 1)))
    assert env.recv().kind[1] == Kind.FIRST
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env_id": "NoSuch-v0"}, "env_id=NoSuch-v0"),
        ({"env_id": "no_such_module:Env-v0"}, "no_such_module"),
        ({"env_id": "CartPole-v1"}, "action space Discrete"),
        ({"env_id": "FrozenLake-v1"}, "observation space Discrete"),
        ({"env_id": "Pendulum-v1", "reward": "dense"}, "valid choices: env, success"),
        ({"env_id": "Pendulum-v1", "n": 2, "workers": 3}, "workers=3"),
        ({"env_id": "NoSuch-v0", "n": 2, "workers": 1}, "env_id=NoSuch-v0"),
    ],
)
def test_a_users_mistake_is_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        GymEnv(**arguments)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_success_key_is_named(workers: int) -> None:
    env = GymEnv(REACH, success_key="done_well", workers=workers)
    with pytest.raises(UserError, match=r"success_key=done_well: not in the info .* it has: is_success"):
        play(env, np.full((12, 1), 0.01))
    env.close()


@pytest.mark.parametrize(("fault", "message"), [("die_at", "exit code 3"), ("error_at", "on purpose")])
def test_a_worker_that_fails_says_so(fault: str, message: str) -> None:
    env = GymEnv(REACH, 2, {fault: 2}, workers=2)
    with pytest.raises(RuntimeError, match=message):
        play(env, np.zeros((5, 1)))
    env.close()
    env.close()
