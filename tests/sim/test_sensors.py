"""The tracker: late and noisy by the numbers it states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robo_rl.env import RigEnv
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED
from sim.sensors import ObjectTracker, TrackerNoise

MakeEnv = Callable[..., RigEnv]


def test_noise_has_the_stated_size(make_env: MakeEnv) -> None:
    env = make_env(512)
    obs = env.reset(np.ones(512, bool), Seeds(0)).obs
    error = obs["peg_pose"] - obs[PRIVILEGED + "peg_pose"]
    np.testing.assert_allclose(error[:, :3].std(axis=0), 0.001, rtol=0.15)
    np.testing.assert_allclose(np.abs(error[:, :3].mean(axis=0)), 0, atol=2e-4)
    dot = np.abs((obs["peg_pose"][:, 3:].astype(float) * obs[PRIVILEGED + "peg_pose"][:, 3:]).sum(axis=1))
    angle = 2 * np.arccos(np.clip(dot, 0, 1))
    np.testing.assert_allclose(np.sqrt((angle**2).mean()), np.sqrt(3) * 0.0087, rtol=0.15)


def test_quaternions_are_canonical(make_env: MakeEnv) -> None:
    env = make_env(64)
    obs = env.reset(np.ones(64, bool), Seeds(0)).obs
    for key in ("peg_pose", "block_pose", PRIVILEGED + "peg_pose"):
        np.testing.assert_allclose(np.linalg.norm(obs[key][:, 3:], axis=1), 1, atol=1e-6)
        assert (obs[key][:, 3] >= 0).all()


def test_delay_is_in_ticks(make_env: MakeEnv) -> None:
    env = make_env(2)
    env.reset(np.ones(2, bool), Seeds(0))
    world = env.rig.world
    trackers = [ObjectTracker(world, ["peg"], TrackerNoise(0, 0, delay)) for delay in (0, 3)]
    truth, late, stamps = [], [], []
    for _ in range(8):
        (now, _), (then, stamp) = (tracker.read() for tracker in trackers)
        truth.append(now["peg_pose"]), late.append(then["peg_pose"]), stamps.append(stamp["peg_pose"][0])
        world.qpos[:, 6] += 0.01
        world.step(np.ones(2, bool))
    for tick in range(8):
        assert np.array_equal(late[tick], truth[max(0, tick - 3)])
    np.testing.assert_allclose(stamps, np.maximum(np.arange(8) - 3, 0) * world.dt)


def test_specs_hold_no_privileged_key(make_env: MakeEnv) -> None:
    env = make_env(2)
    assert not any(key.startswith(PRIVILEGED) for key in env.obs_spec)
    step = env.reset(np.ones(2, bool), Seeds(0))
    (env.obs_spec | env.rig.privileged()).validate(step.obs, 2)
