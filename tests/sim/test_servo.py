"""The servo model: each detail does what it says, and none of them costs an ideal servo anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.guard import Guard
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.seeds import Seeds
from sim.servo import ServoDetails, Servos
from sim.tasks.lift import LiftConfig
from sim.tasks.table_top import build_model, make_rig
from sim.world import World
from tests.sim.table_tasks import CASES, SO101

SUBSTEPS = 8
LIVE = np.ones(1, bool)


def servos_of(description: RobotDescription, **details: float) -> Servos:
    """One row, at zero."""
    servos = Servos(description, ServoDetails(**details), 1, SUBSTEPS)
    servos.home(LIVE, np.zeros(6))
    return servos


def targets(servos: Servos, setpoints: list[float], velocity: float = 0.0) -> np.ndarray:
    """(T * SUBSTEPS,) target of the first joint while the arm stands at zero."""
    found = []
    for setpoint in setpoints:
        servos.command(np.full((1, 6), setpoint), LIVE)
        found += [servos.drive(s, np.zeros((1, 6)), np.full((1, 6), velocity))[0, 0] for s in range(SUBSTEPS)]
    return np.array(found)


@pytest.mark.parametrize("latency", [0.0, 0.25, 1.0, 1.5, 4.0])
def test_latency_in_fractions_of_a_tick(description: RobotDescription, latency: float) -> None:
    found = targets(servos_of(description, latency=latency), [0.02] * 6)
    expected = np.arange(6 * SUBSTEPS) >= latency * SUBSTEPS
    assert np.array_equal(found != 0.0, expected) and np.allclose(found[expected], 0.02)


def test_latency_keeps_the_order_of_setpoints(description: RobotDescription) -> None:
    course = [0.01, 0.02, 0.03, 0.04, 0.05]
    found = targets(servos_of(description, latency=1.5), course)
    assert np.allclose(found[12:], np.repeat(course, SUBSTEPS)[:-12])


def test_rows_that_are_not_live_get_no_setpoint(description: RobotDescription) -> None:
    servos = servos_of(description)
    servos.command(np.full((1, 6), 0.3), np.zeros(1, bool))
    assert not servos.drive(0, np.zeros((1, 6)), np.zeros((1, 6))).any()


def test_dead_band(description: RobotDescription) -> None:
    servos = servos_of(description, dead_band=0.01)
    assert not targets(servos, [0.0099]).any()
    assert np.allclose(targets(servos, [0.0101]), 0.0101)


def test_encoder_shows_whole_steps(description: RobotDescription) -> None:
    servos, step = servos_of(description, encoder=4096), 2 * np.pi / 4096
    shown = servos.measured(np.array([[0.4, 0.6, 1.4, -0.4, -0.6, 7.2]]) * step)
    np.testing.assert_allclose(shown[0] / step, [0, 1, 1, 0, -1, 7], atol=1e-9)


def test_backlash_is_play_between_two_directions(description: RobotDescription) -> None:
    held = targets(servos_of(description, backlash=0.02), [0.05, 0.04, 0.035, 0.0, 0.005])[::SUBSTEPS]
    np.testing.assert_allclose(held, [0.04, 0.04, 0.04, 0.01, 0.01], atol=1e-12)


@pytest.mark.parametrize(("velocity", "share"), [(0.0, 1.0), (2.75, 0.5), (5.5, 0.0), (9.0, 0.0), (-2.75, 1.0)])
def test_torque_falls_with_speed(description: RobotDescription, velocity: float, share: float) -> None:
    """Torque = stall torque * (1 - speed / no-load speed) in the direction of motion, all of it against it."""
    servos = servos_of(description, no_load_speed=5.5)
    torque = description.model["servo"]["kp"] * targets(servos, [1.5], velocity)
    np.testing.assert_allclose(torque, share * description.joints[0].max_torque, atol=1e-9)


def test_a_number_for_every_joint(description: RobotDescription) -> None:
    """Dead band and no-load speed of two kinds of motor in one arm; 0 is no limit."""
    servos = servos_of(description, dead_band=(0.0, 0.1, 0.0, 0.0, 0.0, 0.0), no_load_speed=(0.0, 5.0, 10.0, 0, 0, 0))
    servos.command(np.full((1, 6), 1.5), LIVE)
    target = servos.drive(0, np.zeros((1, 6)), np.full((1, 6), 2.5))[0]
    share = target * description.servo("kp") / description.array("max_torque")
    np.testing.assert_allclose(share, [1.0, 0.5, 0.75, 1.0, 1.0, 1.0])
    servos.home(LIVE, np.zeros(6))
    servos.command(np.full((1, 6), 0.05), LIVE)
    assert np.array_equal(servos.drive(0, np.zeros((1, 6)), np.zeros((1, 6)))[0] != 0, [True, False, *[True] * 4])


def test_lookahead_is_a_first_order_lag(description: RobotDescription) -> None:
    """setpoint (1 - exp(-t / T)), and it survives a saved state."""
    servos = servos_of(description, lookahead=0.1)
    found = targets(servos, [0.1] * 3)
    t = description.dt / SUBSTEPS * np.arange(1, 3 * SUBSTEPS + 1)
    np.testing.assert_allclose(found, 0.1 * (1 - np.exp(-t / 0.1)), atol=1e-12)
    other = servos_of(description, lookahead=0.1)
    other.load_state(np.zeros(1, int), servos.save_state(np.zeros(1, int)))
    assert np.array_equal(targets(servos, [0.2]), targets(other, [0.2]))


def test_no_servo_passes_its_no_load_speed(description: RobotDescription) -> None:
    """In the world: without damping and friction an ideal servo goes on accelerating, this one approaches the speed."""
    model = build_model(description, LiftConfig())
    model.opt.gravity[:] = model.dof_damping[:] = model.dof_frictionloss[:] = 0.0
    speeds = {}
    for limit in (0.0, 5.5):
        world = World(model, 1, description.dt, 1)
        world.qpos[:, :6] = description.array("home")
        world.qpos[:, 4] = -2.7
        servos = Servos(description, ServoDetails(no_load_speed=limit), 1, world.substeps)
        servos.home(LIVE, np.where(np.arange(6) == 4, 2.8, description.array("home")))
        for _ in range(36):
            world.ctrl[:] = servos.drive(0, world.qpos[:, :6], world.qvel[:, :6])
            world.advance(LIVE, 1)
        speeds[limit] = world.qvel[0, 4]
    t, j = 36 * model.opt.timestep, 0.028  # [s], [kg.m2] armature
    expected = 5.5 * (1 - np.exp(-description.joints[4].max_torque / (5.5 * j) * t))
    assert speeds[5.5] == pytest.approx(expected, rel=0.05)
    assert speeds[0.0] > 7.0


def test_zeros_are_the_ideal_servo(description: RobotDescription) -> None:
    """Substep by substep, a model without details moves the arm as MuJoCo's own servos do."""
    case, course = CASES["lift"], []
    for details in (None, ServoDetails()):
        env = case.env(2)
        robot = env.rig.robots[0]
        if details is not None:
            robot.servos = Servos(description, details, 2, SUBSTEPS)
            env.rig._servos = [robot.servos]
        expert = case.expert(2)
        step, seen = env.reset(np.ones(2, bool), Seeds(0)), []
        expert.reset(step.first, step.seed)
        for _ in range(60):
            env.send(expert.act(step.obs).value)
            step = env.recv()
            seen.append(step.obs["joint_position"])
        course.append(np.array(seen))
        env.close()
    np.testing.assert_allclose(course[0], course[1], atol=1e-6)


def test_the_description_holds_the_details(description: RobotDescription) -> None:
    rig = make_rig(SO101, 1, LiftConfig(), 1, Guard(description, 1), servo="real")
    assert rig.robots[0].servos.details == ServoDetails(4096, 0.0031, 5.5, 0.0087, 0.5)
    assert rig.obs_spec.fingerprint() == make_rig(SO101, 1, LiftConfig()).obs_spec.fingerprint()
    rig.close()


@pytest.mark.parametrize(
    ("details", "words"),
    [
        (None, "lacks model.servo_details"),
        ({"latncy": 1.0}, "latncy.*valid keys: encoder, dead_band"),
        ({"latency": 9.0}, r"servo_details\.latency=9\.0: at most 4"),
        ({"dead_band": -1.0}, r"servo_details\.dead_band=-1\.0: must not be below 0"),
    ],
)
def test_mistakes_are_one_line(description: RobotDescription, details: dict | None, words: str) -> None:
    model = {key: value for key, value in description.model.items() if key != "servo_details"}
    model |= {} if details is None else {"servo_details": details}
    with pytest.raises(UserError, match=words) as error:
        ServoDetails.of(replace(description, model=model))
    assert "\n" not in str(error.value)


def test_an_unknown_servo_is_refused() -> None:
    with pytest.raises(UserError, match=r"task\.rig\.servo=perfect: unknown; valid choices: ideal, real"):
        make_rig(SO101, 1, LiftConfig(), servo="perfect")
