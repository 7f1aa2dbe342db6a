"""Run folders and logs as the material of a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from robo_rl.errors import CorruptFile, UserError
from robo_rl.evaluate.logs import measure_each, summarise_logs
from robo_rl.log.metrics import read_metrics

LEFT_OUT = ("out", "command", "device", "resume", "threads")  # keys of a config that say nothing about a result


@dataclass(frozen=True)
class Source:
    """A run folder, or some logs without one. What is missing is empty."""

    name: str
    folder: Path
    logs: list[Path] = field(default_factory=list)
    result: Mapping[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    config: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)  # see `measure_logs`
    video: Path | None = None
    left_out: list[dict[str, str]] = field(default_factory=list)  # logs that cannot be read: `log`, `why`

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One an episode: of the logs, which tell more, else of the result."""
        return list(self.measured.get("rows") or self.result.get("rows") or [])

    @property
    def readable(self) -> bool:
        """Whether it holds more than logs that cannot be read."""
        return bool(self.logs or self.result or self.metrics)

    @property
    def about(self) -> Mapping[str, Any]:
        """Result of the run, with what its logs tell where it says nothing."""
        return {**self.measured, **self.result}


def gather(inputs: Iterable[str]) -> list[Source]:
    """Every run folder and log of files, folders (searched recursively) and globs.

    Raises:
        UserError: nothing found; names the value.
        CorruptFile: nothing that was found can be read. A log among others that cannot is in its run's `left_out`.
    """
    found: dict[Path, list[Path]] = {}
    for value in inputs:
        for folder, logs in _find(value).items():
            found.setdefault(folder, []).extend(log for log in logs if log not in found.get(folder, []))
    names = _names(list(found))
    sources = [_load(names[folder], folder, logs) for folder, logs in found.items()]
    left_out = [one["why"] for source in sources for one in source.left_out]
    if left_out and not any(source.readable for source in sources):
        raise CorruptFile(left_out[0])
    return sources


def _find(value: str) -> dict[Path, list[Path]]:
    """Folder of each run -> its logs."""
    path = Path(value).expanduser()
    paths = [path] if path.exists() else sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    found: dict[Path, list[Path]] = {}
    for place in paths:
        if place.is_file() and place.suffix == ".mcap":
            found.setdefault(_run_of(place), []).append(place)
        for file in sorted(place.rglob("*")) if place.is_dir() else []:
            if file.name in ("result.json", "metrics.jsonl"):
                found.setdefault(file.parent, [])
            elif file.suffix == ".mcap":
                found.setdefault(_run_of(file), []).append(file)
    if not found:
        raise UserError(f"inputs={value}: holds no run folder (result.json, metrics.jsonl) and no log (*.mcap)")
    return found


def _run_of(log: Path) -> Path:
    return log.parent.parent if log.parent.name == "log" else log.parent


def _names(folders: list[Path]) -> dict[Path, str]:
    """The shortest names that tell folders apart."""
    for depth in range(1, 10):
        names = {folder: "/".join(folder.absolute().parts[-depth:]) for folder in folders}
        if len(set(names.values())) == len(folders):
            return names
    return {folder: str(folder) for folder in folders}


def _load(name: str, folder: Path, logs: list[Path]) -> Source:
    videos = [path for path in (folder / "video.webm", folder / "video.mp4") if path.is_file()]
    metrics = folder / "metrics.jsonl"
    readable, left_out = measure_each(logs)
    return Source(
        name=name,
        folder=folder,
        logs=[Path(log["log"]) for log in readable],
        result=_read(folder / "result.json", json.loads),
        metrics=read_metrics(metrics) if metrics.is_file() else [],
        config=flat(_read(folder / "config.yaml", yaml.safe_load)),
        measured=summarise_logs(readable, left_out, "inputs") if readable else {},
        left_out=left_out,
        video=videos[0] if videos else None,
    )


def _read(path: Path, parse: Any) -> dict[str, Any]:
    with suppress(OSError, ValueError, yaml.YAMLError):
        data = parse(path.read_text())
        return data if isinstance(data, dict) else {}
    return {}


def flat(data: Any, prefix: str = "") -> dict[str, str]:
    """Nested keys as `a.b.c`, values as texts."""
    if not isinstance(data, Mapping):
        return {prefix: str(data)}
    return {
        key: text for name, value in data.items() for key, text in flat(value, f"{prefix}.{name}".lstrip(".")).items()
    }


def differences(sources: list[Source]) -> dict[str, list[str]]:
    """Config keys whose values are not the same in all sources that have a config -> their values."""
    having = [source for source in sources if source.config]
    keys = dict.fromkeys(key for source in having for key in source.config if key.split(".")[0] not in LEFT_OUT)
    values = {key: [str(source.config.get(key, "")) for source in having] for key in keys}
    return {key: found for key, found in values.items() if len(set(found)) > 1}
