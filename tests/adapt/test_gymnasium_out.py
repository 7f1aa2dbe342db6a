"""An `Env` as others' environments, by their own checkers."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import TD3
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from robo_rl.adapt import register
from robo_rl.adapt.gymnasium_in import GymEnv
from robo_rl.adapt.gymnasium_out import GymnasiumEnv, GymnasiumVectorEnv
from robo_rl.adapt.sb3 import Sb3Policy, Sb3VecEnv
from robo_rl.env import RigEnv
from robo_rl.seeds import Seeds
from robo_rl.types import Reason
from tests.contract.policy import PolicyContract
from tests.fakes import PointRig, ReachTask


def point(n: int = 1, home_ticks: int = 1, limit: float = 0.6) -> RigEnv:
    return RigEnv(PointRig(n, home_ticks), ReachTask(n, limit))


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("home_ticks", [1, 3])
def test_gymnasiums_checker_passes(flatten: bool, home_ticks: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|render).*")
        check_env(GymnasiumEnv(point(1, home_ticks), flatten), skip_render_check=True)


@pytest.mark.parametrize("flatten", [False, True])
def test_stable_baselines_checker_passes(flatten: bool) -> None:
    sb3_check_env(GymnasiumEnv(point(), flatten), warn=False)


def test_ends_are_told_apart() -> None:
    env = GymnasiumEnv(point(limit=0.3))
    env.reset(seed=0)
    results = [env.step(np.zeros(2))[1:] for _ in range(3)]
    assert [result[1:3] for result in results] == [(False, False), (False, False), (False, True)]
    assert results[-1][3]["reason"] == Reason.TIMEOUT.label
    env = GymnasiumEnv(point(limit=9.0))
    obs, info = env.reset(seed=4)
    assert info["episode_seed"] == 4
    for _ in range(50):
        obs, reward, terminated, truncated, info = env.step(obs["goal"])
        if terminated or truncated:
            break
    assert terminated and not truncated and reward == 1 and info["success"] == 1


def test_a_round_trip_through_both_adapters_is_gymnasium() -> None:
    ours, plain = GymnasiumEnv(GymEnv("Pendulum-v1"), flatten=True), gymnasium.make("Pendulum-v1")
    left, right = ours.reset(seed=3)[0], plain.reset(seed=3)[0]
    for action in np.random.default_rng(0).uniform(-2, 2, (205, 1)).astype(np.float32):
        assert np.array_equal(left, right)
        left, reward, *ends, _ = ours.step(action)
        right, expected, *expected_ends, _ = plain.step(action)
        assert reward == pytest.approx(expected) and ends == expected_ends
        if any(ends):
            break
    assert ends == [False, True]


def test_the_vector_env_resets_in_the_next_step() -> None:
    env = GymnasiumVectorEnv(point(2, limit=0.3))
    obs, info = env.reset(seed=10)
    assert obs in env.observation_space and info["episode_seed"].tolist() == [10, 11]
    for _ in range(3):
        obs, reward, terminated, truncated, info = env.step(np.zeros((2, 2), np.float32))
    assert truncated.all() and not terminated.any() and reward.dtype == np.float64
    obs, reward, terminated, truncated, info = env.step(np.full((2, 2), np.nan, np.float32))
    assert not (truncated | terminated).any() and (reward == 0).all()
    assert info["episode_seed"].tolist() == [12, 13] and (obs["position"] == 0).all()
    env.close()


def test_the_vector_env_agrees_with_gymnasiums_own() -> None:
    ours = GymnasiumVectorEnv(GymEnv("Pendulum-v1", 3, limit=6), flatten=True)
    plain = gymnasium.make_vec("Pendulum-v1", 3, max_episode_steps=6)
    assert ours.metadata["autoreset_mode"] == plain.metadata["autoreset_mode"]
    left, right = ours.reset(seed=5)[0], plain.reset(seed=5)[0]
    for action in np.random.default_rng(0).uniform(-2, 2, (6, 3, 1)).astype(np.float32):
        assert np.array_equal(left, right)
        left, reward, terminated, truncated, _ = ours.step(action)
        right, expected, expected_terminated, expected_truncated, _ = plain.step(action)
        assert np.allclose(reward, expected)
        assert np.array_equal(terminated, expected_terminated) and np.array_equal(truncated, expected_truncated)
    assert truncated.all()
    plain.close()


@pytest.mark.parametrize("flatten", [False, True])
def test_stable_baselines_vec_env_shows_the_next_episode_at_once(flatten: bool) -> None:
    venv = Sb3VecEnv(point(2, limit=0.3), seed=7, flatten=flatten)
    venv.reset()
    still = np.zeros((2, 2), np.float32)
    for _ in range(3):
        obs, _, done, infos = venv.step(still + 0.4)
    assert done.all() and all(info["TimeLimit.truncated"] for info in infos)
    assert [info["episode_seed"] for info in infos] == [7, 8]
    last = infos[0]["terminal_observation"]
    assert np.any(last[:4] != obs[0][:4]) if flatten else np.any(last["position"] != obs["position"][0])
    _, _, done, infos = venv.step(still)
    assert not done.any() and infos == [{}, {}]
    venv.close()


def test_stable_baselines_vec_env_resets_only_the_rows_that_ended() -> None:
    env = point(2, limit=0.6)
    venv = Sb3VecEnv(env, seed=0, flatten=False)
    venv.reset()
    env.reset(np.array([False, True]), venv._stream)
    for tick in range(1, 7):
        if tick == 4:
            env.reset(np.array([False, True]), venv._stream)
        obs, _, done, _ = venv.step(np.full((2, 2), 0.3, np.float32))
        assert done.tolist() == [tick == 6, False]
    assert (obs["position"][0] == 0).all() and (obs["position"][1] > 0).all()


def test_stable_baselines_seeds() -> None:
    venv = Sb3VecEnv(point(2), flatten=False)
    venv.seed(31)
    goals = venv.reset()["goal"]
    assert np.array_equal(goals, point(2).reset(np.ones(2, bool), Seeds(31)).obs["goal"])


def test_a_rig_that_homes_slowly_is_refused() -> None:
    with pytest.raises(RuntimeError, match="takes time to reset"):
        Sb3VecEnv(point(2, home_ticks=3)).reset()


def model(venv: Sb3VecEnv) -> TD3:
    return TD3(
        "MlpPolicy", venv, learning_starts=8, buffer_size=100, batch_size=4, seed=0, policy_kwargs={"net_arch": [8]}
    )


def test_stable_baselines_trains_on_it() -> None:
    learner = model(Sb3VecEnv(point(2)))
    learner.learn(24)
    assert learner.num_timesteps == 24 and len(learner.ep_info_buffer) == 0


class TestSb3Policy(PolicyContract):
    obs_spec = point().obs_spec
    act_spec = point().act_spec

    def make(self, n: int) -> Sb3Policy:
        return Sb3Policy(model(Sb3VecEnv(point(n))), self.obs_spec)


def test_registration_is_repeatable_and_lazy() -> None:
    register.register()
    spec = gymnasium.spec("robo_rl/so101-insert_peg-v0")
    assert spec.entry_point == "robo_rl.app.registered:make"
    assert spec.vector_entry_point == "robo_rl.app.registered:make_vec"
