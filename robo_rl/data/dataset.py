"""A dataset is a folder of logs with its statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robo_rl.data.excluded import excluded
from robo_rl.errors import CorruptFile, SpecMismatch, UserError
from robo_rl.log.episode import Episode
from robo_rl.log.header import Specs, fingerprint
from robo_rl.log.layout import APPLIED, COMMANDED
from robo_rl.log.reader import Log, find_logs, read_log
from robo_rl.spec import Feature, Spec, require_equal

DATASET, STATISTICS = "dataset.json", "stats.json"
PART = 256  # ticks of pictures that are decoded together


@dataclass(frozen=True)
class Dataset:
    """Complete episodes, successes and failures alike (`Episode.succeeded`), with one spec. `extra_spec` is what rides
    along with the actions in all of them: an expert's demonstrations and a policy's episodes go together.

    `statistics` maps a signal ("obs/<key>", "action/commanded", "action/applied") to min, max, mean, std (one number an
    element of the last axis) and count (of rows they were taken over).
    """

    episodes: list[Episode]
    obs_spec: Spec
    act_spec: Feature
    statistics: Mapping[str, Mapping[str, Any]]
    extra_spec: Spec
    dt: float  # [s]
    meta: Mapping[str, Any]  # of the first log
    incomplete: int  # episodes left out because they were not recorded to their end

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def successes(self) -> int:
        return sum(episode.succeeded for episode in self.episodes)

    @property
    def frames(self) -> int:
        """Ticks of all episodes."""
        return sum(len(episode) for episode in self.episodes)


def load_dataset(paths: str | Path | Iterable[str | Path], key: str = "dataset") -> Dataset:
    """Read the logs of a folder, a file, a glob, or several of these, into one dataset.

    Raises:
        UserError: no logs, no complete episode, values that are not finite, or fewer complete episodes than the
            folder's `dataset.json` promises.
        SpecMismatch: the logs' specs differ; says where.
        CorruptFile: a damaged file.
    """
    many = [paths] if isinstance(paths, str | Path) else list(paths)
    logs = [read_log(path) for path in find_logs(many, key)]
    for path in many:
        _require_promised(Path(path).expanduser(), logs, key)
    return _collect(logs, f"{key}={', '.join(str(path) for path in many)}")


def write_statistics(folder: str | Path) -> Dataset:
    """Write `stats.json` and then `dataset.json` beside the logs of a folder, each atomically; returns the dataset.

    Raises:
        UserError: as `load_dataset`.
    """
    folder = Path(folder)
    dataset = _collect([read_log(path) for path in find_logs(folder, "out")], f"out={folder}")
    specs = Specs(dataset.obs_spec, dataset.act_spec, dataset.extra_spec)
    summary = {
        "format": 1,
        "task": dataset.meta.get("task"),
        "robot": dataset.meta.get("robot"),
        "dt": dataset.dt,
        "fingerprint": fingerprint(specs.obs, specs.action),
        "episodes": len(dataset),
        "successes": dataset.successes,
        "incomplete": dataset.incomplete,
        "frames": dataset.frames,
        "spec": {"obs": specs.obs.to_json(), "action": specs.action.to_json(), "extra": specs.extra.to_json()},
    }
    _write_atomically(folder / STATISTICS, dataset.statistics)
    _write_atomically(folder / DATASET, summary)  # last: it vouches for the rest
    return dataset


def _collect(logs: list[Log], what: str) -> Dataset:
    first = logs[0]
    for log in logs[1:]:
        _require_same(first, log, what)
    recorded = [episode for log in logs for episode in _kept(log)]
    episodes = [episode for episode in recorded if episode.complete]
    if not episodes:
        raise UserError(f"{what}: holds no complete episode ({len(recorded)} incomplete)")
    incomplete = len(recorded) - len(episodes)
    numbers = statistics(episodes, what)
    extra = {
        key: feature
        for key, feature in first.extra_spec.items()
        if all(log.extra_spec.get(key) == feature for log in logs)
    }
    specs = (first.obs_spec, first.act_spec)
    return Dataset(episodes, *specs, numbers, Spec(extra), first.dt, first.meta, incomplete)


def _kept(log: Log) -> Iterator[Episode]:
    left_out = excluded(log.path)
    return (episode for number, episode in enumerate(log.episodes) if number not in left_out)


def _require_same(first: Log, log: Log, what: str) -> None:
    names = f"{what}: {first.path.name} and {log.path.name} differ"
    require_equal(first.obs_spec, log.obs_spec, names)
    require_equal(Spec({"action": first.act_spec}), Spec({"action": log.act_spec}), names)
    if first.dt != log.dt:
        raise SpecMismatch(f"{names}: dt: {first.dt} != {log.dt}")


def _require_promised(folder: Path, logs: list[Log], key: str) -> None:
    """Raise unless the logs under `folder` hold the episodes that its `dataset.json`, where there is one, promises."""
    path = folder / DATASET
    if not path.is_file():
        return
    try:
        promised = int(json.loads(path.read_bytes())["episodes"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFile(f"{path}: damaged: {error}") from error
    inside = [log for log in logs if log.path.is_relative_to(folder)]
    found = sum(episode.complete for log in inside for episode in log.episodes)
    if found < promised:
        cut = ", ".join(log.path.name for log in inside if log.truncated)
        reason = f"cut short: {cut}" if cut else "files are missing"
        raise UserError(f"{key}={folder}: holds {found} complete episodes, {DATASET} promises {promised} ({reason})")


def statistics(episodes: Iterable[Episode], what: str = "dataset") -> dict[str, dict[str, Any]]:
    """Statistics of every observation and of the commanded and applied actions.

    The command at LAST is ignored by the robot and `applied` at FIRST answers no command: neither is counted.

    Raises:
        UserError: a value is not finite.
    """
    moments: dict[str, _Moments] = {}
    for episode in episodes:
        signals = {f"obs/{key}": value for key, value in episode.obs.items()}
        signals |= {COMMANDED: episode.action[:-1], APPLIED: episode.applied[1:]}
        for name, value in signals.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise UserError(f"{what}: {name} is not finite in the episode with seed {episode.seed}")
            for part in _parts(value):
                moments.setdefault(name, _Moments()).add(part)
    return {name: moment.to_json() for name, moment in moments.items() if moment.count}


def _parts(value: np.ndarray) -> Iterator[np.ndarray]:
    step = PART if len(value.shape) > 2 else max(1, len(value))
    for start in range(0, max(1, len(value)), step):
        yield value[start : start + step]


class _Moments:
    """Running min, max, mean and variance of rows (Chan, Golub, LeVeque: "Updating formulae", 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.spread = np.zeros(())
        self.low, self.high = np.asarray(np.inf), np.asarray(-np.inf)

    def add(self, value: np.ndarray) -> None:
        """Take in (T, *shape): one row an element of the last axis."""
        width = value.shape[-1] if value.ndim > 1 else 1
        rows = value.reshape(-1, width).astype(np.float64)
        if not rows.size:
            return
        mean, total = rows.mean(axis=0), self.count + len(rows)
        gap = mean - self.mean
        self.spread = self.spread + ((rows - mean) ** 2).sum(axis=0) + gap**2 * (self.count * len(rows) / total)
        self.mean = self.mean + gap * (len(rows) / total)
        self.low, self.high = np.minimum(self.low, rows.min(axis=0)), np.maximum(self.high, rows.max(axis=0))
        self.count = total

    def to_json(self) -> dict[str, Any]:
        numbers = {"min": self.low, "max": self.high, "mean": self.mean, "std": np.sqrt(self.spread / self.count)}
        return {name: value.tolist() for name, value in numbers.items()} | {"count": self.count}


def _write_atomically(path: Path, content: Mapping[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
