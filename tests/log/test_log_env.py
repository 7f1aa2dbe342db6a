"""A log as an environment and as a policy."""

from __future__ import annotations

import numpy as np
import pytest

from robo_rl.env import LogEnv, RigEnv
from robo_rl.errors import SpecMismatch, UserError
from robo_rl.log.difference import DifferenceToLog
from robo_rl.log.episode import Episode
from robo_rl.log.policy import LogPolicy
from robo_rl.log.reader import Log
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.types import NO_SEED, Kind, Reason
from tests.contract.policy import PolicyContract
from tests.fakes import GoalPolicy, PointRig, ReachTask
from tests.log.streams import Tape, logs, play, rows_of, same


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, Tape]:
    folder = tmp_path_factory.mktemp("log")
    tape = play(folder, episodes=6)
    return logs(folder)[0], tape


def test_log_env_shows_every_step_once(log: tuple[Log, Tape]) -> None:
    read, recorded = log
    for episode in read.episodes:
        env, tape = LogEnv(episode, read.obs_spec, read.act_spec, read.dt), Tape()
        run(env, GoalPolicy(1), lambda step: step.exhausted, Seeds(99), [tape])
        expected = rows_of(recorded, 0, episode.seed)
        assert len(env) == len(expected) == len(tape.ticks) - 1 and (env.n, env.dt) == (1, 0.1)
        for (step, _), (original, _) in zip(tape.ticks, expected, strict=False):
            for name in ("reward", "discount", "kind", "applied", "success", "reason", "seed"):
                assert same(getattr(step, name), getattr(original, name)), name
            assert all(same(step.obs[key], original.obs[key]) for key in env.obs_spec)
            assert all(same(step.stamp[key], original.stamp[key]) for key in original.stamp)
        assert tape.ticks[-2][0].kind[0] == Kind.LAST
        idle = tape.ticks[-1][0]
        assert idle.kind[0] == Kind.RESET and idle.seed[0] == NO_SEED and idle.reason[0] == Reason.RUNNING


def test_log_env_keeps_discounts_of_both_kinds_of_ends(log: tuple[Log, Tape]) -> None:
    ends = {int(episode.reason[-1]): episode.discount[-1] for episode in log[0].episodes}
    assert ends[Reason.SUCCESS] == 0.0 and ends.get(Reason.TIMEOUT, 1.0) == 1.0


def test_log_env_starts_over_and_needs_its_observations(log: tuple[Log, Tape]) -> None:
    read, where = log[0], np.ones(1, bool)
    env = LogEnv(read.episodes[0], read.obs_spec, read.act_spec, read.dt)
    first = env.reset(where, Seeds(0))
    env.recv()
    again = env.reset(where, Seeds(0))
    assert again.first.all() and same(again.obs["position"], first.obs["position"])
    with pytest.raises(SpecMismatch, match="lacks wrist"):
        LogEnv(read.episodes[0], Spec({"wrist": Feature((1,))}), read.act_spec, read.dt)


def test_replayed_commands_repeat_the_run_bit_by_bit(log: tuple[Log, Tape]) -> None:
    read, _ = log
    env, difference = RigEnv(PointRig(3), ReachTask(3)), DifferenceToLog(read.episodes)
    run(env, LogPolicy(read.episodes), lambda step: step.exhausted, Seeds(0, 6), [difference])
    assert difference.identical and difference.ticks == sum(len(episode) for episode in read.episodes)
    assert {"obs/position", "action/applied", "action/commanded", "reward"} <= difference.signals.keys()


def test_log_policy_names_what_it_lacks(log: tuple[Log, Tape]) -> None:
    with pytest.raises(UserError, match="no episode to play"):
        LogPolicy([])
    with pytest.raises(UserError, match="no episode with seed 77"):
        LogPolicy(log[0].episodes).reset(np.ones(1, bool), np.array([77]))


def episode(seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    value, extra = rng.standard_normal((8, 2)).astype(np.float32), {"chunk_index": np.arange(8)}
    obs, flat = {"x": rng.standard_normal((8, 3)).astype(np.float32)}, np.zeros(8, np.uint8)
    return Episode(obs, value, extra, value, flat, flat, flat, flat, flat, seed)


def test_log_policy_brings_extras_and_holds_its_last_command() -> None:
    policy, obs = LogPolicy([episode(4), episode(5)]), {"x": np.zeros((2, 3), np.float32)}
    assert np.array_equal(policy.act(obs).value, np.zeros((2, 2)))
    policy.reset(np.array([True, False]), np.array([5, NO_SEED]))
    actions = [policy.act(obs) for _ in range(10)]
    assert [int(action.extra["chunk_index"][0]) for action in actions] == [*range(8), 7, 7]
    assert np.array_equal(np.stack([action.value[0] for action in actions[:8]]), episode(5).action)
    assert not any(action.value[1].any() for action in actions)


class TestLogPolicy(PolicyContract):
    obs_spec, act_spec = Spec({"x": Feature((3,))}), Feature((2,))

    def make(self, n: int) -> Policy:
        return LogPolicy([episode(seed) for seed in (0, 1, 2, 5, 6, 7, 99)])
