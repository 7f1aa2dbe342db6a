"""Reading logs: linearly, so that a file without its end is as good as one with it; episode by episode where a log is
too long for memory."""

from __future__ import annotations

import glob
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard
from google.protobuf.message import DecodeError
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel

from robo_rl.errors import CorruptFile, UserError
from robo_rl.log import columns, records
from robo_rl.log.assemble import Assembler, Pending
from robo_rl.log.episode import Episode
from robo_rl.log.header import Specs, parse
from robo_rl.log.images import Album, Pictures
from robo_rl.log.layout import TEXT_TOPICS, obs_topic, pictures
from robo_rl.log.schema import IMAGE, LOG, message_class
from robo_rl.spec import Feature, Spec

BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, MemoryError)
BROKEN += (struct.error, zstandard.ZstdError, McapError, DecodeError)


@dataclass(frozen=True)
class Text:
    """A line of the `safety` or `events` channel."""

    time: float  # [s], Unix
    topic: str
    level: str
    text: str


@dataclass(frozen=True)
class Log:
    """A log file. `truncated` says that its end is missing: the writer was killed, or the file was cut."""

    path: Path
    meta: Mapping[str, Any]
    obs_spec: Spec
    act_spec: Feature
    extra_spec: Spec
    episodes: list[Episode]
    truncated: bool
    texts: list[Text] = field(default_factory=list)
    timing: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (ticks,) [s]

    @property
    def dt(self) -> float:
        """Control period [s]."""
        return float(self.meta["dt"])


def find_logs(paths: str | Path | Iterable[str | Path], key: str = "log") -> list[Path]:
    """Log files of a file, a folder (searched recursively), a glob, or a list of these; sorted within each, no doubles.

    Raises:
        UserError: nothing found; names `key` and the value.
    """
    single = isinstance(paths, str | Path)
    found: dict[Path, None] = {}
    for value in [paths] if single else list(paths):  # type: ignore[list-item]
        found |= dict.fromkeys(_find(Path(value).expanduser(), key))
    if not found:
        raise UserError(f"{key}={paths}: no logs given; expected .mcap files, folders of them, or a glob")
    return list(found)


def _find(path: Path, key: str) -> list[Path]:
    if path.is_file():
        return [path]
    roots = [path] if path.is_dir() else [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    files = [file for root in roots for file in (sorted(root.rglob("*.mcap")) if root.is_dir() else [root])]
    if not files:
        problem = "holds no *.mcap file" if path.is_dir() else "no such file, folder or glob match"
        raise UserError(f"{key}={path}: {problem}")
    return files


def read_log(path: str | Path) -> Log:
    """Read a log; of a file cut anywhere, everything before the cut.

    Raises:
        CorruptFile: not a log, damaged, or cut before its specs were written.
    """
    with LogStream(path) as log:
        episodes = list(log)
        return Log(log.path, log.meta, *log.specs, episodes, log.truncated, log.texts, log.timing)


class LogStream:
    """A log, episode by episode: iterating reads the file once and holds one episode at a time.

    Args:
        chunks: read only the chunks at these places of the file (default: all); an episode may then begin in its
            middle.

    Attributes:
        meta, specs: of the file's head.
        truncated: once iterated, whether the file's end is missing.
        texts, timing: once iterated, those of the whole file.

    Raises:
        CorruptFile: here or while iterating: not a log, damaged, or cut before its specs were written.
    """

    def __init__(self, path: str | Path, chunks: Iterable[int] | None = None) -> None:
        self.path, self.truncated, self._places = Path(path), True, chunks
        self.texts: list[Text] = []
        self._timing: list[Mapping[str, np.ndarray]] = []
        self._topics: dict[int, str] = {}
        self._offset: float | None = None
        with readable(self.path):
            self._file: BinaryIO = self.path.open("rb")
        try:
            with readable(self.path):
                self._records = records.RecordStream(self._file)
                self._iterator = iter(self._records)
                self._chunk: records.Record | None = None
                self.specs, self.meta = self._begin()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> LogStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Episode]:
        pending = Pending(self.specs)
        meta, part = {**self.meta, "path": str(self.path)}, self._places is not None
        album = Album(pictures(self.specs.obs), str(self.path))
        keys = {obs_topic(key): key for key in album.features}
        assembler, waiting = Assembler(self.specs, meta, album, anywhere=part), deque()
        with readable(self.path):
            for chunk in self._chunks():
                for topic, messages in self._split(chunk):
                    if topic in keys:
                        album.add(keys[topic], messages.times, images(messages))
                    else:
                        pending.add(topic, messages)
                waiting.extend(assembler.add(pending.take()))
                while waiting and album.complete(pictures_of(waiting[0])):
                    yield _filled(album, waiting.popleft())
            self.truncated = self._records.truncated
            if not self.truncated and not part:
                pending.require_empty()
            for episode in (*waiting, *assembler.end()):
                yield _filled(album, episode)
        self.texts.sort(key=lambda text: text.time)

    @property
    def timing(self) -> dict[str, np.ndarray]:
        """Name -> (ticks,) [s]."""
        names = self._timing[0] if self._timing else ()
        return {name: np.concatenate([part[name] for part in self._timing]) for name in names}

    @property
    def clock_offset(self) -> float | None:
        """Log time minus the recorder's monotonic clock [s]: constant in a file. None before the first tick."""
        return self._offset

    def _begin(self) -> tuple[Specs, dict[str, Any]]:
        """Read up to the first chunk."""
        attachments: dict[str, bytes] = {}
        for record in self._iterator:
            if record.opcode == Opcode.ATTACHMENT:
                found = records.attachment(record.body)
                attachments[found.name] = found.data
            elif record.opcode == Opcode.CHANNEL:
                self._declare(records.channel(record.body))
            elif record.opcode in (Opcode.CHUNK, Opcode.MESSAGE):
                self._chunk = record
                break
        if not {"meta.json", "spec.json"} <= attachments.keys():
            cut = self._chunk is None and self._records.truncated and attachments.keys() <= {"meta.json"}
            why = "cut before its specs" if cut else "not a log of robo_rl: it holds no specs"
            raise CorruptFile(f"{self.path}: {why}")
        return parse(attachments)

    def _chunks(self) -> Iterator[records.Record]:
        if self._places is not None:
            yield from map(self._records.read, self._places)
            return
        if self._chunk is not None:
            yield self._chunk
        for record in self._iterator:
            if record.opcode in (Opcode.CHUNK, Opcode.MESSAGE):
                yield record
            elif record.opcode == Opcode.CHANNEL:
                self._declare(records.channel(record.body))

    def _declare(self, channel: Channel) -> None:
        self._topics[channel.id] = channel.topic

    def _split(self, record: records.Record) -> Iterator[tuple[str, records.Messages]]:
        """The messages of a chunk, or one that stands alone, by topic; texts and timing are kept here."""
        chunked = record.opcode == Opcode.CHUNK
        found = records.split(records.unpack(record.body)[1]) if chunked else iter([records.message(record.body)])
        for part in found:
            if isinstance(part, Channel):
                self._declare(part)
                continue
            topic = self._topics[part.channel]
            if topic in TEXT_TOPICS:
                self.texts += texts(topic, part)
            elif topic == "timing":
                self._timing.append(columns.timing(part.payloads))
                if self._offset is None and "monotonic" in self._timing[0]:
                    self._offset = float(part.times[0]) / 1e9 - float(self._timing[0]["monotonic"][0])
            else:
                yield topic, part


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes the code within raise, as a `CorruptFile` of one line."""
    try:
        yield
    except OSError as error:
        raise CorruptFile(f"{path}: cannot be read: {error.strerror}") from error
    except BROKEN as error:
        raise CorruptFile(f"{path}: damaged: {' '.join(str(error).split()) or type(error).__name__}") from error


def texts(topic: str, messages: records.Messages) -> list[Text]:
    """The lines of a text channel's messages."""
    message, found = message_class(LOG)(), []
    for time, payload in zip(messages.times, messages.payloads, strict=True):
        message.ParseFromString(payload.tobytes())
        level = message.DESCRIPTOR.enum_types_by_name["Level"].values_by_number[message.level].name
        found.append(Text(float(time) / 1e9, topic, level, message.message))
    return found


def images(messages: records.Messages) -> list[bytes]:
    """The compressed pictures of a channel's messages."""
    message, found = message_class(IMAGE)(), []
    for payload in messages.payloads:
        message.ParseFromString(payload.tobytes())
        found.append(message.data)
    return found


def pictures_of(episode: Episode) -> list[tuple[str, Pictures]]:
    """The observations of an episode that are pictures."""
    return [(key, value) for key, value in episode.obs.items() if isinstance(value, Pictures)]


def _filled(album: Album, episode: Episode) -> Episode:
    album.fill(pictures_of(episode))
    return episode
