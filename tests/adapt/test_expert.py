"""Other people's experts as policies."""

from __future__ import annotations

import numpy as np
import pytest

from robo_rl.adapt.expert import ExpertPolicy, load_expert
from robo_rl.adapt.gymnasium_in import GymEnv
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.spec import Feature, Spec
from tests.adapt import gym_fakes
from tests.contract.policy import PolicyContract

ACTION = Feature((1,), "float32", -0.5, 0.5)


class TestFunction(PolicyContract):
    obs_spec = Spec({key: Feature((1,)) for key in ("observation", "achieved_goal", "desired_goal")})
    act_spec = ACTION

    def make(self, n: int) -> ExpertPolicy:
        return ExpertPolicy(lambda: gym_fakes.towards, n, ACTION)

    def test_state_resumes(self) -> None:
        """A function has no state; a noisy or stateful expert of others' cannot be asked for its own."""


def test_a_function_solves_its_task() -> None:
    env = GymEnv("tests.adapt.gym_fakes:FakeReach-v0", 2)
    policy = load_expert("tests.adapt.gym_fakes:towards", 2, env.act_spec, noise=0.02)
    assert all(row["success"] for row in evaluate(env, policy, 0, 5).rows)


def test_a_class_has_one_instance_a_row_seeded_by_its_episode() -> None:
    policy = load_expert("tests.adapt.gym_fakes:Stepper", 2, ACTION)
    policy.reset(np.ones(2, bool), np.array([3, 4]))
    obs = {"state": np.zeros((2, 1), np.float32)}
    first = policy.act(obs).value
    policy.reset(np.array([False, True]), np.array([3, 3]))
    assert policy.act(obs).value[1] == first[0] != first[1]


def noisy(seeds: np.ndarray, ticks: int, correlation: float = 0.9) -> np.ndarray:
    """Actions (T, N) of an expert that does nothing, with noise 0.1."""
    policy = ExpertPolicy(lambda: lambda obs: np.zeros(1), len(seeds), ACTION, 0.1, correlation)
    policy.reset(np.ones(len(seeds), bool), seeds)
    obs = {"state": np.zeros((len(seeds), 1), np.float32)}
    return np.stack([policy.act(obs).value[:, 0] for _ in range(ticks)])


def test_noise_has_its_deviation_and_correlation() -> None:
    draw = noisy(np.arange(400), 60)
    assert draw.std(axis=1) == pytest.approx(0.1, abs=0.015)
    assert np.corrcoef(draw[:-1].ravel(), draw[1:].ravel())[0, 1] == pytest.approx(0.9, abs=0.02)


def test_noise_is_a_function_of_the_episodes_seed() -> None:
    assert np.array_equal(noisy(np.array([5, 6]), 10)[:, 1], noisy(np.array([6]), 10)[:, 0])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:f", "no_such_module"),
        ("tests.adapt.gym_fakes:nothing", "nothing"),
        ("tests.adapt.gym_fakes:np", "expected a function"),
        ("tests.adapt.gym_fakes", "expected module:name"),
    ],
)
def test_a_wrong_target_is_one_line(target: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_expert(target, 1, ACTION)


def test_where_an_expert_failed_is_its_own_line_not_a_librarys() -> None:
    def singular(obs: object) -> np.ndarray:
        return np.linalg.inv(np.zeros((2, 2)))

    policy = ExpertPolicy(lambda: singular, 1, ACTION, name="mine")
    policy.reset(np.ones(1, bool), np.zeros(1, np.int64))
    with pytest.raises(UserError, match=r"expert=mine: LinAlgError: Singular matrix \(.*test_expert.py, line \d+\)"):
        policy.act({"state": np.zeros((1, 1), np.float32)})


def test_what_an_expert_says_itself_is_said_as_it_is() -> None:
    def wary(obs: object) -> np.ndarray:
        raise UserError("the cup is missing")

    policy = ExpertPolicy(lambda: wary, 1, ACTION)
    policy.reset(np.ones(1, bool), np.zeros(1, np.int64))
    with pytest.raises(UserError, match=r"^the cup is missing$"):
        policy.act({"state": np.zeros((1, 1), np.float32)})
