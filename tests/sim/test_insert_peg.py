"""so101/insert_peg: its resets, its verdicts, the expert that solves it and the noise that does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.uniform import Uniform
from robo_rl.env import RigEnv
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Action, Kind, Reason, Step

MakeEnv = Callable[..., RigEnv]
Episodes = Callable[..., dict[int, tuple[int, int]]]


def yaw(pose: np.ndarray) -> np.ndarray:
    return 2 * np.arctan2(pose[:, 6], pose[:, 3])


def test_resets_lie_in_the_declared_regions(make_env: MakeEnv) -> None:
    env = make_env(2000)
    obs = env.reset(np.ones(2000, bool), Seeds(0)).obs
    c = env.task.config
    for body, centre, region, turn in (
        ("peg", c.peg_centre, c.peg_region, c.peg_yaw),
        ("block", c.block_centre, c.block_region, c.block_yaw),
    ):
        pose = obs[f"{PRIVILEGED}{body}_pose"]
        away = np.abs(pose[:, :2] - centre)
        assert (away <= np.array(region) / 2 + 1e-6).all() and (away.max(axis=0) > 0.45 * np.array(region)).all()
        assert (np.abs(yaw(pose)) <= turn + 1e-6).all()
    gap = np.linalg.norm(obs[PRIVILEGED + "peg_pose"][:, :2] - obs[PRIVILEGED + "block_pose"][:, :2], axis=1)
    assert gap.min() > c.peg_width / np.sqrt(2) + 0.022 * np.cos(np.pi / 12) + 0.022 * np.sin(np.pi / 12)


def test_nothing_overlaps_or_moves_after_a_reset(make_env: MakeEnv) -> None:
    env = make_env(64)
    step = env.reset(np.ones(64, bool), Seeds(500))
    before = step.obs[PRIVILEGED + "peg_pose"]
    for _ in range(15):
        env.send(step.obs["applied"])
        step = env.recv()
    assert np.abs(step.obs[PRIVILEGED + "peg_pose"][:, :3] - before[:, :3]).max() < 5e-4


def place(env: RigEnv, depth: float, sideways: float = 0.0) -> None:
    """Hold the peg's lower end `depth` below the block's top in every row."""
    c, world = env.task.config, env.rig.world
    world.qpos[:, 6:8] = world.mocap_pos[:, 0, :2] + sideways
    world.qpos[:, 8] = c.hole_depth - depth + c.peg_height / 2
    world.qpos[:, 9:13] = world.mocap_quat[:, 0]
    world.qvel[:] = 0


def test_success_takes_five_ticks_in_a_row(make_env: MakeEnv) -> None:
    env = make_env(2)
    step = env.reset(np.ones(2, bool), Seeds(0))
    kinds = []
    for _ in range(5):
        place(env, 0.024)
        env.send(step.obs["applied"])
        step = env.recv()
        kinds.append(int(step.kind[0]))
    assert kinds == [Kind.MID] * 4 + [Kind.LAST]
    assert step.reason[0] == Reason.SUCCESS and step.reward[0] == 1.0 and step.discount[0] == 0.0


def test_not_inserted_when_shallow_or_beside(make_env: MakeEnv) -> None:
    env = make_env(1)
    env.reset(np.ones(1, bool), Seeds(0))
    for depth, sideways, expected in ((0.0151, 0, True), (0.0149, 0, False), (0.02, 0.03, False)):
        place(env, depth, sideways)
        assert bool(env.task.inserted()[0]) is expected


def test_the_limit_truncates(make_env: MakeEnv) -> None:
    env = make_env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    for tick in range(1, 301):
        env.send(step.obs["applied"])
        step = env.recv()
        assert (step.kind[0] == Kind.LAST) == (tick == 300)
    assert step.reason[0] == Reason.TIMEOUT and step.discount[0] == 1.0 and step.reward[0] == 0.0


def test_expert_succeeds(make_env: MakeEnv, episodes: Episodes, expert: Callable[[int], Policy]) -> None:
    results = episodes(make_env(50), expert(50), start=0, count=100)
    assert np.mean([success for success, _ in results.values()]) >= 0.95


def test_expert_is_a_function_of_the_seed(
    make_env: MakeEnv, episodes: Episodes, expert: Callable[[int], Policy]
) -> None:
    def trajectory(n: int) -> list[np.ndarray]:
        seen: list[np.ndarray] = []

        def observe(step: Step, action: Action) -> None:
            if len(seen) < 60:
                seen.append(action.value[0].copy())

        episodes(make_env(n), expert(n), start=42, count=1 if n == 1 else n, observe=observe)
        return seen

    for a, b in zip(trajectory(1), trajectory(3), strict=False):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_random_actions_fail(make_env: MakeEnv, episodes: Episodes) -> None:
    env = make_env(64)
    results = episodes(env, Uniform(env.n, env.act_spec), start=0, count=64)
    assert np.mean([success for success, _ in results.values()]) <= 0.02
    assert all(reason == Reason.TIMEOUT for _, reason in results.values())
