"""Chunking, the residual's sum, exploration: what a stack of policies promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.actors import Actor, Features, ResidualHead
from policies.compose import Chunked, HeldNoise, Residual
from policies.networks import Inputs, Normalise, like_pairs
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.policy import Planner
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Obs, Step
from tests.contract.policy import PolicyContract
from tests.fakes import PointRig, ReachTask

OBS = Spec({"position": Feature((2,)), "goal": Feature((2,))})
ACT = Feature((2,), "float32", -1.0, 1.0)


class GoalPlanner(Planner):
    """Chunks that ramp from where the row is to its goal; counts the rows it was asked for."""

    def __init__(self, horizon: int = 6) -> None:
        self._horizon = horizon
        self.asked: list[int] = []

    @property
    def horizon(self) -> int:
        return self._horizon

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        self.asked += rows.tolist()
        share = np.linspace(0.3, 1.0, self._horizon)[:, None]
        start, goal = obs["position"][rows][:, None], obs["goal"][rows][:, None]
        return np.repeat((start + share * (goal - start))[:, None], samples, 1).astype(np.float32)


def chunked(execute: int = 4) -> Chunked:
    return Chunked(GoalPlanner(), execute, ACT)


def residual(bound: float = 0.1, noise: HeldNoise | None = None, weights: float = 0.0) -> Residual:
    torch.manual_seed(0)
    base = chunked()
    features = Features(
        Inputs(torch.zeros(4), torch.ones(4), like_pairs(OBS)), Normalise(torch.zeros(2), torch.ones(2))
    )
    head = ResidualHead(
        features.size(base.extra_spec.vector_size),
        [8],
        torch.full((2,), bound),
        torch.full((2,), -1.0),
        torch.full((2,), 1.0),
    )
    if weights:
        torch.nn.init.constant_(head.body[-1].weight, weights)
    return Residual(base, Actor(features, head), OBS, noise)


class TestChunked(PolicyContract):
    obs_spec, act_spec = OBS, ACT

    def make(self, n: int) -> Chunked:
        return chunked()


class TestResidual(PolicyContract):
    obs_spec, act_spec = OBS, ACT

    def make(self, n: int) -> Residual:
        return residual(weights=0.3)


class TestExploringResidual(PolicyContract):
    obs_spec, act_spec = OBS, ACT

    def make(self, n: int) -> Residual:
        return residual(noise=HeldNoise(2, 0.5), weights=0.3)


def observed(n: int, tick: int = 0) -> dict[str, np.ndarray]:
    return OBS.sample(n, np.random.default_rng(tick))


def test_a_row_gets_a_fresh_chunk_at_its_first_step_alone() -> None:
    policy = chunked()
    policy.reset(np.ones(3, bool), np.arange(3))
    policy.act(observed(3))
    policy.planner.asked.clear()
    policy.reset(np.array([False, True, False]), np.arange(3))  # row 1 was truncated in the middle of its chunk
    obs = observed(3, 1)
    action = policy.act(obs)
    assert policy.planner.asked == [1]
    expected = policy.planner.plan(obs, np.array([1]), 1, np.zeros(1, np.int64))[0, 0, 0]
    assert np.array_equal(action.value[1], expected)
    assert action.extra["chunk_phase"][:, 0].tolist() == [0.25, 0.0, 0.25]


@pytest.mark.parametrize("limit", [1.5, 0.7])  # success, truncation in the middle of a chunk
def test_no_stale_chunk_enters_an_episode(limit: float) -> None:
    env, policy = RigEnv(PointRig(2), ReachTask(2, limit)), chunked()
    seen: list[tuple[Step, Action]] = []
    run(env, policy, lambda step: step.exhausted, Seeds(3, 6), [lambda s, a: seen.append((s, a))])
    starts = 0
    for step, action in seen:
        for row in np.flatnonzero(step.first):
            fresh = policy.planner.plan(step.obs, np.array([row]), 1, np.zeros(1, np.int64))[0, 0, 0]
            assert np.allclose(action.value[row], fresh, atol=1e-6) and action.extra["chunk_phase"][row] == 0
            starts += 1
    assert starts == 6


def test_every_transition_has_a_base_action_at_its_next_state_truncated_ones_too() -> None:
    env, policy = RigEnv(PointRig(2), ReachTask(2, 0.5)), residual()
    lasts = []
    run(env, policy, lambda step: step.exhausted, Seeds(0, 4),
        [lambda step, action: lasts.extend(action.extra["base_action"][step.last])])  # fmt: skip
    assert len(lasts) == 4 and np.isfinite(lasts).all()


def test_a_zero_correction_is_the_base_bit_for_bit() -> None:
    base, corrected = chunked(), residual()
    for policy in (base, corrected):
        policy.reset(np.ones(5, bool), np.arange(5))
    for tick in range(12):
        obs = observed(5, tick)
        assert np.array_equal(base.act(obs).value, corrected.act(obs).value)


@pytest.mark.parametrize("weights", [0.0, 50.0])
def test_exploration_stays_inside_the_bound_and_the_action_limits(weights: float) -> None:
    bound = 0.1
    policy = residual(bound, HeldNoise(2, 5.0), weights)
    policy.reset(np.ones(8, bool), np.arange(8))
    for tick in range(20):
        action = policy.act(observed(8, tick))
        assert np.abs(action.value - action.extra["base_action"]).max() <= bound + 1e-6
        assert np.abs(action.value).max() <= 1.0


def test_noise_is_held_and_one_rung_of_the_ladder_is_silent() -> None:
    noise = HeldNoise(2, 1.0)
    seeds = np.arange(16)
    noise.reset(np.ones(16, bool), seeds)
    drawn = np.stack([noise() for _ in range(24)])
    assert (drawn[:, seeds % HeldNoise.RUNGS == 0] == 0).all()
    changes = (np.diff(drawn[:, 3, 0]) != 0).sum()
    assert 23 // 8 <= changes <= 24 // 3
    loud = np.abs(drawn[:, seeds % HeldNoise.RUNGS == HeldNoise.RUNGS - 1]).mean()
    assert 0.6 < loud < 1.0  # mean |standard normal| is 0.8


def test_the_phase_of_the_chunk_and_its_rest_are_inputs() -> None:
    policy = residual()
    policy.reset(np.ones(1, bool), np.zeros(1, np.int64))
    obs = observed(1)
    extras = [policy.extra_spec.pack(policy.act(obs).extra) for _ in range(2)]
    packed = torch.from_numpy(OBS.pack(obs))
    features = policy._network.module.features
    first, second = (features(packed, torch.from_numpy(extra)) for extra in extras)
    assert not torch.allclose(first, second)


def test_execute_must_fit_the_horizon() -> None:
    with pytest.raises(ValueError, match="execute=9"):
        Chunked(GoalPlanner(6), 9, ACT)


def test_an_actor_that_is_let_in_progressively_acts_in_that_share_of_ticks() -> None:
    policy = residual(weights=0.3)
    for share, low, high in ((0.0, 0.0, 0.0), (0.3, 0.2, 0.4), (1.0, 0.98, 1.0)):
        policy.share = share
        policy.reset(np.ones(50, bool), np.arange(50))
        actions = [policy.act(observed(50, tick)) for tick in range(20)]
        changed = [(action.value != action.extra["base_action"]).any(1) for action in actions]
        assert low <= np.mean(changed) <= high
