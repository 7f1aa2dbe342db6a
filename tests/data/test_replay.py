"""Replay: n-step transitions against brute force, masked steps, executed actions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_rl.data.replay import Batch, Replay, replay_of
from robo_rl.env import RigEnv
from robo_rl.log.episode import Episode
from robo_rl.loop import run
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Reason, Step
from tests.fakes import ConstantPolicy, PointRig, ReachTask

OBS, EXTRA = Spec({"x": Feature((1,))}), Spec({"base_action": Feature((1,))})


def step_of(t: int, kind: np.ndarray, reward: np.ndarray, discount: np.ndarray, reason: np.ndarray) -> Step:
    """A step whose observation is 1000 * row + t, so that every slot can be told from every other."""
    n = len(kind)
    x = (1000 * np.arange(n) + t).astype(np.float32)[:, None]
    return Step({"x": x}, reward.astype(np.float32), discount.astype(np.float32), kind.astype(np.uint8), -x,
                np.zeros(n, np.int8), reason.astype(np.uint8), np.zeros(n, np.int64))  # fmt: skip


def random_stream(rng: np.random.Generator, n: int, ticks: int) -> list[Step]:
    steps, kind = [], np.full(n, Kind.RESET)
    for t in range(ticks):
        live, draw = kind <= Kind.MID, rng.uniform(size=n)
        follow = np.where(draw < 0.2, Kind.LAST, Kind.MID)
        start = np.where(draw < 0.3, Kind.RESET, Kind.FIRST)
        kind = np.where(live, follow, start)
        last = kind == Kind.LAST
        reward = np.where(live, rng.uniform(size=n), 0)
        discount = np.where(last & (draw < 0.1), 0.0, 1.0)
        reason = np.where(last & (draw > 0.18), Reason.DIVERGED, Reason.RUNNING)
        steps.append(step_of(t, kind, reward, discount, reason))
    return steps


def brute_force(steps: list[Step], row: int, t: int, n: int, gamma: float) -> tuple[float, float, float] | None:
    """(return, discount, next x) of the transition that starts at slot t; None where none does."""

    def kind(i: int) -> int:
        return int(Kind.RESET) if steps[i].reason[row] == Reason.DIVERGED else int(steps[i].kind[row])

    def starts(i: int) -> bool:
        return i + 1 < len(steps) and kind(i) <= Kind.MID and kind(i + 1) in (Kind.MID, Kind.LAST)

    if not starts(t):
        return None
    total, factor, i = 0.0, 1.0, t
    for _ in range(n):
        i += 1
        total += factor * float(steps[i].reward[row])
        factor *= gamma * float(steps[i].discount[row])
        if not starts(i):
            break
    return total, factor, float(steps[i].obs["x"][row, 0])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 4), steps=st.integers(1, 5), ticks=st.integers(3, 40))
def test_n_step_returns_equal_brute_force(seed: int, n: int, steps: int, ticks: int) -> None:
    rng = np.random.default_rng(seed)
    stream = random_stream(rng, n, ticks)
    replay = Replay(OBS, EXTRA, 1, n, n * (ticks + 5))
    for step in stream:
        replay.add(step, Action(step.obs["x"], {"base_action": 2 * step.obs["x"]}))
    index = replay.starts()
    expected = {
        (t, row): found
        for t in range(ticks)
        for row in range(n)
        if (found := brute_force(stream, row, t, steps, 0.9)) is not None
    }
    assert replay.transitions == replay.steps == len(index) == len(expected)
    batch = replay.gather(index, steps, 0.9)
    for i in range(len(index)):
        x = float(batch.obs[i, 0])
        row, t = int(x // 1000), int(x % 1000)
        total, factor, following = expected.pop((t, row))
        assert batch.reward[i] == pytest.approx(total, rel=1e-5)
        assert batch.discount[i] == pytest.approx(factor, rel=1e-5)
        assert batch.next_obs[i, 0] == following and batch.next_extra[i, 0] == 2 * following
        assert batch.extra[i, 0] == 2 * x
        assert batch.action[i, 0] == -(x + 1)  # what was executed, as the next step reports it
    assert not expected


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 3), actions=st.integers(1, 5), ticks=st.integers(3, 30))
def test_chunks_of_executed_actions_end_with_the_episode(seed: int, n: int, actions: int, ticks: int) -> None:
    stream = random_stream(np.random.default_rng(seed), n, ticks)
    replay = Replay(OBS, EXTRA, 1, n, n * (ticks + 5))
    for step in stream:
        replay.add(step, Action(step.obs["x"], {"base_action": step.obs["x"]}))
    index = replay.starts()
    chunks = replay.gather(index, actions, 0.9, actions).action
    for start, chunk in zip(index, chunks, strict=True):
        t, row = divmod(int(start), n)
        ends = [brute_force(stream, row, t, steps, 0.9) for steps in range(1, actions + 1)]
        assert chunk.tolist() == [-end[2] for end in ends if end is not None]  # executed before what was reached


def test_the_ring_forgets_the_oldest_and_never_joins_both_ends() -> None:
    replay = Replay(OBS, EXTRA, 1, 1, 10)
    one = np.ones(1)
    for t in range(57):
        kind = np.full(1, Kind.FIRST if t == 0 else Kind.MID)
        step = step_of(t, kind, one, one, 0 * one)
        replay.add(step, Action(step.obs["x"], {"base_action": step.obs["x"]}))
    batch = replay.gather(replay.starts(), 4, 1.0)
    assert batch.obs[:, 0].tolist() == list(range(47, 56))
    assert batch.next_obs[:, 0].tolist() == [min(t + 4, 56) for t in range(47, 56)]


def test_monte_carlo_returns_and_their_absence_where_the_end_is_unknown() -> None:
    replay = Replay(OBS, EXTRA, 1, 1, 20)
    kinds = [Kind.FIRST, Kind.MID, Kind.LAST, Kind.FIRST, Kind.LAST, Kind.FIRST, Kind.MID]
    rewards, discounts = [0, 0, 1, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 1]
    for t, kind in enumerate(kinds):
        step = step_of(t, np.array([kind]), np.array([rewards[t]]), np.array([discounts[t]]), np.zeros(1))
        replay.add(step, Action(step.obs["x"], {"base_action": step.obs["x"]}))
    replay.label_returns(0.5)
    to_go = replay.gather(replay.starts()).to_go
    assert to_go[:3].tolist() == [0.5, 1.0, 0.0] and np.isnan(to_go[3:]).all()


def test_it_stores_what_was_executed_not_what_was_asked_for() -> None:
    env = RigEnv(PointRig(3), ReachTask(3, 0.6))
    replay = Replay(env.obs_spec, Spec({}), 2, 3, 300)
    policy = ConstantPolicy(np.full((3, 2), 7.0, np.float32))
    run(env, policy, lambda step: step.exhausted, Seeds(0, 5), [replay.add])
    assert (replay.gather(replay.starts()).action == 1.0).all()


def test_a_time_out_is_not_terminal_and_a_success_is() -> None:
    env = RigEnv(PointRig(2), ReachTask(2, 0.4))
    replay = Replay(env.obs_spec, Spec({}), 2, 2, 300)
    run(env, ConstantPolicy(np.zeros((2, 2), np.float32)), lambda s: s.exhausted, Seeds(0, 6), [replay.add])
    batch = replay.gather(replay.starts(), 1, 0.9)
    assert (batch.discount[batch.reward == 0] == np.float32(0.9)).all()
    assert (batch.discount[batch.reward > 0] == 0).all()


def test_taking_time_outs_for_ends_is_possible_for_comparison() -> None:
    env = RigEnv(PointRig(2), ReachTask(2, 0.4))
    replay = Replay(env.obs_spec, Spec({}), 2, 2, 300, bootstrap_timeouts=False)
    run(env, ConstantPolicy(np.full((2, 2), -0.9, np.float32)), lambda s: s.exhausted, Seeds(0, 2), [replay.add])
    batch = replay.gather(replay.starts(), 1, 0.9)
    assert (batch.reward == 0).all() and (batch.discount == 0).sum() == 2


def test_diverged_steps_are_left_out() -> None:
    env = RigEnv(PointRig(2, diverging=[1]), ReachTask(2, 0.8))
    replay = Replay(env.obs_spec, Spec({}), 2, 2, 300)
    run(env, ConstantPolicy(np.full((2, 2), -0.9, np.float32)), lambda s: s.exhausted, Seeds(0, 2), [replay.add])
    batch = replay.gather(replay.starts(), 3)
    assert len(batch.obs) == 8 + 2  # a whole episode of 8 ticks; 2 transitions before the third tick diverged
    assert np.isfinite(np.concatenate([batch.obs, batch.next_obs])).all()


def test_demonstrations_carry_the_base_action_of_the_stateful_chunker() -> None:
    from tests.policies.test_compose import OBS as POINT
    from tests.policies.test_compose import chunked

    rng = np.random.default_rng(0)
    episodes = [demonstration(length, seed, rng) for seed, length in enumerate((5, 9))]
    replay = replay_of(episodes, chunked(execute=4), POINT)
    batch = replay.gather(replay.starts())
    assert replay.transitions == 4 + 8
    for episode in episodes:
        policy = chunked(execute=4)
        policy.reset(np.ones(1, bool), np.array([episode.seed]))
        for t in range(len(episode) - 1):
            obs = {key: value[t : t + 1] for key, value in episode.obs.items()}
            extra = policy.extra_spec.pack(policy.act(obs).extra)[0]
            at = np.flatnonzero((batch.obs == POINT.pack(obs)[0]).all(1))
            assert len(at) == 1 and np.allclose(batch.extra[at[0]], extra, atol=1e-6)
            assert np.array_equal(batch.action[at[0]], episode.applied[t + 1])


def demonstration(length: int, seed: int, rng: np.random.Generator) -> Episode:
    obs = {key: rng.uniform(-1, 1, (length, 2)).astype(np.float32) for key in ("position", "goal")}
    kind = np.array([Kind.FIRST] + [Kind.MID] * (length - 2) + [Kind.LAST], np.uint8)
    applied = rng.uniform(-1, 1, (length, 2)).astype(np.float32)
    reward = (kind == Kind.LAST).astype(np.float32)
    zeros = np.zeros(length, np.uint8)
    return Episode(obs, applied, {}, applied, reward, 1 - reward, kind, zeros, zeros, seed)


def test_memory_a_transition_is_stated() -> None:
    replay = Replay(OBS, EXTRA, 1, 4, 4000)
    assert replay.bytes_per_step == 4 * (1 + 1 + 1 + 3) + 2


def test_an_empty_replay_says_so() -> None:
    with pytest.raises(ValueError, match="no transition"):
        Replay(OBS, EXTRA, 1, 1, 10).sample(4, np.random.default_rng(0))


def test_batches_concatenate() -> None:
    replay = Replay(OBS, EXTRA, 1, 2, 100)
    for step in random_stream(np.random.default_rng(0), 2, 30):
        replay.add(step, Action(step.obs["x"], {"base_action": step.obs["x"]}))
    index = replay.starts()
    joined = Batch.concatenate([replay.gather(index[:3]), replay.gather(index[3:])])
    assert np.array_equal(joined.obs, replay.gather(index).obs)
