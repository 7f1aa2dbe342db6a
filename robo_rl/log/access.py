"""Random access to a log that has its index: by episode and by time, without reading the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mcap.reader import SeekingReader
from mcap.records import ChunkIndex

from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.log.images import Pictures
from robo_rl.log.reader import LogStream, readable
from robo_rl.log.schema import IMAGE

NANO = 1_000_000_000
BEGUN = "episode started"
_TIMED = ("action", "applied", "reward", "discount", "kind", "success", "reason", "time")


@dataclass(frozen=True)
class Beginning:
    """Where an episode begins: seed as the recorder's event tells it, and log time [s], Unix."""

    seed: int
    time: float


class LogIndex:
    """A log file's chunks and episodes.

    Raises:
        CorruptFile: not a log, or damaged.
        UserError: it has no index.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with readable(self.path), self.path.open("rb") as file:
            stream = LogStream(self.path)
            stream.__exit__()
            try:
                summary = SeekingReader(file).get_summary()
            except Exception as error:  # whatever a file without an end makes the stock reader raise
                raise UserError(f"log={self.path}: has no index; make one with: robo-rl recover log=...") from error
        if summary is None:
            raise UserError(f"log={self.path}: has no index; make one with: robo-rl recover log=...")
        self._chunks = sorted(summary.chunk_indexes, key=lambda chunk: chunk.message_start_time)
        self._events = {number for number, channel in summary.channels.items() if channel.topic == "events"}
        kinds = {number: schema.name for number, schema in summary.schemas.items()}
        self._pictures = [n for n, channel in summary.channels.items() if kinds.get(channel.schema_id) == IMAGE]

    @property
    def times(self) -> tuple[float, float]:
        """First and last log time [s]."""
        ends = [chunk.message_end_time for chunk in self._chunks]
        return (self._chunks[0].message_start_time / NANO, max(ends) / NANO) if ends else (0.0, 0.0)

    def beginnings(self) -> list[Beginning]:
        """The episodes in their order, from the chunks that hold events."""
        telling = [chunk for chunk in self._chunks if self._events & chunk.message_index_offsets.keys()]
        with LogStream(self.path, _places(telling)) as log:
            for _ in log:
                pass
            lines = [text for text in log.texts if text.text.startswith(BEGUN)]
        return [Beginning(int(line.text.rpartition(" ")[2]), line.time) for line in lines]

    def episode(self, number: int) -> Episode:
        """The episode of a number, from 0; raises IndexError beyond the last."""
        beginnings = self.beginnings()
        start = beginnings[number].time
        after = [beginning.time for beginning in beginnings if beginning.time > start]
        stop = min(after) if after else np.inf
        return next(episode for episode in self._read(start, stop) if episode.time[0] >= start - 1e-6)

    def between(self, start: float, stop: float) -> list[Episode]:
        """The parts of episodes with start <= log time <= stop [s]; each may begin and end in its middle."""
        return [cut for episode in self._read(start, stop) if len(cut := within(episode, start, stop))]

    def _read(self, start: float, stop: float) -> Iterator[Episode]:
        first, last = start * NANO - 1000, stop * NANO + 1000  # a float of Unix time is good for 0.2 us
        wanted = [c for c in self._chunks if c.message_end_time >= first and c.message_start_time <= last]
        with LogStream(self.path, _places([*self._shown_at(first), *wanted])) as log:
            yield from log

    def _shown_at(self, time: float) -> list[ChunkIndex]:
        """The chunks that end before a time [ns] and hold the pictures that are still shown then."""
        before = [chunk for chunk in self._chunks if chunk.message_end_time < time]
        holding = [[c for c in before if number in c.message_index_offsets] for number in self._pictures]
        newest = {chunks[-1].chunk_start_offset: chunks[-1] for chunks in holding if chunks}
        return list(newest.values())


def _places(chunks: Sequence[ChunkIndex]) -> list[int]:
    return [chunk.chunk_start_offset for chunk in chunks]


def within(episode: Episode, start: float, stop: float) -> Episode:
    """The ticks of an episode with start <= log time <= stop [s]."""
    at = slice(*np.searchsorted(episode.time, [start, np.nextafter(stop, np.inf)]))
    arrays = {name: getattr(episode, name)[at] for name in _TIMED}
    maps = {name: {k: _part(v, at) for k, v in getattr(episode, name).items()} for name in ("obs", "extra", "stamp")}
    return replace(episode, **arrays, **maps)


def _part(value: Any, at: slice) -> Any:
    return value.part(at) if isinstance(value, Pictures) else value[at]
