"""`robo-rl recover`: logs that were cut, as whole files with an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.errors import UserError
from robo_rl.log.reader import find_logs
from robo_rl.log.recover import recover


def main(config: DictConfig) -> None:
    """Write `out`/log/*.mcap and `out`/result.json: what was found in each file."""
    if config.log is None:
        raise UserError("log=: recover needs a log, a run folder, a list or a glob")
    paths = find_logs(runs.values(config.log))
    out = runs.new_folder(config, "recover")
    files = [_recover(path, target) for path, target in zip(paths, _targets(paths, out / "log"), strict=True)]
    keys = ("messages", "damaged", "lost_bytes", "ticks", "episodes", "successes", "seconds")
    result = {"files": files, "logs": len(files), **{key: sum(file[key] for file in files) for key in keys}}
    runs.write_json(out / "result.json", result)
    session.show("recover", [*((key, result[key]) for key in ("logs", *keys)), ("out", out)])


def _recover(path: Path, target: Path) -> dict[str, Any]:
    return {"log": str(path), "copy": str(target), **recover(path, target).to_json()}


def _targets(paths: list[Path], folder: Path) -> list[Path]:
    """A name of its own for every copy: the log's, numbered where two folders hold logs of one name."""
    names: dict[str, int] = {}
    found = []
    for path in paths:
        count = names[path.stem] = names.get(path.stem, 0) + 1
        found.append(folder / (path.name if count == 1 else f"{path.stem}-{count}.mcap"))
    return found
