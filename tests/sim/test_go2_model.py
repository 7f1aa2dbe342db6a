"""The Go2's model against published facts and closed forms: mass, reach, PD at the motor, what its sensors say."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robo_rl.legged import without_heading
from robo_rl.seeds import Seeds
from robo_rl.types import Reason
from sim.experts.legs import Legs
from sim.legs import QUIET
from sim.models.go2 import HOME, TRUNK
from sim.servo import ServoDetails, Servos
from sim.tasks.legged import build_model
from sim.world import World
from tests.sim.go2 import CASES, robot, still

G = 9.81  # [m/s2]
ONE = np.ones(1, bool)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model(robot(), "go2/test")


def floating(model: mujoco.MjModel) -> World:
    """One robot without weight, far above the floor, at its home pose."""
    model.opt.gravity[:] = 0.0
    world = World(model, 1, robot().dt, 1)
    world.reset(ONE, np.zeros(1, np.int64))
    world.qpos[:, 2], world.qpos[:, 7:] = 10.0, robot().array("home")
    world.ctrl[:] = robot().array("home")
    return world


def test_joints_are_in_the_order_of_the_low_level_interface(model: mujoco.MjModel) -> None:
    wanted = [f"{leg}_{joint}" for leg in ("FR", "FL", "RR", "RL") for joint in ("hip", "thigh", "calf")]
    assert list(robot().names) == wanted == [model.actuator(index).name for index in range(12)]
    assert wanted == [model.joint(index + 1).name for index in range(12)]


def test_it_weighs_what_it_should_and_is_symmetric(model: mujoco.MjModel) -> None:
    assert model.body_mass.sum() == pytest.approx(15.1, abs=0.1)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key(HOME).id)
    mujoco.mj_forward(model, data)
    assert abs(data.body(TRUNK).xpos[1] - data.subtree_com[0, 1]) < 1e-3
    feet = {foot: data.geom(f"{foot}_foot").xpos for foot in ("FR", "FL", "RR", "RL")}
    for right, left in (("FR", "FL"), ("RR", "RL")):
        np.testing.assert_allclose(feet[right] * [1, -1, 1], feet[left], atol=1e-9)
    assert min(foot[2] for foot in feet.values()) == pytest.approx(0.022, abs=1e-9)  # they just touch the floor


def test_the_legs_kinematics_are_the_models(model: mujoco.MjModel) -> None:
    legs, data = Legs(robot()), mujoco.MjData(model)
    q = np.random.default_rng(0).uniform(robot().array("low"), robot().array("high"), (50, 12))
    found = legs.feet(q.reshape(-1, 4, 3))
    for angles, feet in zip(q, found, strict=True):
        data.qpos[:7], data.qpos[7:] = [0, 0, 0, 1, 0, 0, 0], angles
        mujoco.mj_kinematics(model, data)
        truth = [data.geom(f"{foot}_foot").xpos for foot in ("FR", "FL", "RR", "RL")]
        np.testing.assert_allclose(feet, truth, atol=1e-9)


def test_the_inverse_leads_back(model: mujoco.MjModel) -> None:
    legs, spread = Legs(robot()), np.tile([0.5, 0.6, 0.4], (4, 1))
    q = robot().array("home").reshape(4, 3) + spread * np.random.default_rng(1).uniform(-1, 1, (200, 4, 3))
    np.testing.assert_allclose(legs.inverse(legs.feet(q)), q, atol=1e-6)


def test_torques_that_hold_a_force_do_its_work(model: mujoco.MjModel) -> None:
    """Virtual work: tau dq + F dz = 0."""
    legs, rng = Legs(robot()), np.random.default_rng(2)
    q, lift, step = robot().array("home").reshape(1, 4, 3), rng.uniform(10, 80, (1, 4)), 1e-6
    torque = legs.torque(q, lift)
    for joint in range(3):
        dq = np.zeros((4, 3))
        dq[:, joint] = step
        rise = (legs.feet(q + dq) - legs.feet(q - dq))[..., 2] / (2 * step)
        np.testing.assert_allclose(torque[..., joint], -lift * rise, atol=1e-5)


def test_pd_at_the_motor_and_its_torque_limit() -> None:
    model = build_model(robot(), "go2/test")
    world, servo, limit = floating(model), robot().model["servo"], robot().array("max_torque")
    force = world.batch.bind("actuator_force")
    step = np.random.default_rng(3).uniform(-0.9, 0.9, 12)
    world.ctrl[:] += step
    saturated = set()
    for _ in range(20):
        before, speed = world.qpos[0, 7:].copy(), world.qvel[0, 6:].copy()
        world.batch.step(None, nstep=1)
        wanted = servo["kp"] * (world.ctrl[0] - before) - servo["kd"] * speed
        saturated |= set(np.flatnonzero(np.abs(wanted) > limit))
        np.testing.assert_allclose(force[0], np.clip(wanted, -limit, limit), atol=1e-6)
    assert saturated and len(saturated) < 12


def test_torque_falls_with_speed_where_the_motor_is_real() -> None:
    description = robot()
    servos = Servos(description, ServoDetails.of(description), 1, 5)
    servo, top = description.model["servo"], np.array(description.model["servo_details"]["no_load_speed"])
    servos.home(ONE, description.array("home"))
    servos.command(description.array("home")[None] + 10.0, ONE)  # far away: as much torque as there is
    for share in (0.0, 0.5, 1.0):
        speed, position = share * top, description.array("home")
        ctrl = servos.drive(0, position[None], speed[None])[0]
        torque = servo["kp"] * (ctrl - position) - servo["kd"] * speed  # what the model's motor makes of it
        np.testing.assert_allclose(torque, (1.0 - share) * description.array("max_torque"), atol=1e-9)


def test_at_rest_the_sensors_say_so() -> None:
    env = CASES["joystick"].env(2, noise=QUIET)
    step = env.reset(np.ones(2, bool), Seeds(0))
    for _ in range(100):
        step = still(env, step)
    np.testing.assert_allclose(step.obs["accelerometer"], [[0, 0, G]] * 2, atol=0.6)
    np.testing.assert_allclose(np.linalg.norm(step.obs["accelerometer"], axis=1), G, atol=0.05)
    np.testing.assert_allclose(step.obs["gyroscope"], 0.0, atol=0.02)
    weight = G * env.rig.world.model.body_mass.sum()
    np.testing.assert_allclose(step.obs["foot_force"].sum(axis=1), weight, rtol=0.01)
    assert (step.obs["foot_force"] > 0.15 * weight).all()
    assert not env.task.trunk.touches.any()
    env.close()


def test_the_first_reading_is_of_the_new_episode() -> None:
    """Forces and accelerations of a row that begins are not those of the episode before; the state is left alone."""
    env = CASES["joystick"].env(2, noise=QUIET)
    step = env.reset(np.ones(2, bool), Seeds(0))
    first = {key: value.copy() for key, value in step.obs.items()}
    for _ in range(5):
        env.send(np.zeros((2, 12), np.float32))
        env.recv()
    before = env.rig.save_state(np.arange(1))
    again = env.reset(np.array([False, True]), Seeds(1, 1))
    assert np.array_equal(env.rig.save_state(np.arange(1)), before)
    for key in ("accelerometer", "foot_force", "imu_quaternion"):
        assert np.array_equal(again.obs[key][1], first[key][1]), key
    env.close()


def test_a_trunk_on_the_floor_is_a_fall() -> None:
    """Legs folded and turned outwards let it down."""
    env, steps = CASES["joystick"].env(1), 0
    step = env.reset(ONE, Seeds(0))
    outwards = np.tile([[-1.04, 1.5, -2.7], [1.04, 1.5, -2.7]], (2, 1)).reshape(1, 12).astype(np.float32)
    while not step.last[0] and steps < 100:
        assert not env.task.trunk.touches[0]
        env.send(outwards)
        step, steps = env.recv(), steps + 1
    assert env.task.trunk.touches[0] and env.task.trunk.upright[0] > 0.9
    assert step.reason[0] == Reason.FAILURE and step.discount[0] == 0.0
    env.close()


def test_heading_is_taken_out() -> None:
    """What is left turns the trunk's z axis to the same tilt, whatever the heading was."""
    tilt = Rotation.from_rotvec([0.3, -0.5, 0.0])
    for yaw in np.linspace(-3.1, 3.1, 9):
        whole = (Rotation.from_rotvec([0, 0, yaw]) * tilt).as_quat(scalar_first=True)
        found = without_heading(np.stack([whole, -whole]))
        np.testing.assert_allclose(found, [tilt.as_quat(scalar_first=True)] * 2, atol=1e-12)


def test_saved_states_repeat_bit_for_bit() -> None:
    env = CASES["push_recovery"].env(3)
    step, rows = env.reset(np.ones(3, bool), Seeds(0)), np.arange(3)
    for _ in range(20):
        step = still(env, step)
    saved, seen = env.rig.save_state(rows), []
    for _ in range(2):
        env.rig.load_state(rows, saved)
        env.rig.read()  # sensors of restored rows are computed anew, which must not move them
        for _ in range(10):
            env.rig.write(step.obs["applied"] + np.float32(0.05), np.ones(3, bool))
            env.rig.tick(np.ones(3, bool))
        seen.append(env.rig.save_state(rows))
    assert np.array_equal(seen[0], seen[1])
    env.close()
