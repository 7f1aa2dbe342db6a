"""The peer of the pipeline goes through the same physics as the project's own environment."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import untrained
from benchmarks.peers import STRIDE, PegEnv
from benchmarks.pipeline import RowSeeds
from robo_rl.app.build import description_path, make_env, make_expert
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.types import Kind
from sim.sensors import EXACT, TrackerNoise

KEYS = ("joint_position", "joint_velocity", "applied", "tool_pose", "peg_pose", "block_pose")


def peer(noise: TrackerNoise = EXACT) -> PegEnv:
    return PegEnv(str(description_path(untrained.config().robot.description)), noise)


def packed(obs, prefix: str = "") -> np.ndarray:
    return np.concatenate([np.asarray(obs[key])[0] for key in KEYS])


def test_the_peer_follows_our_trajectory():
    """The expert's actions through grasp and insertion, and into the next episode."""
    config, ticks = untrained.config(), 330
    env = make_env(config.task, config.robot, 1, noise=EXACT)
    assert isinstance(env, RigEnv)
    other = peer()
    obs, _ = other.reset(seed=RowSeeds().start)
    seen, ended = [], False

    def compare(step, action):
        nonlocal obs, ended
        if step.kind[0] == Kind.FIRST and seen:
            obs, _ = other.reset()
        seen.append(np.abs(packed(step.obs) - obs).max())
        assert ended == (step.kind[0] == Kind.LAST)
        if step.kind[0] != Kind.LAST:
            obs, reward, terminated, truncated, _ = other.step(action.value[0])
            ended = terminated or truncated
            wins.append(reward)
        else:
            ended = False

    wins: list[float] = []
    expert = make_expert(config.task, config.robot, env)
    run(env, expert, lambda _: len(seen) >= ticks, RowSeeds(), (compare,))
    env.close()
    assert max(seen) < 1e-5
    assert sum(wins) >= 1.0


def test_a_peer_goes_on_with_the_seed_of_its_row():
    one, other = peer(), peer()
    one.reset(seed=5)
    first, _ = one.reset()
    second, _ = other.reset(seed=5 + STRIDE)
    np.testing.assert_array_equal(first, second)


def test_the_peers_sensor_is_as_noisy_and_as_late():
    env = peer(TrackerNoise())
    exact = peer(EXACT)
    (obs, _), (truth, _) = env.reset(seed=1), exact.reset(seed=1)
    poses = [obs[-14:] - truth[-14:]]
    for _ in range(200):
        action = np.array(untrained.HOME, np.float32)
        poses.append(env.step(action)[0][-14:] - exact.step(action)[0][-14:])
    position = np.array(poses)[50:, [0, 1, 2, 7, 8, 9]]
    assert position.std() == pytest.approx(TrackerNoise().position, rel=0.1)
    assert env.observation_space.contains(obs)
