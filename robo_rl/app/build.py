"""From config nodes to objects. Every object a command builds is built here, and only from places that are allowed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import DictConfig, OmegaConf

from robo_rl.app.compose import CONFIGS, choices, config_folders, plugin_modules
from robo_rl.env import Env, RigEnv
from robo_rl.errors import UnknownName, UserError, mistake_in
from robo_rl.policy import Policy
from robo_rl.robot import Rig, load_descriptions

PACKAGES = ("robo_rl", "sim", "policies", "hardware")
HYDRA_KEYS = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")
JOINT, TOOL = "joint", "tool"  # of robot.action


def instantiate(config: Any, **kwargs: Any) -> Any:
    """Build the object a node's `_target_` names, with the node's values and `kwargs`.

    Raises `UserError` when a `_target_` in it, at any depth, is neither this project's nor an installed plugin's.
    """
    return _factory(config)(**kwargs)


def offer(config: Any, **offers: Any) -> Any:
    """`instantiate`, with those of `offers` that the target has a parameter for and the node does not set."""
    factory = _factory(config)
    wanted = inspect.signature(factory).parameters
    return factory(**{name: value for name, value in offers.items() if name in wanted and name not in config})


def target_of(config: Any) -> Any:
    """What the `_target_` of a node names, a class or a function; raises as `instantiate` does."""
    check_targets(config)
    return get_object(config["_target_"])


def make_env(task: DictConfig, robot: DictConfig, n: int, realtime: bool = False, **overrides: Any) -> Env:
    """N rows of a task: on a robot's rig, or the environment that the task brings along.

    Args:
        task, robot: nodes of a composed config.
        realtime: let the rig pace its ticks to the wall clock.
        overrides: further arguments of the rig or the environment, e.g. `nthread`.
    """
    if n < 1:
        raise UserError(f"n={n}: at least one row is needed")
    if "env" in task:
        _require_given(task.env, task.name)
        return offer(task.env, n=n, realtime=realtime, **overrides)
    rig = make_rig(task, robot, n, realtime, **overrides)
    return RigEnv(rig, _on_rig("task", robot.task, rig, task, robot))


def make_rig(task: DictConfig, robot: DictConfig, n: int, realtime: bool = False, **overrides: Any) -> Rig:
    """The robot's rig of n rows, without anything to do; arguments as for `make_env`."""
    if "rig" not in robot:
        raise UserError(f"robot={robot.name}: has no rig, and task={task.name} needs one; try robot={task.robot}")
    path = description_path(robot.description)
    descriptions = load_descriptions(path)
    guards = [instantiate(robot.guard, description=description, n=n) for description in descriptions]
    if robot.get("model") is not None:
        from sim.models.replaced import with_model

        descriptions = tuple(with_model(description, str(robot.model)) for description in descriptions)
    described = path if robot.get("model") is None else descriptions
    rig = offer(robot.rig, description=described, n=n, guard=guards[0], guards=guards, realtime=realtime, **overrides)
    if rig.n != n:
        rig.close()
        raise UserError(f"n={n}: robot={robot.name} has {rig.n} row; n=1 is needed")
    try:
        _adjust(rig, robot, descriptions[0].name)
    except UserError:
        rig.close()
        raise
    return rig


def _adjust(rig: Any, robot: DictConfig, name: str) -> None:
    """What `robot.params=` and `robot.action=` ask for."""
    if robot.get("params") is not None:
        from sim import parameters

        parameters.apply(rig, parameters.load(robot.params, name))
    if _action(robot) == TOOL:
        rig.command_tools()


def _action(robot: DictConfig) -> str:
    """In whose space a robot is commanded."""
    found = robot.get("action", JOINT)
    if found not in (JOINT, TOOL):
        raise UnknownName("robot.action", found, (JOINT, TOOL))
    return found


def make_expert(task: DictConfig, robot: DictConfig, env: Env, noise: float | None = None) -> Policy:
    """The task's scripted expert; `noise` replaces the standard deviation of its disturbance [action units]."""
    node = task.get("expert")
    if node is None:
        raise UserError(f"task={task.name}: has no scripted expert; use source=policy run=...")
    _require_given(node, task.name, "expert")
    if noise is not None:
        node = _with_noise(node, float(noise), task.name)
    path = description_path(robot.description) if "description" in robot else None
    expert = offer(node, n=env.n, description=path, act_spec=env.act_spec)
    if path is None or _action(robot) == JOINT:
        return expert
    from sim.experts.with_tool import WithTool

    return WithTool(expert, load_descriptions(path))


def make_camera(task: DictConfig, robot: DictConfig, env: Env) -> Any:
    """What renders the rows of `env`; raises `UserError` where nothing does."""
    node = task.get("camera")
    if node is None or not isinstance(env, RigEnv):
        raise UserError(f"video=true: task={task.name} has no camera")
    return _on_rig("camera", node, env.rig, task, robot)


def scenario(config: DictConfig) -> dict[str, Any]:
    """The keys that say where a policy acts; they go into logs and bundles and come back as defaults.

    What runs code of the user's choosing (`expert=`) is not among them.
    """
    names = (*config.task.get("keys", ()), *config.robot.get("keys", ()))
    keys = {key: _plain(OmegaConf.select(config, key)) for key in names}
    return {"task": config.task.name, "robot": config.robot.name, **keys}


def description_path(name: str) -> Path:
    """File of a robot description: a name under description/, or a path."""
    for place in (Path(name), *(folder / "description" / f"{name}.yaml" for folder in config_folders())):
        if place.is_file():
            return place
    raise UnknownName("robot.description", name, choices("description"))


def check_targets(config: Any) -> None:
    """Raise `UserError` unless every `_target_` in `config` may be built."""
    allowed = (*PACKAGES, *(module.partition(".")[0] for module in plugin_modules()))
    for node in _nodes(_plain(config)):
        target = node["_target_"]
        if not isinstance(target, str) or target.partition(".")[0] not in allowed:
            raise UnknownName("_target_", target, [f"{package}.*" for package in allowed])
        try:
            module = getattr(get_object(target), "__module__", "") or ""
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(f"_target_={target}: {error}") from error
        if module.partition(".")[0] not in allowed:  # something that an allowed module merely imports
            raise UnknownName("_target_", target, [f"{package}.*" for package in allowed])


def _check_keys(node: Mapping[str, Any]) -> None:
    """Raise `UserError` where a node has keys that its target does not take."""
    target = get_object(node["_target_"])
    if not callable(target):
        raise UserError(f"_target_={node['_target_']}: is neither a class nor a function")
    valid = inspect.signature(target).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in valid.values()):
        return
    for key in node:
        if key not in valid and key not in HYDRA_KEYS:
            raise UserError(f"{key}: unknown key of {node['_target_']}; valid keys: {', '.join(sorted(valid))}")


def _factory(config: Any) -> Callable[..., Any]:
    check_targets(config)
    plain = _plain(config)
    for node in _nodes(plain):
        _check_keys(node)
    try:
        return hydra_instantiate({**plain, "_partial_": True}, _convert_="all")
    except InstantiationException as error:
        if (mistake := mistake_in(error)) is None:
            raise
        raise mistake from None


def _require_given(node: DictConfig, task: str, key: str = "") -> None:
    """Raise `UserError` where the target needs a value that nobody gave; `key` names it better than its parameter."""
    for name, parameter in inspect.signature(target_of(node)).parameters.items():
        if name in node and node[name] is None and parameter.default is inspect.Parameter.empty:
            raise UserError(f"{key or name}=: task={task} needs it")


def _on_rig(what: str, node: DictConfig, rig: Any, task: DictConfig, robot: DictConfig) -> Any:
    """An object that works on a rig, or on the world in it where there is one."""
    try:
        return offer(node, rig=rig, **({"world": rig.world} if hasattr(rig, "world") else {}))
    except TypeError as error:
        rig.close()
        raise UserError(f"{what}={task.name}: does not work on robot={robot.name}: {error}") from error


def _with_noise(node: DictConfig, noise: float, name: str) -> DictConfig:
    for key in ("noise", "config.noise"):
        if OmegaConf.select(node, key) is not None:
            return OmegaConf.merge(node, OmegaConf.from_dotlist([f"{key}={noise}"]))  # type: ignore[return-value]
    raise UserError(f"noise={noise}: the expert of task={name} has no noise to set")


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Nodes with a `_target_`, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _nodes(item)


__all__ = [
    "CONFIGS", "check_targets", "description_path", "instantiate", "make_camera", "make_env", "make_expert", "make_rig",
    "offer", "scenario", "target_of",
]  # fmt: skip
