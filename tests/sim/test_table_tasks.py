"""so101/lift, pick_place, stack, open_drawer: resets, verdicts, rewards, the experts and the noise that is none."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from benchmarks.uniform import Uniform
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Kind, Reason, Step
from sim.poses import Slider, yaw_of
from sim.tasks.lift import LiftConfig
from tests.sim.table_tasks import CASES, Case

Episodes = Callable[..., dict[int, tuple[int, int]]]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def still(env: RigEnv, step: Step) -> Step:
    """One tick of standing still."""
    env.send(step.obs["applied"])
    return env.recv()


def test_resets_lie_in_the_declared_regions(case: Case) -> None:
    env = case.env(1000)
    obs = env.reset(np.ones(1000, bool), Seeds(0)).obs
    for body, place in case.config.places().items():
        pose = obs[f"{PRIVILEGED}{body}_pose"]
        away, turn = np.abs(pose[:, :2] - place.centre), np.abs(yaw_of(pose[:, 3:]))
        assert (away <= np.array(place.region) / 2 + 1e-6).all() and (turn <= place.yaw + 1e-6).all()
        assert (away.max(axis=0) > 0.45 * np.array(place.region)).all() and turn.max() > 0.9 * place.yaw
        assert np.allclose(pose[:, 2], place.height, atol=1e-6)
    env.close()


def test_nothing_overlaps_or_moves_after_a_reset(case: Case) -> None:
    env = case.env(64)
    step = env.reset(np.ones(64, bool), Seeds(500))
    before = step.obs
    for _ in range(15):
        step = still(env, step)
    for body in case.config.bodies:
        moved = step.obs[f"{PRIVILEGED}{body}_pose"] - before[f"{PRIVILEGED}{body}_pose"]
        assert np.abs(moved[:, :3]).max() < 5e-4
    env.close()


def test_success_takes_five_ticks_in_a_row(case: Case) -> None:
    env = case.env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    kinds = []
    for tick in range(11):
        env.rig.world.qvel[:] = 0.0
        case.move(env.rig.world, case.config, 0.02 if tick == 4 else -0.008)  # a tick without it starts the count again
        step = still(env, step)
        kinds.append(int(step.kind[0]))
        if step.last[0]:
            break
    assert kinds == [Kind.MID] * 9 + [Kind.LAST]
    assert step.reason[0] == Reason.SUCCESS and step.reward[0] == 1.0 and step.discount[0] == 0.0
    env.close()


def test_the_condition_ends_where_it_says(case: Case) -> None:
    env = case.env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    for miss, expected in ((-1e-5, True), (0.001, False)):
        case.move(env.rig.world, case.config, miss)
        assert bool(env.task.solved(step.obs)[0]) is expected
    env.close()


@pytest.mark.parametrize("name", ["pick_place", "stack"])
def test_a_held_cube_is_not_placed(name: str) -> None:
    case, near = CASES[name], dict[str, np.ndarray]()
    env = case.env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    case.move(env.rig.world, case.config, -0.002)
    cube = env.rig.world.qpos[:, 6:9]
    for distance, expected in ((0.0349, False), (0.0351, True)):
        near["tool_pose"] = step.obs["tool_pose"].copy()
        near["tool_pose"][:, :3] = cube + [0.0, 0.0, distance]
        assert bool(env.task.solved(near)[0]) is expected
    env.close()


def test_the_limit_truncates(case: Case) -> None:
    env = case.env(1, limit=1.0)
    step = env.reset(np.ones(1, bool), Seeds(0))
    for tick in range(1, 31):
        step = still(env, step)
        assert (step.kind[0] == Kind.LAST) == (tick == 30)
    assert step.reason[0] == Reason.TIMEOUT and step.discount[0] == 1.0 and step.reward[0] == 0.0
    env.close()


def test_expert_succeeds(case: Case, episodes: Episodes) -> None:
    results = episodes(case.env(50), case.expert(50), start=0, count=100)
    assert np.mean([success for success, _ in results.values()]) >= 0.95


def test_random_actions_fail(case: Case, episodes: Episodes) -> None:
    env = case.env(50)
    results = episodes(env, Uniform(env.n, env.act_spec), start=0, count=50)
    assert np.mean([success for success, _ in results.values()]) <= 0.02


def test_the_disturbance_has_no_bias(case: Case) -> None:
    """Its disturbance has mean zero over an episode's ticks, and another course in every episode."""
    expert, n = case.expert(200), 200
    expert.reset(np.ones(n, bool), np.arange(n))
    course = []
    for _ in range(60):
        expert._disturb()
        course.append(expert._noise.copy())
    values = np.array(course)
    sigma = expert.config.noise
    assert np.abs(values.mean(axis=(0, 1))).max() < 0.15 * sigma
    np.testing.assert_allclose(values[20:].std(axis=(0, 1)), sigma, rtol=0.1)
    assert len(np.unique(expert._pace)) == n


def test_shaped_reward_is_a_shortfall(case: Case, episodes: Episodes) -> None:
    """Below zero until success, less so towards the end, and the sparse one on top."""
    rewards: dict[str, list[np.ndarray]] = {}
    for reward in ("sparse", "shaped"):
        seen: list[np.ndarray] = []
        env = case.env(1, reward=reward)
        episodes(env, case.expert(1), 0, 1, lambda step, _: seen.append(step.reward[step.kind <= Kind.LAST]))
        rewards[reward] = np.concatenate(seen)[1:]
    sparse, shaped = rewards["sparse"], rewards["shaped"]
    assert sparse[-1] == 1.0 and not sparse[:-1].any()
    shortfall = shaped - sparse
    assert (shortfall <= 0.0).all() and (shortfall >= -sum(env.task.weights.values()) - 1e-6).all()
    assert shortfall[-1] > 0.5 * shortfall[0] and shortfall[:10].mean() < shortfall[-10:].mean()


def test_every_term_has_a_weight(case: Case) -> None:
    env = case.env(2)
    step = env.reset(np.ones(2, bool), Seeds(0))
    terms = env.task.terms(step.obs)
    assert terms.keys() == env.task.weights.keys()
    assert all(((value >= 0) & (value <= 1)).all() and value.shape == (2,) for value in terms.values())
    env.close()


def test_an_unknown_reward_is_one_line() -> None:
    with pytest.raises(UserError, match=r"task\.reward=dense: unknown; valid choices: shaped, sparse"):
        LiftConfig(reward="dense")


def test_the_drawer_is_tracked_where_it_is() -> None:
    env = CASES["open_drawer"].env(3)
    env.reset(np.ones(3, bool), Seeds(0))
    world = env.rig.world
    Slider(world, "drawer").travel[:] = [0.0, 0.02, 0.06]
    obs, _ = env.rig.read()
    for row in range(3):
        data = world.batch.get_data(row)
        mujoco.mj_kinematics(world.model, data)
        body = data.body("drawer")
        np.testing.assert_allclose(obs[PRIVILEGED + "drawer_pose"][row], [*body.xpos, *body.xquat], atol=1e-6)
    env.close()
