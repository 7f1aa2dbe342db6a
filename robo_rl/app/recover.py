"""`robo-rl recover`: logs that were cut, as whole files with an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.errors import CorruptFile, UserError
from robo_rl.log.reader import find_logs
from robo_rl.log.recover import recover

LOGS = ("log",)


def main(config: DictConfig) -> None:
    """Write `out`/log/*.mcap and `out`/result.json: what was found in each file."""
    if config.log is None:
        raise UserError("log=: recover needs a log, a run folder, a list or a glob")
    paths = find_logs(runs.values(config.log))
    with runs.fresh_folder(config, "recover", LOGS, keep=LOGS) as out:
        files, left_out = _recover_each(paths, out / "log")
    session.note_left_out(left_out)
    keys = ("messages", "damaged", "lost_bytes", "ticks", "episodes", "successes", "seconds")
    result = {
        "files": files,
        "left_out": left_out,
        "logs": len(files),
        **{key: sum(file[key] for file in files) for key in keys},
    }
    runs.write_json(out / "result.json", result)
    session.show("recover", [*((key, result[key]) for key in ("logs", *keys)), ("out", out)])


def _recover_each(paths: list[Path], folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """What was found in each file, and why others cannot be read; raises `CorruptFile` where none can."""
    files, left_out = [], []
    for path, target in zip(paths, _targets(paths, folder), strict=True):
        try:
            files.append(_recover(path, target))
        except CorruptFile as error:
            left_out.append({"log": str(path), "why": str(error)})
    if not files:
        raise CorruptFile(left_out[0]["why"])
    return files, left_out


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
