"""`robo-rl episodes`: which episodes a dataset has, and which of them it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.data.dataset import write_statistics
from robo_rl.data.excluded import read_excluded, write_excluded
from robo_rl.errors import UnknownName, UserError
from robo_rl.log.episode import Episode
from robo_rl.log.reader import find_logs, read_log


class Entry(NamedTuple):
    """One complete episode: its log, its number there, and itself."""

    log: str
    number: int
    episode: Episode


def main(config: DictConfig) -> None:
    """Show them; with `drop` or `restore`, change what is left out and the statistics."""
    if config.dataset is None:
        raise UserError("dataset=: the folder of a dataset is needed")
    folder = Path(str(config.dataset)).expanduser()
    if folder.is_file():
        raise UserError(f"dataset={folder}: is one file; the folder of a dataset is needed")
    entries = _entries(folder)
    before = read_excluded(folder)
    drop, restore = (_chosen(config, key, entries) for key in ("drop", "restore"))
    left_out = {(log, number) for log, numbers in before.items() for number in numbers}
    after = (left_out | {entry[:2] for entry in drop}) - {entry[:2] for entry in restore}
    if after != left_out:
        if all(entry[:2] in after for entry in entries):
            raise UserError(f"drop={list(config.drop)}: leaves no episode in dataset={folder}")
        by_log = {log: frozenset(number for name, number in after if name == log) for log, _ in after}
        write_excluded(folder, by_log)
        write_statistics(folder)
    shown = [(str(at), _line(entry, entry[:2] in after)) for at, entry in enumerate(entries)]
    session.show(f"episodes of {folder}", shown)


def _entries(folder: Path) -> list[Entry]:
    """In the order of the logs' names."""
    return [
        Entry(path.relative_to(folder).as_posix(), number, episode)
        for path in find_logs(folder, "dataset")
        for number, episode in enumerate(read_log(path).episodes)
        if episode.complete
    ]


def _chosen(config: DictConfig, key: str, entries: list[Entry]) -> list[Entry]:
    for text in runs.values(config[key]):
        if not text.isdecimal() or int(text) >= len(entries):
            raise UnknownName(key, text, [f"0 to {len(entries) - 1}"])
    return [entries[int(text)] for text in runs.values(config[key])]


def _line(entry: Entry, out: bool) -> str:
    episode: Any = entry.episode
    verdict = "success" if episode.succeeded else "no success"
    return f"{verdict}, {len(episode) - 1} ticks, seed {episode.seed}, {entry.log}{', left out' if out else ''}"
