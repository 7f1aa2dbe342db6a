"""Cameras: what they see, when, and that it is a function of state and seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from robo_rl.adapt.gymnasium_out import GymnasiumEnv, GymnasiumVectorEnv
from robo_rl.adapt.sb3 import Sb3VecEnv
from robo_rl.app.build import make_env as build
from robo_rl.app.compose import compose
from robo_rl.cameras import Camera, spec_of
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Step
from sim import render
from sim.cameras import Cameras, render_size
from sim.looks import KEY, PRESETS
from tests.contract.env import EnvContract

FRONT, WRIST = "camera/front", "camera/wrist"


def make_env(n: int, *changes: str, cameras: str = "front,wrist", task: str = "so101/lift") -> Any:
    config = compose("record", [f"task={task}", f"task.rig.cameras=[{cameras}]", *changes])
    return build(config.task, config.robot, n, nthread=1)


def begin(env: RigEnv, seed: int = 0) -> Step:
    return env.reset(np.ones(env.n, bool), Seeds(seed))


def still(env: RigEnv, step: Step) -> Step:
    env.send(step.obs["applied"])
    return env.recv()


class TestCameraEnv(EnvContract):
    """Episodes are cut short."""

    sizes = (2,)
    ticks = 24

    def make(self, n: int) -> RigEnv:
        return make_env(n, "task.task.config.limit=0.3", "task.rig.randomise=train", cameras="wrist")


def expected_pixel(env: RigEnv, camera: str, point: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Column and row [px] of a point in a picture of `size`, and its distance along the optical axis [m]."""
    model, data = env.rig.world.model, env.rig.world.batch.get_data(0)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    local = data.camera(camera).xmat.reshape(3, 3).T @ (point - data.camera(camera).xpos)
    focal = 0.5 / np.tan(np.radians(float(model.camera(camera).fovy[0])) / 2)  # in heights
    width, height = size
    place = np.array([0.5 + focal * 3 / 4 * local[0] / -local[2], 0.5 - focal * local[1] / -local[2]])  # of 4:3
    return place * [width, height], float(-local[2])


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_a_cube_is_seen_where_it_is_in_its_colour(camera: str) -> None:
    env = make_env(1)
    step = begin(env, 3)
    if camera == "wrist":  # under the gripper
        env.rig.world.qpos[0, 6:9] = step.obs["tool_pose"][0, :3] - [0.0, 0.0, 0.02]
    eye = Cameras(env.rig.world, [Camera(camera, 160, 120, depth=True)])
    obs, _ = eye.read()
    picture = obs[f"camera/{camera}"][0].astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    rows, columns = np.nonzero((red > 2 * green) & (red > 2 * blue))
    assert len(rows) > 8
    middle, distance = expected_pixel(env, camera, env.rig.world.qpos[0, 6:9], (160, 120))
    assert np.abs([columns.mean() + 0.5, rows.mean() + 0.5] - middle).max() < 4.0
    seen = obs[f"depth/{camera}"][0][rows, columns]
    assert seen.dtype == np.uint16 and abs(np.median(seen) / 1000 - distance) < 0.018  # half a diagonal of the cube
    env.close()


def test_a_picture_is_a_function_of_state_and_seed() -> None:
    """Not of its row, of how many rows there are, or of the episode before."""

    def course(env: RigEnv, seed: int, row: int) -> list[np.ndarray]:
        step, seen = begin(env, seed), []
        for tick in range(5):
            seen += [step.obs[FRONT][row], step.obs[WRIST][row]]
            env.send(step.obs["applied"] + np.float32(0.05 * tick))
            step = env.recv()
        return seen

    varied = "task.rig.randomise=test"
    alone, many, used = make_env(1, varied), make_env(4, varied), make_env(1, varied)
    course(used, 77, 0)
    pictures = course(alone, 5, 0)
    for a, b, c in zip(pictures, course(many, 2, 3), course(used, 5, 0), strict=True):
        assert np.array_equal(a, b) and np.array_equal(a, c)
    assert not np.array_equal(pictures[0], pictures[-2])


@pytest.mark.parametrize(("task", "cameras"), [
    ("koch/lift", "front,side,wrist"), ("ur5e/lift", "wide,wrist"), ("so101_pair/handover", "left/wrist,right/wrist"),
    ("go2/push_recovery", "head"),
])  # fmt: skip
def test_every_robot_has_cameras_that_see_its_state_and_seed(task: str, cameras: str) -> None:
    """The same picture for the same seed in another row; another one once the robot has moved."""
    alone, many = make_env(1, task=task, cameras=cameras), make_env(3, task=task, cameras=cameras)
    one, three = begin(alone, 6), begin(many, 4)
    keys = [f"camera/{name}" for name in cameras.split(",")]
    assert keys == [key for key in one.obs if key.startswith("camera/")]
    for key in keys:
        assert one.obs[key][0].std() > 10 and np.array_equal(one.obs[key][0], three.obs[key][2])
    before = one
    for _ in range(4):
        alone.send(one.obs["applied"] + np.float32(0.1))
        one = alone.recv()
    assert all(not np.array_equal(one.obs[key], before.obs[key]) for key in keys)
    alone.close(), many.close()


def test_a_loaded_state_shows_the_same_picture_in_another_row() -> None:
    env = make_env(2, "task.rig.randomise=train")
    step = begin(env)
    for _ in range(3):
        step = still(env, step)
    env.rig.load_state(np.array([1]), env.rig.save_state(np.array([0])))
    obs, _ = env.rig.read()
    assert not np.array_equal(step.obs[WRIST][0], step.obs[WRIST][1])
    assert np.array_equal(obs[WRIST][0], obs[WRIST][1]) and np.array_equal(obs[WRIST][0], step.obs[WRIST][0])
    env.close()


@pytest.mark.parametrize(("rate", "stamps"), [(10.0, [0, 0, 0, 3, 3, 3, 6]), (20.0, [0, 0, 2, 3, 3, 5, 6]),
                                              (60.0, [0, 1, 2, 3, 4, 5, 6])])  # fmt: skip
def test_frames_come_at_the_cameras_own_rate(rate: float, stamps: list[int]) -> None:
    """Stamped with the tick of their capture; what was handed out is not written to."""
    env = make_env(2)
    step, eye, kept = begin(env), Cameras(env.rig.world, [Camera("wrist", rate=rate)]), []
    for tick in range(7):
        obs, stamp = eye.read()
        assert np.allclose(stamp[WRIST], stamps[tick] * env.dt)
        kept.append((obs[WRIST], obs[WRIST].copy()))
        env.send(step.obs["applied"] + np.float32(0.1))
        env.recv()
    assert all(np.array_equal(shown, copy) for shown, copy in kept)
    changed = [not np.array_equal(a[1], b[1]) for a, b in zip(kept, kept[1:], strict=False)]
    assert changed == [a != b for a, b in zip(stamps, stamps[1:], strict=False)]
    env.close()


def test_a_row_that_is_reset_shows_its_new_episode_at_once() -> None:
    env = make_env(2)
    step = begin(env)
    for _ in range(2):
        step = still(env, step)
    after = env.reset(np.array([False, True]), Seeds(9))
    assert np.array_equal(after.obs[FRONT][0], step.obs[FRONT][0])
    assert not np.array_equal(after.obs[FRONT][1], step.obs[FRONT][1])
    assert after.stamp[FRONT].tolist() == [2 * env.dt, 0.0]
    env.close()


def test_the_spec_is_what_a_physical_camera_would_have() -> None:
    env = make_env(1)
    expected = spec_of([Camera("front"), Camera("wrist")])
    assert {key: env.obs_spec[key] for key in expected} == dict(expected)
    assert env.obs_spec[FRONT].shape == (84, 84, 3) and env.obs_spec[FRONT].dtype == "uint8"
    without = make_env(1, cameras="").obs_spec
    assert (without | expected).diff(env.obs_spec) == [] and without.vector_size == env.obs_spec.vector_size
    env.close()


@pytest.mark.parametrize("camera", [Camera("a"), Camera("a", 320, 240), Camera("a", 1280, 960), Camera("a", 20, 60)])
def test_it_is_rendered_with_the_devices_proportions(camera: Camera) -> None:
    width, height = render_size(camera)
    assert abs(width * 480 / 640 - height) <= 1 and width <= 640
    picture = camera.resize(np.full((height, width, 3), 7, np.uint8))
    assert picture.shape == camera.spec["camera/a"].shape and (picture == 7).all()


def test_looks_lie_in_their_ranges_and_change_the_pictures() -> None:
    env = make_env(300, "task.rig.randomise=train", cameras="wrist")
    looks = next(sensor for sensor in env.rig.privileged_sensors if KEY in sensor.obs_spec)
    env.rig.world.reset(np.ones(300, bool), np.arange(300))
    drawn, feature = looks.read()[0][KEY], looks.obs_spec[KEY]
    assert (np.abs(drawn) <= feature.high + 1e-6).all() and (drawn.max(0) > 0.9 * feature.high).all()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(drawn.shape[1])).max() < 0.3
    position = drawn[:, [feature.names.index(f"wrist_{axis}") for axis in "xyz"]]
    look, model = PRESETS["train"], render.Painter(env.rig.world.model, 8, 8).model
    assert look is not None and np.abs(position).max() > 0.9 * look.position
    for row in (4, 9):
        looks.dress(model, row)
        wrist, base = model.camera("wrist"), env.rig.world.model.camera("wrist")
        np.testing.assert_allclose(wrist.pos - base.pos, position[row], atol=1e-7)
        turned = 2 * np.arccos(np.clip(abs(np.dot(wrist.quat, base.quat)), 0, 1))
        assert 0 < turned <= look.turn * np.sqrt(3) + 1e-6
        assert np.array_equal(model.camera("front").pos, env.rig.world.model.camera("front").pos)
        shade = model.geom_rgba[:, :3] / env.rig.world.model.geom_rgba[:, :3]
        assert np.abs(shade - 1).max() <= look.colour + 1e-6 and shade.std() > 0.01
    env.close()


def test_looks_are_privileged_and_only_there_with_cameras() -> None:
    plain, varied = make_env(2), make_env(2, "task.rig.randomise=train")
    blind = make_env(2, "task.rig.randomise=train", cameras="")
    assert plain.obs_spec.fingerprint() == varied.obs_spec.fingerprint()
    assert KEY.startswith(PRIVILEGED) and KEY in varied.rig.privileged() and KEY not in blind.rig.privileged()
    one, other = begin(plain), begin(varied)
    assert KEY not in one.obs and not np.array_equal(one.obs[FRONT], other.obs[FRONT])
    mass = varied.rig.world.expand("body_mass"), blind.rig.world.expand("body_mass")
    begin(blind)
    assert np.array_equal(*mass)  # the physics does not know about looks


def test_pictures_of_a_video_come_from_the_same_renderer() -> None:
    env = make_env(2)
    begin(env)
    camera = render.WorldRenderer(env.rig.world, 160, 120)
    now = camera.rows([0, 1])
    assert now.shape == (2, 120, 160, 3) and now.std() > 10 and not np.array_equal(now[0], now[1])
    assert np.array_equal(camera.states(env.rig.save_state(np.array([1])))[0], now[1])
    assert np.array_equal(render.render(env.rig.world, [0], 160, 120)[0], now[0])
    camera.close(), camera.close()
    env.close()


def test_an_unknown_camera_is_one_line() -> None:
    with pytest.raises(UserError, match=r"task\.rig\.cameras=top: unknown; valid choices: front, side, wrist"):
        make_env(1, cameras="top")


def test_a_machine_that_cannot_render_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(width: int, height: int) -> None:
        raise ImportError("Cannot initialize a EGL device display.\nThis likely means")

    monkeypatch.setattr(mujoco, "GLContext", broken)
    render._gl.cache_clear()
    try:
        with pytest.raises(UserError, match=r"no rendering here \(Cannot.*\); install libegl1") as error:
            make_env(1)
        assert "\n" not in str(error.value)
    finally:
        render._gl.cache_clear()


@pytest.mark.parametrize("adapter", [
    lambda env: check_env(GymnasiumEnv(env), skip_render_check=True),
    lambda env: sb3_check_env(GymnasiumEnv(env, flatten=True), warn=False),
])  # fmt: skip
def test_other_libraries_checkers_pass(adapter: Callable[[RigEnv], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|render|symmetric|flattened).*")
        adapter(make_env(1, "task.task.config.limit=0.3", cameras="wrist"))


def test_pictures_flow_through_vector_adapters() -> None:
    envs = GymnasiumVectorEnv(make_env(2, cameras="wrist"))
    obs, _ = envs.reset(seed=5)
    assert envs.observation_space.contains(obs) and obs[WRIST].shape == (2, 84, 84, 3)
    vec = Sb3VecEnv(make_env(2, "task.task.config.limit=0.1", cameras="wrist"), flatten=False)
    seen = vec.reset()
    for _ in range(4):
        seen, _, _, infos = vec.step(seen["applied"])
        if "terminal_observation" in infos[0]:
            break
    assert seen[WRIST].dtype == np.uint8 and infos[0]["terminal_observation"][WRIST].shape == (84, 84, 3)
    envs.close(), vec.close()
