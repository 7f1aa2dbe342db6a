"""Frames a second that policies' cameras deliver inside the running environment, against MuJoCo's own renderer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mujoco
import numpy as np

from benchmarks.rows import Row, in_turns
from benchmarks.tasks import names
from robo_rl.app.build import description_path, make_env
from robo_rl.app.compose import compose
from robo_rl.cameras import Camera, known_cameras
from robo_rl.env import Env
from robo_rl.robot import load_descriptions
from robo_rl.seeds import Role, Seeds, seed_of

PEER = "mujoco.Renderer"
NOTE = (
    "pictures of all the robot's cameras in the observations of running episodes, physics and all else included; one "
    "thread; peer: MuJoCo's renderer with its defaults (shadows, 4 samples a pixel) on the same model standing still"
)


@dataclass(frozen=True)
class Budget:
    n: int = 8
    ticks: int = 15  # a round
    rounds: int = 5
    tasks: tuple[str, ...] = ()  # all, if none is given


def measure(budget: Budget = Budget()) -> list[Row]:
    """One row a task."""
    return [_row(task, budget) for task in budget.tasks or names()]


def _row(task: str, budget: Budget) -> Row:
    description = compose("record", [f"task={task}"]).robot.description
    cameras = tuple(known_cameras(load_descriptions(description_path(description))))
    config = compose("record", [f"task={task}", f"task.rig.cameras=[{','.join(cameras)}]"])
    env: Any = make_env(config.task, config.robot, budget.n, nthread=1)
    eyes = [camera for sensor in env.rig.sensors for camera in getattr(sensor, "cameras", ())]
    eye, frames = eyes[0], env.n * sum(min(camera.rate * env.dt, 1.0) for camera in eyes)  # a tick
    step = env.reset(np.ones(env.n, bool), Seeds(seed_of(Role.TUNE)))
    data = env.rig.world.batch.get_data(0)
    renderer = mujoco.Renderer(env.rig.world.model, eye.height, eye.width)
    try:
        found = in_turns(
            {
                "here": partial(_rate, partial(_tick, env, step.obs["applied"]), budget.ticks, frames),
                PEER: partial(_rate, partial(_draw, renderer, data, eye), budget.ticks, 1),
            },
            budget.rounds,
        )
    finally:
        renderer.close()
        env.close()
    name, note = f"cameras {task} {eye.width}x{eye.height}", f"N={budget.n}, {', '.join(cameras)}; {NOTE}"
    return Row(name, found["here"], "frames/s", PEER, found[PEER], note=note)


def _rate(act: Callable[[], None], times: int, frames: float, number: int) -> float:
    """Frames a second of `times` calls that deliver `frames` each."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return times * frames / (time.perf_counter() - start)


def _tick(env: Env, action: np.ndarray) -> None:
    env.send(action)
    env.recv()


def _draw(renderer: mujoco.Renderer, data: mujoco.MjData, camera: Camera) -> None:
    renderer.update_scene(data, camera.name)
    renderer.render()
