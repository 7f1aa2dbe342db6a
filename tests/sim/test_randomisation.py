"""Randomisation: a function of the episode's seed, inside its ranges, and really in the physics."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Step
from sim.randomisation import KEY, MODEL_FIELDS, NAMES, PRESETS
from sim.tasks.lift import LiftConfig
from sim.tasks.table_top import build_model
from tests.sim.table_tasks import CASES


def make_env(n: int, randomise: str = "train", nthread: int = 1, **options: Any) -> RigEnv:
    return CASES["lift"].env(n, nthread, randomise=randomise, **options)


def begin(env: RigEnv, seed: int) -> Step:
    return env.reset(np.ones(env.n, bool), Seeds(seed))


@pytest.mark.parametrize("name", ["train", "test"])
def test_numbers_fill_their_ranges(name: str) -> None:
    env = make_env(500, name)
    drawn = begin(env, 0).obs[KEY]
    for column, field in enumerate(NAMES):
        low, high = getattr(PRESETS[name], field)
        assert low - 1e-6 <= drawn[:, column].min() < low + 0.05 * (high - low)
        assert high + 1e-6 >= drawn[:, column].max() > high - 0.05 * (high - low)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(len(NAMES))).max() < 0.2
    env.close()


def test_an_episode_is_a_function_of_its_seed() -> None:
    """Not of its row, of how many rows there are, of threads, or of the episode before."""

    def course(env: RigEnv, seed: int, row: int) -> list[dict[str, np.ndarray]]:
        step, seen = begin(env, seed), []
        for tick in range(40):
            seen.append({key: value[row].copy() for key, value in step.obs.items()})
            env.send(step.obs["applied"] + np.float32(0.04 * np.sin(0.3 * tick)))
            step = env.recv()
        return seen

    alone, many, used = make_env(1, servo="real"), make_env(8, nthread=2, servo="real"), make_env(1, servo="real")
    course(used, 77, 0)
    for a, b, c in zip(course(alone, 5, 0), course(many, 2, 3), course(used, 5, 0), strict=True):
        assert a.keys() == b.keys() and all(
            np.array_equal(a[key], b[key]) and np.array_equal(a[key], c[key]) for key in a
        )


def test_every_field_reaches_the_model(description: RobotDescription) -> None:
    env, base = make_env(3), build_model(description, LiftConfig())
    drawn = dict(zip(NAMES, begin(env, 0).obs[KEY].T.astype(float), strict=True))
    for row in range(3):
        model = env.rig.world.batch.get_model(row)
        for field, factor in MODEL_FIELDS.items():
            np.testing.assert_allclose(getattr(model, field), getattr(base, field) * drawn[factor][row], rtol=1e-6)
        expected = env.rig.world.batch.get_model(row)
        mujoco.mj_setConst(expected, mujoco.MjData(expected))
        np.testing.assert_allclose(model.body_subtreemass, expected.body_subtreemass, rtol=1e-9)
        np.testing.assert_allclose(model.dof_invweight0, expected.dof_invweight0, rtol=1e-9)
        servos = env.rig.robots[0].servos
        np.testing.assert_allclose(servos.kp[row], model.actuator_gainprm[:, 0])
        np.testing.assert_allclose(servos.torque[row], model.actuator_forcerange[:, 1])
        assert servos.latency[row] == pytest.approx(drawn["latency"][row], rel=1e-6)
    env.close()


def test_factors_are_of_the_model_not_of_the_last_draw() -> None:
    env = make_env(2)
    for seed in range(20):
        drawn = begin(env, 2 * seed).obs[KEY]
    mass = env.rig.world.expand("body_mass")
    np.testing.assert_allclose(mass, env.rig.world.model.body_mass * drawn[:, :1], rtol=1e-6)
    env.close()


def test_a_reset_leaves_the_other_rows() -> None:
    env = make_env(2)
    before = begin(env, 0).obs[KEY].copy()
    after = env.reset(np.array([False, True]), Seeds(9)).obs[KEY]
    assert np.array_equal(after[0], before[0]) and not np.array_equal(after[1], before[1])
    env.close()


def test_trackers_err_as_drawn() -> None:
    """The mean error over an episode is the bias, its spread the noise."""
    env = make_env(20)
    step, errors = begin(env, 0), []
    for _ in range(150):
        errors.append(step.obs["cube_pose"][:, :3] - step.obs[PRIVILEGED + "cube_pose"][:, :3])
        env.send(step.obs["applied"])
        step = env.recv()
    drawn = dict(zip(NAMES, step.obs[KEY].T, strict=True))
    bias = np.stack([drawn["bias_x"], drawn["bias_y"], drawn["bias_z"]], axis=1)
    assert np.abs(np.mean(errors, axis=0) - bias).max() < 5 * 0.0015 / np.sqrt(150)
    np.testing.assert_allclose(np.std(errors, axis=0).mean(axis=1), 0.001 * drawn["noise"], rtol=0.2)
    env.close()


def test_a_state_goes_to_another_row() -> None:
    """Physics, what is on its way to the servos, and the numbers that were drawn."""
    env = make_env(3, servo="real")
    step = begin(env, 0)
    live, rig = np.ones(3, bool), env.rig
    for tick in range(10):
        env.send(step.obs["applied"] + np.float32(0.03 * tick))
        env.recv()
    rig.load_state(np.array([2, 1]), rig.save_state(np.array([0, 1])))
    rig.write(np.tile(step.obs["applied"][:1], (3, 1)), live)
    for _ in range(5):
        rig.tick(live)
    state = rig.save_state(np.arange(3))
    assert np.array_equal(state[0], state[2]) and not np.array_equal(state[0], state[1])
    assert np.array_equal(rig.world.expand("body_mass")[0], rig.world.expand("body_mass")[2])
    env.close()


def test_the_experts_manage(episodes: Any) -> None:
    for randomise in ("train", "test"):
        results = episodes(make_env(30, randomise, servo="real"), CASES["lift"].expert(30), start=0, count=30)
        assert np.mean([success for success, _ in results.values()]) >= 0.8


def test_none_adds_nothing() -> None:
    plain = make_env(1, "none")
    assert KEY not in begin(plain, 0).obs and plain.rig.robots[0].servos is None
    varied = make_env(1, "train")
    assert plain.obs_spec.fingerprint() == varied.obs_spec.fingerprint()
    (varied.obs_spec | varied.rig.privileged()).validate(begin(varied, 0).obs, 1)


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(UserError, match=r"task\.rig\.randomise=wild: unknown; valid choices: none, test, train"):
        make_env(1, "wild")
