"""From `key=value` arguments to a resolved config: Hydra composes, this module says what is wrong in one line."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, QuotedString, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

import configs
from robo_rl.app.valid import check_values
from robo_rl.errors import UnknownName, UserError

CONFIGS = Path(configs.__file__).parent
PLUGIN_GROUPS = ("robo_rl.robots", "robo_rl.tasks", "robo_rl.policies")
TYPE_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


Implied = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From the keys that a user gave to defaults for keys that the user did not give (what a run folder knows)."""


def compose(command: str, arguments: Sequence[str], implied: Implied | None = None) -> DictConfig:
    """The resolved config of a command.

    Args:
        command: name of a file in configs/.
        arguments: `key=value`, as the user wrote them.
        implied: defaults that follow from what was given. A task implies its robot.

    Raises:
        UserError: unknown key or choice, key given twice, value of the wrong type or out of range; one line each.
    """
    given = _parse(arguments)
    if implied is not None:
        for key, value in implied({key: _value(override) for key, override in given.items()}).items():
            given.setdefault(key, _parse_one(f"{key}={quote(value)}"))
    groups = command_groups(command)
    picked = {key: override for key, override in given.items() if key in groups}
    for key, override in picked.items():
        _check_choice(key, override)
    default = None
    try:
        default = _compose(command, picked.values())
        robot = OmegaConf.select(default, "task.robot")
        if robot and "robot" in groups and "robot" not in given:
            picked["robot"] = given["robot"] = _parse_one(f"robot={robot}")
            default = _compose(command, picked.values())
        for key, override in given.items():
            if key not in groups:
                _check_value(command, default, override)
        config = _compose(command, given.values())
        OmegaConf.resolve(config)
        missing = sorted(OmegaConf.missing_keys(config) - set(groups))
    except InterpolationKeyError as error:
        raise UserError(_not_together(default, error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(error)) from error
    if missing:
        raise UserError(f"{missing[0]}=: {command} needs it; see robo-rl {command} --help")
    check_values(command, config)
    return config


def command_groups(command: str) -> tuple[str, ...]:
    """Config groups that a command composes: keys whose value is a choice."""
    defaults = yaml.safe_load((CONFIGS / f"{command}.yaml").read_text()).get("defaults", [])
    return tuple(key.removeprefix("optional ") for item in defaults if isinstance(item, dict) for key in item)


def choices(group: str) -> list[str]:
    """Names of a group's configs, those of installed plugins included."""
    found = set()
    for folder in (folder / group for folder in config_folders()):
        found |= {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    return sorted(found)


def robot_keys(name: str) -> list[str]:
    """Keys of the robot `name` that bundles and logs remember; none where there is no such robot."""
    files = (folder / "robot" / f"{name}.yaml" for folder in config_folders())
    return next((yaml.safe_load(file.read_text()).get("keys", []) for file in files if file.is_file()), [])


def config_folders() -> list[Path]:
    """This project's configs, then those of installed plugins."""
    return [CONFIGS, *(Path(folder) for folder in _plugin_folders().values())]


@cache
def plugin_modules() -> tuple[str, ...]:
    """Modules that installed distributions name under this project's entry-point groups."""
    return tuple(sorted({entry.module for group in PLUGIN_GROUPS for entry in entry_points(group=group)}))


@cache
def _plugin_folders() -> dict[str, str]:
    """Plugin packages that may hold configs (robot/, task/, ... folders): module -> folder."""
    specs = {module: find_spec(module) for module in plugin_modules()}
    return {
        name: spec.submodule_search_locations[0]
        for name, spec in specs.items()
        if spec is not None and spec.submodule_search_locations
    }


def _compose(command: str, overrides: Iterable[Override]) -> DictConfig:
    lines = [str(override.input_line) for override in overrides]
    if _plugin_folders():
        lines.append(f"hydra.searchpath=[{','.join(f'pkg://{name}' for name in _plugin_folders())}]")
    logging.getLogger("hydra").setLevel(logging.ERROR)
    with initialize_config_module("configs", version_base="1.3"):
        return hydra_compose(command, lines)


def _parse(arguments: Sequence[str]) -> dict[str, Override]:
    found: dict[str, Override] = {}
    for text in arguments:
        override = _parse_one(text)
        key = override.key_or_group
        if key in found:
            raise UserError(
                f"{key}: given twice ({found[key].input_line} and {text}); give it once, or a list: {key}=[a,b]"
            )
        found[key] = override
    return found


def _parse_one(text: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"{text}: expected key=value")
    parser = OverridesParser.create()
    try:
        override = parser.parse_override(text)
    except HydraException:
        if value[:1] in ("[", "{", "'", '"'):
            raise UserError(f"{key}: cannot read the value {value}; check its brackets and quotes") from None
        override = parser.parse_override(f"{key}={quote(value)}")  # a path with blanks, brackets or '='
    if override.value_type not in (None, ValueType.ELEMENT):
        raise UserError(f"{key}={value}: several values are written as a list: {key}=[{value}]")
    return override


def _value(override: Override) -> Any:
    value = override.value()
    return value.text if isinstance(value, QuotedString) else value


def quote(value: Any) -> str:
    """A value as Hydra's overrides are written."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" if not _plain(value) else value
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{quote(str(k))}:{quote(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(quote(item) for item in value) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: str) -> bool:
    return bool(value) and all(c.isalnum() or c in "_-./:" for c in value) and not value[:1].isdigit()


def _check_choice(group: str, override: Override) -> None:
    valid = choices(group)
    if str(_value(override)) not in valid:
        raise UnknownName(group, _value(override), valid)


def _check_value(command: str, default: DictConfig, override: Override) -> None:
    """Raise unless the key exists in `default` and the value has its type; integral floats become integers."""
    key, value = override.key_or_group, _value(override)
    parent = OmegaConf.select(default, key.rpartition(".")[0]) if "." in key else default
    if override.type in (OverrideType.ADD, OverrideType.FORCE_ADD, OverrideType.DEL):
        if isinstance(parent, DictConfig) and parent is not default:
            return
        raise _unknown_key(command, default, key)
    if not isinstance(parent, DictConfig) or key.rpartition(".")[2] not in list(parent):
        raise _unknown_key(command, default, key)
    raw = parent._get_node(key.rpartition(".")[2])
    expected = None if raw is None or raw._is_interpolation() or raw._is_missing() else OmegaConf.select(default, key)  # type: ignore[union-attr]
    if expected is None or value is None:
        return
    expected = OmegaConf.to_container(expected) if OmegaConf.is_config(expected) else expected
    if isinstance(expected, int) and not isinstance(expected, bool) and isinstance(value, float) and value.is_integer():
        override.input_line = f"{key}={int(value)}"
    elif expected == {} and isinstance(value, dict):
        override.input_line = f"++{override.input_line}"  # an empty mapping takes any keys
    elif not _fits(value, type(expected)):
        raise UserError(
            f"{key}={override.get_value_element_as_str()}: expected {TYPE_NAMES.get(type(expected))}, e.g. {expected}"
        )


def _fits(value: Any, expected: type) -> bool:
    if expected is str:
        return not isinstance(value, list | dict)
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, expected) and isinstance(value, bool) == (expected is bool)


def _unknown_key(command: str, default: DictConfig, key: str) -> UserError:
    prefix = key.rpartition(".")[0]
    parent = OmegaConf.select(default, prefix) if prefix else default
    names = list(parent) if isinstance(parent, DictConfig) else []
    valid = sorted(f"{prefix}.{name}" if prefix else str(name) for name in names) or sorted(map(str, default))
    close = difflib.get_close_matches(key, valid, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return UserError(f"{key}: unknown key of {command}; {hint}valid keys: {', '.join(valid)}")


def _not_together(config: DictConfig | None, error: Exception) -> str:
    """What to say where the robot takes from the task what the task does not have."""
    if config is None or "'task." not in str(error):
        return _one_line(error)
    task, robot, usual = (OmegaConf.select(config, key) for key in ("task.name", "robot.name", "task.robot"))
    return f"robot={robot}: does not go with task={task}; give robot={usual}, or another task"


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3])
