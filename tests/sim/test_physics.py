"""The physics of the table-top worlds against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest
from scipy.special import ellipk

from robo_rl.robot import RobotDescription
from sim.models.table import add_part, add_table
from sim.tasks.lift import LiftConfig
from sim.tasks.table_top import build_model, set_physics
from sim.world import World

G = 9.81  # [m/s2]
ROLL = 4  # a joint whose axis carries no weight
CUBE = slice(6, 9)  # position of the cube in qpos and qvel


def world_of(description: RobotDescription, change: Callable[[mujoco.MjModel], None] = lambda model: None) -> World:
    """so101/lift in one simulation at the arm's home pose, its model changed by `change`."""
    model = build_model(description, LiftConfig())
    change(model)
    world = World(model, 1, description.dt, 1)
    world.reset(np.ones(1, bool), np.zeros(1, np.int64))
    world.qpos[:, :6] = world.ctrl[:, :6] = description.array("home")
    return world


def run(world: World, steps: int, read: Callable[[], float]) -> np.ndarray:
    """(steps,) what `read` says after each physics step."""
    values = []
    for _ in range(steps):
        world.batch.step(None, nstep=1)
        values.append(read())
    return np.array(values)


def weightless(model: mujoco.MjModel) -> None:
    model.opt.gravity[:] = 0.0
    model.dof_frictionloss[:] = 0.0


def inertia(world: World, joint: int) -> float:
    """What the motor of a joint has to turn while the others stand still, armature included [kg.m2]."""
    data, full = world.batch.get_data(0), np.zeros((world.model.nv, world.model.nv))
    mujoco.mj_forward(world.model, data)
    mujoco.mj_fullM(world.model, data, full)
    return float(full[joint, joint])


def test_free_fall(description: RobotDescription) -> None:
    world = world_of(description)
    world.qpos[:, CUBE] = [0.4, 0.4, 2.0]
    h, steps = world.model.opt.timestep, 96
    fallen = 2.0 - run(world, steps, lambda: world.qpos[0, 8])
    k = np.arange(1, steps + 1)
    np.testing.assert_allclose(fallen, G * h**2 * k * (k + 1) / 2, rtol=1e-9)  # semi-implicit Euler, exactly
    np.testing.assert_allclose(fallen[-1], G * (h * steps) ** 2 / 2, rtol=1.5 / steps)


@pytest.mark.parametrize("amplitude", [0.05, 1.0])
def test_pendulum_period(amplitude: float) -> None:
    """T = 4 sqrt(l / g) K(sin(amplitude / 2))."""
    length, dt, spec = 0.3, 1 / 30, mujoco.MjSpec()
    set_physics(spec, dt)
    spec.compiler.degree = False
    body = spec.worldbody.add_body(name="bob")
    body.add_joint(name="pivot", axis=[0, 1, 0])
    body.mass, body.ipos, body.inertia, body.explicitinertial = 0.1, [0, 0, -length], [1e-9] * 3, True
    world = World(spec.compile(), 1, dt, 1)
    world.qpos[:] = amplitude
    q = run(world, 2000, lambda: world.qpos[0, 0])
    down = np.flatnonzero((q[:-1] > 0) & (q[1:] <= 0))
    crossings = down + q[down] / (q[down] - q[down + 1])
    period = np.diff(crossings).mean() * world.model.opt.timestep
    assert period == pytest.approx(4 * np.sqrt(length / G) * ellipk(np.sin(amplitude / 2) ** 2), rel=0.01)
    assert np.abs(q[-500:]).max() == pytest.approx(amplitude, rel=0.05)  # no energy appears, hardly any is lost


def test_servo_step_response(description: RobotDescription) -> None:
    """J q'' + d q' + kp (q - target) = 0: the two real modes of the over- or underdamped oscillator."""
    world = world_of(description, weightless)
    servo, j = description.model["servo"], inertia(world, ROLL)
    world.ctrl[:, ROLL] = step = 0.1
    q = run(world, 240, lambda: world.qpos[0, ROLL])
    t = world.model.opt.timestep * np.arange(1, 241)
    roots = np.roots([j, servo["damping"], servo["kp"]])
    expected = step * (
        1 + ((roots[1] * np.exp(roots[0] * t) - roots[0] * np.exp(roots[1] * t)) / (roots[0] - roots[1]))
    )
    assert np.abs(q - expected.real).max() < 0.03 * step
    assert q[-1] == pytest.approx(step, abs=1e-4)


def test_servo_stops_within_its_friction(description: RobotDescription) -> None:
    world = world_of(description, lambda model: model.opt.gravity.fill(0.0))
    servo = description.model["servo"]
    world.ctrl[:, ROLL] = 0.1
    q = run(world, 480, lambda: world.qpos[0, ROLL])
    assert 0.0 < 0.1 - q[-1] <= 1.05 * servo["frictionloss"] / servo["kp"]


def test_torque_limit(description: RobotDescription) -> None:
    """Saturated: J v' = torque - friction - d v, so v = (torque - friction) / d * (1 - exp(-d t / J))."""
    world = world_of(description, lambda model: model.opt.gravity.fill(0.0))
    servo, j, torque = description.model["servo"], inertia(world, ROLL), description.joints[ROLL].max_torque
    world.ctrl[:, ROLL] = 2.8
    v = run(world, 24, lambda: world.qvel[0, ROLL])
    t = world.model.opt.timestep * np.arange(1, 25)
    expected = (torque - servo["frictionloss"]) / servo["damping"] * (1 - np.exp(-servo["damping"] * t / j))
    assert servo["kp"] * (2.8 - world.qpos[0, ROLL]) > torque  # still saturated
    np.testing.assert_allclose(v, expected, rtol=0.05)


@pytest.mark.parametrize("direction", [0.0, np.pi / 2])
@pytest.mark.parametrize("slope", [0.95, 1.3])
def test_friction_cone(slope: float, direction: float) -> None:
    """A slab on a table tilted by tan(angle) = slope * mu stays, or slides with g (sin - mu cos)."""
    mu, dt, spec = 0.6, 1 / 30, mujoco.MjSpec()  # the table's friction: the larger of the two counts
    angle = np.arctan(slope * mu)
    along = np.array([np.cos(direction), np.sin(direction)])
    set_physics(spec, dt)
    add_table(spec)
    add_part(spec, "slab", 0.03, 0.004, 0.02)  # too flat to rock on its edge
    spec.option.gravity = [*(G * np.sin(angle) * along), -G * np.cos(angle)]
    world = World(spec.compile(), 1, dt, 1)
    v = run(world, 120, lambda: float(world.qvel[0, :2] @ along))
    if slope < 1:
        assert abs(v[-1]) < 0.01
    else:
        acceleration = (v[-1] - v[59]) / (60 * world.model.opt.timestep)
        assert acceleration == pytest.approx(G * (np.sin(angle) - mu * np.cos(angle)), rel=0.05)
