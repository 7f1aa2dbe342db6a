"""go2/joystick and go2/push_recovery: resets, commands, pushes, verdicts, rewards, the expert and its noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.uniform import Uniform
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED, Action, Kind, Reason, Step
from sim.experts.trot import TrotExpert
from sim.legs import VELOCITY
from sim.models.go2 import HOME, TRUNK
from sim.poses import yaw_of
from sim.tasks.joystick import JoystickConfig
from sim.tasks.legged import make_rig
from tests.sim.go2 import CASES, GO2, Case, expert, robot, still

Episodes = Callable[..., dict[int, tuple[int, int]]]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def command(step: Step) -> np.ndarray:
    """(N, 3)."""
    return np.concatenate([step.obs["command_velocity"], step.obs["command_turn"]], axis=1)


def glide(env: RigEnv, velocity: np.ndarray) -> None:
    """Give every trunk the planar velocities (N, 3), seen from its heading, and the pose of an episode's beginning."""
    world = env.rig.world
    yaw = yaw_of(world.qpos[:, 3:7])
    cos, sin = np.cos(yaw), np.sin(yaw)
    world.qpos[:, 2] = world.model.key(HOME).qpos[2]
    world.qvel[:] = 0.0
    world.qvel[:, 0] = cos * velocity[:, 0] - sin * velocity[:, 1]
    world.qvel[:, 1] = sin * velocity[:, 0] + cos * velocity[:, 1]
    world.qvel[:, 5] = velocity[:, 2]


def test_resets_lie_in_the_declared_distribution(case: Case) -> None:
    env = case.env(1000)
    obs = env.reset(np.ones(1000, bool), Seeds(0)).obs
    pose = obs[f"{PRIVILEGED}{TRUNK}_pose"]
    height = env.rig.world.model.key(HOME).qpos[2]
    np.testing.assert_allclose(pose[:, :3], np.tile([0, 0, height], (1000, 1)), atol=1e-6)
    yaw = yaw_of(pose[:, 3:])
    assert yaw.min() < -3.1 and yaw.max() > 3.1 and abs(yaw.mean()) < 0.2
    np.testing.assert_allclose(obs["joint_position"], np.tile(robot().array("home"), (1000, 1)), atol=1e-6)
    assert not obs["joint_velocity"].any() and not obs[VELOCITY].any()
    env.close()


def test_twenty_random_episodes_stay_whole(case: Case, episodes: Episodes) -> None:
    """Nothing that is not a number; joint limits are kept but for the give of MuJoCo's soft constraints."""
    env, past = case.env(20), 0.0
    low, high = robot().array("low"), robot().array("high")

    def look(step: Step, action: Action) -> None:
        nonlocal past
        env.obs_spec.validate({key: step.obs[key] for key in env.obs_spec}, 20)
        q = env.rig.world.qpos[:, 7:]
        past = max(past, float(np.maximum(low - q, q - high).max()))

    results = episodes(env, Uniform(20, env.act_spec), 0, 20, look)
    assert {reason for _, reason in results.values()} == {Reason.FAILURE}
    assert past < 0.2


def test_a_robot_that_stands_does_not_drift(case: Case) -> None:
    env = case.env(8)
    step = env.reset(np.ones(8, bool), Seeds(500))
    for _ in range(45):  # no push begins before
        step = still(env, step)
    assert np.hypot(*env.rig.world.qpos[:, :2].T).max() < 0.03
    assert env.task.trunk.upright.min() > 0.999 and env.task.trunk.height.min() > 0.3
    env.close()


def test_commands_lie_in_their_ranges_and_last() -> None:
    c, rows = JoystickConfig(), 400
    env = CASES["joystick"].env(rows)
    step = env.reset(np.ones(rows, bool), Seeds(0))
    seen = [command(step)]
    for tick in range(1, 130):
        glide(env, np.zeros((rows, 3)))
        step = still(env, step)
        seen.append(command(step))
        assert np.array_equal(seen[-1], seen[-2]) == (tick != 125)
    both = np.concatenate([seen[0], seen[-1]])
    moving = both[np.abs(both).sum(axis=1) > 0]
    assert 0.15 < 1 - len(moving) / len(both) < 0.25  # one in five is to stand
    assert (moving >= c.low).all() and (moving <= c.high).all()
    np.testing.assert_allclose(moving.min(axis=0), c.low, atol=0.05)
    np.testing.assert_allclose(moving.max(axis=0), c.high, atol=0.05)
    env.close()


@pytest.mark.parametrize(("away", "wins"), [((0.19, 0, 0), True), ((0, 0.21, 0), False), ((0, 0, 0.31), False)])
def test_success_is_to_track(away: tuple[float, float, float], wins: bool) -> None:
    """A filtered velocity that is off by `away` while it counts, and by anything in the second after a command."""
    env = CASES["joystick"].env(2)
    env.reset(np.ones(2, bool), Seeds(3))
    for tick in range(1, 501):
        env.rig.world.tick[:] = tick
        env.task.velocity[:] = env.task.command() + (away if tick % 125 >= 50 else 9.0)
        env.task.watch()
    assert (env.task.solved() == wins).all()
    env.close()


def test_velocity_is_seen_from_the_heading_and_filtered() -> None:
    env, wanted = CASES["joystick"].env(50), np.tile([0.4, -0.2, 0.5], (50, 1))
    step = env.reset(np.ones(50, bool), Seeds(0))
    glide(env, wanted)
    np.testing.assert_allclose(env.task.trunk.planar(env.task.trunk.upright), wanted, atol=1e-9)
    env.task.judge(step.obs, step.applied)
    np.testing.assert_allclose(env.task.velocity, wanted * (1 - np.exp(-0.02 / 0.25)), atol=1e-9)
    env.close()


def test_success_takes_its_share_of_the_time() -> None:
    env = CASES["joystick"].env(1)
    env.reset(np.ones(1, bool), Seeds(0))
    for tracked, wanted in ((79, False), (80, True)):
        env.task._counted[:], env.task._tracked[:] = 100, tracked
        assert bool(env.task.solved()[0]) is wanted
    env.close()


def test_pushes_are_as_strong_and_as_long_as_declared() -> None:
    c, rows = CASES["push_recovery"].config, 50
    env = CASES["push_recovery"].env(rows)
    step, world = env.reset(np.ones(rows, bool), Seeds(0)), env.rig.world
    body = world.model.body(TRUNK).id
    force = []
    for _ in range(490):
        glide(env, np.zeros((rows, 3)))
        world.qpos[:, 3:7] = [1, 0, 0, 0]
        step = still(env, step)
        force.append(world.batch.bind("xfrc_applied")[:, body].copy())
    env.close()
    pushes = np.array(force)
    size = np.linalg.norm(pushes, axis=2)
    assert not pushes[..., 2:].any()  # horizontal, at the centre of mass
    strong = size[size > 0]
    assert strong.min() >= c.force[0] and strong.max() <= c.force[1]
    start = (size[1:] > 0) & (size[:-1] == 0)
    assert (start.sum(axis=0) == 3).all() and ((size > 0).sum(axis=0) == 3 * 10).all()
    when = np.array([np.flatnonzero(start[:, row]) for row in range(rows)]) * world.dt
    for column, (early, late) in enumerate(c.pushes):
        assert when[:, column].min() >= early - 0.05 and when[:, column].max() <= late + 0.05
    angle = np.arctan2(pushes[..., 1], pushes[..., 0])[1:][start]
    assert np.abs(np.exp(1j * angle).mean()) < 0.2  # from all sides


def test_a_push_does_not_outlast_its_episode() -> None:
    env = CASES["push_recovery"].env(1)
    step = env.reset(np.ones(1, bool), Seeds(0))
    while not env.task._applied.any():
        step = still(env, step)
    env.reset(np.ones(1, bool), Seeds(5))
    assert not env.task._applied.any()
    env.close()


def test_a_tilt_is_a_fall(case: Case) -> None:
    for tilt, falls in ((0.97, False), (1.03, True)):
        env = case.env(1)
        step = env.reset(np.ones(1, bool), Seeds(0))
        env.rig.world.qpos[:, 2:7] = [1.0, np.cos(tilt / 2), np.sin(tilt / 2), 0.0, 0.0]  # in the air: nothing turns it
        step = still(env, step)
        assert (step.kind[0] == Kind.LAST) is np.bool_(falls)
        if falls:
            assert step.reason[0] == Reason.FAILURE and step.discount[0] == 0.0 and step.reward[0] == 0.0
        env.close()


def test_the_limit_truncates_who_did_not_do_it() -> None:
    env = CASES["joystick"].env(1, limit=2.0, near=(0.001, 0.001))
    step = env.reset(np.ones(1, bool), Seeds(0))
    for tick in range(1, 101):
        step = still(env, step)
        assert (step.kind[0] == Kind.LAST) == (tick == 100)
    assert step.reason[0] == Reason.TIMEOUT and step.discount[0] == 1.0 and step.reward[0] == 0.0
    env.close()


def test_expert_succeeds(case: Case, episodes: Episodes) -> None:
    results = episodes(case.env(50), expert(50), start=0, count=50)
    assert np.mean([success for success, _ in results.values()]) >= 0.95


def test_random_actions_fail(case: Case, episodes: Episodes) -> None:
    env = case.env(50)
    results = episodes(env, Uniform(env.n, env.act_spec), start=0, count=100)
    assert np.mean([success for success, _ in results.values()]) <= 0.02


def test_holding_still_does_not_withstand_the_pushes() -> None:
    env = CASES["push_recovery"].env(50)
    step, fallen = env.reset(np.ones(50, bool), Seeds(0, 50)), 0
    while not step.exhausted:
        step = still(env, step)
        fallen += int((step.reason[step.last] == Reason.FAILURE).sum())
    assert fallen >= 45
    env.close()


def test_the_expert_stands_trots_and_follows_for_a_minute(episodes: Episodes) -> None:
    results = episodes(CASES["joystick"].env(10, limit=60.0), expert(10), start=0, count=10)
    assert all(success for success, _ in results.values())


@pytest.mark.parametrize("randomise", ["none", "train"])
def test_the_expert_walks_with_real_motors(episodes: Episodes, randomise: str) -> None:
    env = CASES["joystick"].env(20, servo="real", randomise=randomise)
    results = episodes(env, expert(20), start=0, count=20)
    assert np.mean([success for success, _ in results.values()]) >= 0.9


def test_the_expert_stands_still_when_told_to() -> None:
    """No foot leaves the floor, and the phase stays between two steps."""
    env, policy = CASES["push_recovery"].env(4), expert(4)
    step = env.reset(np.ones(4, bool), Seeds(0))
    policy.reset(step.first, step.seed)
    for _ in range(45):
        env.send(policy.act(step.obs).value)
        step = env.recv()
    assert (step.obs["foot_force"] > 5.0).all() and not policy.state()["steps"].any()
    env.close()


def test_the_disturbance_has_no_bias() -> None:
    policy, n, course = expert(200), 200, []
    policy.reset(np.ones(n, bool), np.arange(n))
    for _ in range(60):
        policy._disturb()
        course.append(policy.state()["noise"])
    values, sigma = np.array(course), policy.config.noise
    assert np.abs(values.mean(axis=(0, 1))).max() < 0.15 * sigma
    np.testing.assert_allclose(values[20:].std(axis=(0, 1)), sigma, rtol=0.1)
    assert len(np.unique(policy.state()["stride"])) == n


def test_shaped_reward_adds_what_is_done_well(case: Case, episodes: Episodes) -> None:
    rewards: dict[str, np.ndarray] = {}
    for reward in ("sparse", "shaped"):
        seen: list[np.ndarray] = []
        env = case.env(1, reward=reward)
        episodes(env, expert(1), 0, 1, lambda step, _, seen=seen: seen.append(step.reward[step.kind <= Kind.LAST]))
        rewards[reward] = np.concatenate(seen)[1:]
    assert rewards["sparse"][-1] == 1.0 and not rewards["sparse"][:-1].any()
    more = rewards["shaped"] - rewards["sparse"]
    assert (more > 0.0).all() and (more <= sum(env.task.weights.values()) + 1e-6).all()


def test_every_term_has_a_weight(case: Case) -> None:
    env = case.env(2)
    env.reset(np.ones(2, bool), Seeds(0))
    terms = env.task.terms()
    assert terms.keys() == env.task.weights.keys()
    assert all(((value >= 0) & (value <= 1)).all() and value.shape == (2,) for value in terms.values())
    env.close()


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match=r"task\.reward=dense: unknown; valid choices: shaped, sparse"):
        JoystickConfig(reward="dense")
    with pytest.raises(UserError, match=r"task\.rig\.servo=best: unknown; valid choices: ideal, real"):
        make_rig(GO2, 1, JoystickConfig(), servo="best")


def test_the_expert_needs_legs() -> None:
    with pytest.raises(ValueError, match="not of hip, thigh and calf"):
        TrotExpert(1, GO2.with_name("so101.yaml"))
