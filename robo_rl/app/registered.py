"""The bundled tasks as Gymnasium environments: what `gymnasium.make` and `gymnasium.make_vec` call."""

from __future__ import annotations

from typing import Any

from robo_rl.adapt.gymnasium_out import GymnasiumEnv, GymnasiumVectorEnv
from robo_rl.app.build import make_env
from robo_rl.app.compose import choices, compose
from robo_rl.app.rendering import choose_backend
from robo_rl.env import Env
from robo_rl.errors import UnknownName


def make(task: str, robot: str | None = None, flatten: bool = False, **options: Any) -> GymnasiumEnv:
    """One row of a task.

    Args:
        task: name under configs/task, e.g. "so101/insert_peg", or its last part.
        robot: name under configs/robot; default the task's own.
        flatten: observations as one vector instead of a dict.
        options: further arguments of the rig, e.g. `nthread`.
    """
    return GymnasiumEnv(_env(task, robot, 1, options), flatten)


def make_vec(
    task: str, num_envs: int = 1, robot: str | None = None, flatten: bool = False, **options: Any
) -> GymnasiumVectorEnv:
    """`num_envs` rows of a task in one simulation; arguments as for `make`."""
    return GymnasiumVectorEnv(_env(task, robot, num_envs, options), flatten)


def _env(task: str, robot: str | None, n: int, options: dict[str, Any]) -> Env:
    choose_backend()
    ignored = {"render_mode", "vectorization_mode", "vector_kwargs", "wrappers"}
    found = [name for name in choices("task") if task in (name, name.rpartition("/")[2])]
    if len(found) != 1:
        raise UnknownName("task", task, choices("task"))
    arguments = [f"task={found[0]}"] + ([f"robot={robot}"] if robot is not None else [])
    config = compose("evaluate", arguments)
    options = {key: value for key, value in options.items() if key not in ignored}
    return make_env(config.task, config.robot, n, **options)
