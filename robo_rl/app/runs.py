"""Run folders and bundles: what a command reads from one and leaves in one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from robo_rl.app.compose import robot_keys
from robo_rl.env import Env
from robo_rl.errors import CorruptFile, UnknownName, UserError, mistake_in
from robo_rl.log.images import FORMATS
from robo_rl.log.reader import LogStream, find_logs
from robo_rl.ranges import typed

if TYPE_CHECKING:
    from policies.bundle import Bundle

BUNDLE = ("policy.json", "policy/policy.json")  # in a bundle, in a run folder
CONFIG, RESULT = "config.yaml", "result.json"
REMEMBERED = (
    "task", "robot", "env_id", "env_kwargs", "success_key",
    "task.reward", "task.task.config.limit", "task.rig.servo", "task.rig.randomise", "task.rig.cameras",
    "task.rig.tracker", "robot.action", "robot.model", "robot.params",
)  # fmt: skip


def new_folder(config: DictConfig, command: str) -> Path:
    """The folder of `out=`, created, with the resolved config in it; refused when it holds an earlier run."""
    return _begin(_named(config, command), config, command)


@contextmanager
def fresh_folder(
    config: DictConfig, command: str, writes: Sequence[str] = (), keep: Sequence[str] = ()
) -> Iterator[Path]:
    """`new_folder`, for as long as the command works there: a user's mistake takes back config.yaml and what the
    command `writes`, and nothing that lay there before. A folder with one of the names `keep` in it, not empty, holds
    something worth keeping, and stays."""
    folder = _named(config, command)
    existed, before = folder.is_dir(), (folder / CONFIG).read_text() if (folder / CONFIG).is_file() else None
    _begin(folder, config, command)
    if before is not None and before.startswith(f"command: {command}\n"):  # what an interrupted one left
        _remove(folder / name for name in writes)
    mine = [folder / name for name in writes if not (folder / name).exists()]
    try:
        yield folder
    except Exception as error:
        if mistake_in(error) is not None and not any(_holds(folder / name) for name in keep):
            _take_back(folder, mine, before, existed)
        raise


@contextmanager
def taken_up(folder: Path, config: DictConfig, command: str, progress: Callable[[], Any]) -> Iterator[None]:
    """A run that lies in `folder` goes on: it has this config from now on, and no result. A user's mistake brings both
    back, as long as what `progress` returns is what it was."""
    before, held = progress(), {path: path.read_bytes() for path in (folder / CONFIG, folder / RESULT) if path.exists()}
    write_text(folder / CONFIG, _described(OmegaConf.merge(config, {"resume": False}), command))
    (folder / RESULT).unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        if mistake_in(error) is not None and progress() == before:
            for path, content in held.items():
                write_text(path, content.decode())
        raise


def require_begun_with(folder: Path, config: DictConfig, command: str, free: Sequence[str] = ()) -> None:
    """Raise `UserError` unless the run in `folder` was begun with this config, the keys in `free` apart."""
    try:
        before = _leaves(OmegaConf.to_container(OmegaConf.load(folder / CONFIG)))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise CorruptFile(f"out={folder}: config.yaml cannot be read: {error}") from error
    now = _leaves(OmegaConf.to_container(OmegaConf.create(_described(config, command))))
    for key, new in now.items():
        if key in before and before[key] != new and key not in free:
            given = key.removesuffix(".name")  # task.name=x is chosen by task=x
            raise UserError(
                f"{given}={typed(new)}: the run in out={folder} was begun with {typed(before[key])}; give that, or "
                "another out="
            )
    for key in (*before, *now):
        if (key in before) != (key in now):
            how = "with" if key in before else "without"
            raise UserError(
                f"{key}={typed(before.get(key, now.get(key)))}: the run in out={folder} was begun {how} it, perhaps by "
                "another version; give another out="
            )


def _named(config: DictConfig, command: str) -> Path:
    name = time.strftime(f"runs/{command}-%Y%m%d-%H%M%S") if config.out is None else str(config.out)
    try:
        folder = Path(name).expanduser()
        folder.is_dir()
    except (OSError, RuntimeError) as error:  # too long a name; a home of nobody
        raise UserError(f"out={name}: no folder can be there: {error}") from error
    return folder


def _begin(folder: Path, config: DictConfig, command: str) -> Path:
    if config.get("images", FORMATS[0]) not in FORMATS:
        raise UnknownName("images", config.images, FORMATS)
    if any((folder / name).exists() for name in (RESULT, "log", "checkpoint", "checkpoint.old")):
        raise UserError(f"out={folder}: holds an earlier run; choose another folder or remove it")
    if (config_file := folder / CONFIG).is_file() and not config_file.read_bytes().startswith(b"command:"):
        raise UserError(f"out={folder}: holds a config.yaml that is no run's; choose another folder")
    write_text(config_file, _described(config, command))
    return folder


def _described(config: Any, command: str) -> str:
    return f"command: {command}\n{OmegaConf.to_yaml(config)}"


def _holds(path: Path) -> bool:
    """Whether there is something: an empty folder is nothing."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _take_back(folder: Path, mine: Iterable[Path], config: str | None, existed: bool) -> None:
    _remove(mine)
    if config is None:
        (folder / CONFIG).unlink(missing_ok=True)
    else:
        write_text(folder / CONFIG, config)
    if not existed:
        with suppress(OSError):
            folder.rmdir()


def _leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested keys as `a.b.c`; lists and empty mappings are values."""
    if not isinstance(node, Mapping) or not node:
        return {prefix: node}
    return {
        key: leaf
        for name, value in node.items()
        for key, leaf in _leaves(value, f"{prefix}.{name}".lstrip(".")).items()
    }


def made_folder(value: Any, key: str = "out") -> Path | None:
    """The folder that a key names, created; None where it names none."""
    if value is None:
        return None
    folder = Path(str(value)).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{key}={folder}: cannot be written: {error.strerror}") from error
    return folder


def write_spec(folder: Path, env: Env) -> None:
    """spec.json: what the run's environment observes and is commanded with."""
    write_json(folder / "spec.json", {"obs": env.obs_spec.to_json(), "action": env.act_spec.to_json()})


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(data, indent=1, default=_plain) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text atomically. Raises `UserError` where that cannot be."""
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text)
        os.replace(fresh, path)
    except OSError as error:
        raise UserError(f"out={path.parent}: cannot be written: {error.strerror}") from error


def load_policy(config: DictConfig, command: str) -> Bundle:
    """The bundle of `run=`, its networks on `device=` where the command has that key. PyTorch gets one CPU thread, so
    that a deployment, an evaluation and an audit compute alike."""
    if config.run is None:
        raise UserError(f"run=: {command} needs a run folder or a bundle folder")
    import torch  # takes seconds

    from policies.bundle import load_bundle

    torch.set_num_threads(1)  # small networks: a second thread costs more than it brings, and jitters

    if not Path(str(config.run)).expanduser().is_dir():
        raise UserError(f"run={config.run}: no such folder")
    bundle = load_bundle(str(config.run), device(config.get("device", "cpu")))
    if config.use is not None and config.use not in bundle.uses:
        raise UnknownName("use", config.use, bundle.uses)
    if config.get("steer") is not None:
        _steer(bundle, config)
    return bundle


def _steer(bundle: Bundle, config: DictConfig) -> None:
    """The value of `steer=` chooses among chunks of the bundle's base."""
    from policies.bundle import load_bundle
    from policies.chunk_actor import ChunkActor, Steering

    if not Path(str(config.steer)).expanduser().is_dir():
        raise UserError(f"steer={config.steer}: no such folder")
    value = load_bundle(str(config.steer), device(config.get("device", "cpu")), "steer")
    if not isinstance(value.actor, ChunkActor):
        raise UserError(f"steer={config.steer}: holds no value of chunks; train one with learner=value")
    bundle.require(value.obs_spec, value.act_spec, f"steer={config.steer}")
    bundle.steering = Steering(value.actor, config.candidates)
    bundle.policy_for("base")  # refuses here what cannot be steered


def device(name: str) -> str:
    """A device that this machine has."""
    import torch

    valid = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    valid += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name not in valid:
        raise UnknownName("device", name, valid)
    return name


def weights(meta: Mapping[str, Any]) -> dict[str, str]:
    """Which weights a run's policy has: the checksum that its bundle names; nothing where there is no bundle."""
    for part in BUNDLE:
        with suppress(OSError, ValueError, KeyError, TypeError):
            place = Path(str(meta["run"])).expanduser() / part
            return {"weights_sha256": str(json.loads(place.read_text())["sha256"])}
    return {}


def require_policy(key: str, value: Any) -> None:
    """Raise `UserError` where no bundle lies in a folder."""
    if not any((Path(str(value)).expanduser() / name).is_file() for name in BUNDLE):
        raise UserError(f"{key}={value}: no policy there (expected {' or '.join(BUNDLE)} in it)")


def remembered_by_bundle(given: Mapping[str, Any], key: str = "run") -> dict[str, Any]:
    """Defaults that a run's bundle holds: where its policy was trained."""
    folder = Path(str(given.get(key) or "")).expanduser()
    for place in (folder / name for name in BUNDLE):
        if given.get(key) and place.is_file():
            try:
                meta = json.loads(place.read_text())["meta"]
            except (OSError, ValueError, KeyError, TypeError):
                return {}  # whoever loads the bundle says what is wrong with it
            return remembered(meta, given, f"{key}={folder}")
    return {}


def remembered_by_log(given: Mapping[str, Any], key: str = "log") -> dict[str, Any]:
    """Defaults that the first log of a key holds: where it was recorded."""
    if given.get(key) is None:
        return {}
    path = find_logs(values(given[key]), key)[0]
    with LogStream(path) as log:
        return remembered(log.meta, given, f"{key}={path}")


def remembered(meta: Mapping[str, Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The scenario in a bundle's or a log's meta, unless the user asks for another task; of another robot's keys those
    that the two share."""
    if given.get("task", meta.get("task")) != meta.get("task"):
        return {}
    has = robot_keys(str(given.get("robot", meta.get("robot"))))
    known = [key for key in REMEMBERED if not key.startswith("robot.") or key in has]
    found = {key: meta[key] for key in known if meta.get(key) not in (None, {})}
    if ":" in str(found.get("env_id", "")) and "env_id" not in given:
        raise UserError(
            f"env_id={found['env_id']}: {where} asks to import this module; to allow it, give env_id= yourself"
        )
    return found


def pick(config: DictConfig, key: str, valid: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function a key chooses."""
    if config[key] not in valid:
        raise UnknownName(key, config[key], valid)
    return valid[config[key]]


def values(value: Any) -> list[str]:
    """A key that takes one value or a list of them, as a list."""
    items: Iterable[Any] = value if OmegaConf.is_list(value) or isinstance(value, list | tuple) else [value]
    return [str(item) for item in items]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
