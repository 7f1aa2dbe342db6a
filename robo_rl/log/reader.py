"""Reading logs: linearly, so that a file without its end is as good as one with it."""

from __future__ import annotations

import glob
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from google.protobuf.message import DecodeError
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk
from mcap.stream_reader import get_chunk_data_stream

from robo_rl.errors import CorruptFile, UserError
from robo_rl.log.episode import Episode
from robo_rl.log.header import Specs, parse
from robo_rl.log.layout import APPLIED, COMMANDED, HEAD, TEXT_TOPICS, action_topic, signals, storage
from robo_rl.log.mcap_file import MAGIC
from robo_rl.log.schema import LOG, SIGNAL, STEP, message_class
from robo_rl.spec import Feature, Spec
from robo_rl.types import Kind

_STEP_DTYPES = {"reward": "f4", "discount": "f4", "kind": "u1", "success": "i1", "reason": "u1", "seed": "i8"}
_STEP_DTYPES |= {"tick": "u8"}
_RECORD = struct.Struct("<BQ")  # opcode, length
_BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, MemoryError)
_BROKEN += (struct.error, zstandard.ZstdError, McapError, DecodeError)


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
    path = Path(path)
    try:
        content = _Content(path.read_bytes())
        if not {"meta.json", "spec.json"} <= content.attachments.keys():
            cut = content.truncated and content.attachments.keys() <= {"meta.json"}
            raise CorruptFile(f"{path}: {'cut before its specs' if cut else 'not a log of robo_rl: it holds no specs'}")
        return _assemble(path, content)
    except OSError as error:
        raise CorruptFile(f"{path}: cannot be read: {error.strerror}") from error
    except _BROKEN as error:
        raise CorruptFile(f"{path}: damaged: {' '.join(str(error).split()) or type(error).__name__}") from error


class _Content:
    """The records of a file: attachments, and by topic the payloads and log times of its messages."""

    def __init__(self, data: bytes) -> None:
        self.attachments: dict[str, bytes] = {}
        self.payloads: dict[str, list[bytes]] = {}
        self.times: dict[str, list[int]] = {}
        self._topics: dict[int, str] = {}
        self._handlers: dict[int, Callable[[bytes], None]] = {
            Opcode.ATTACHMENT: self._attachment,
            Opcode.CHANNEL: self._channel,
            Opcode.CHUNK: self._chunk,
        }
        self.truncated = self._read(data)

    def _read(self, data: bytes) -> bool:
        """Read all whole records; whether the file ends before its footer."""
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise ValueError("not an MCAP file")
        at = len(MAGIC)
        while at + _RECORD.size <= len(data):
            opcode, length = _RECORD.unpack_from(data, at)
            start, at = at, at + _RECORD.size + length
            if at > len(data):
                return True
            if opcode == Opcode.DATA_END:
                return data[-len(MAGIC) :] != MAGIC
            if opcode == Opcode.MESSAGE:
                self._messages(data[start:at])
            elif opcode in self._handlers:
                self._handlers[opcode](data[start + _RECORD.size : at])
        return True

    def _attachment(self, body: bytes) -> None:
        if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
            raise ValueError("an attachment fails its checksum")
        attachment = Attachment.read(_stream(body))
        self.attachments[attachment.name] = attachment.data

    def _channel(self, body: bytes) -> None:
        channel = Channel.read(_stream(body))
        self._topics[channel.id] = channel.topic

    def _chunk(self, body: bytes) -> None:
        stream, length = get_chunk_data_stream(Chunk.read(_stream(body)), validate_crc=True)
        self._messages(stream.read(length))

    def _messages(self, records: bytes) -> None:
        at = 0
        while at < len(records):
            opcode, length = _RECORD.unpack_from(records, at)
            end = at + _RECORD.size + length
            if opcode == Opcode.MESSAGE:
                _, _, channel, _, time, _ = HEAD.unpack_from(records, at)
                topic = self._topics[channel]
                self.payloads.setdefault(topic, []).append(records[at + HEAD.size : end])
                self.times.setdefault(topic, []).append(time)
            elif opcode == Opcode.CHANNEL:
                self._channel(records[at + _RECORD.size : end])
            at = end


def _stream(data: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(data))


def _decode(payloads: list[bytes], feature: Feature) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, *shape) in the feature's dtype and stamps (T,) of a channel's messages."""
    message, values, pixels = message_class(SIGNAL)(), [], []
    name, _, wire = storage(feature)
    stamps = np.empty(len(payloads))
    for index, payload in enumerate(payloads):
        message.ParseFromString(payload)
        if name == "data":
            pixels.append(message.data)
        else:
            values.extend(getattr(message, name))
        stamps[index] = message.stamp
    flat = np.frombuffer(b"".join(pixels), wire) if name == "data" else np.array(values, wire)
    return flat.reshape(len(payloads), *feature.shape).astype(feature.dtype), stamps


def _decode_steps(payloads: list[bytes]) -> dict[str, np.ndarray]:
    message, columns = message_class(STEP)(), {name: [] for name in _STEP_DTYPES}
    for payload in payloads:
        message.ParseFromString(payload)
        for name, column in columns.items():
            column.append(getattr(message, name))
    return {name: np.array(column, _STEP_DTYPES[name]) for name, column in columns.items()}


def _assemble(path: Path, content: _Content) -> Log:
    specs, meta = parse(content.attachments)
    steps = _decode_steps(content.payloads.get("step", []))
    ticks = len(steps["kind"])
    columns, stamps = {}, {}
    for topic, feature in signals(*specs).items():
        payloads = content.payloads.get(topic, [])
        if len(payloads) != ticks:
            raise ValueError(f"{len(payloads)} messages on {topic}, {ticks} on step")
        columns[topic], stamps[topic] = _decode(payloads, feature)
    steps["time"] = np.array(content.times.get("step", []), np.float64) / 1e9
    episodes = [
        _episode(slice(start, stop), specs, steps, columns, stamps, {**meta, "path": str(path)})
        for start, stop in _borders(steps["kind"], steps["tick"])
    ]
    return Log(path, meta, *specs, episodes, content.truncated, _texts(content), _timing(content))


def _borders(kind: np.ndarray, tick: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each run of ticks that begins with FIRST: up to LAST, or to where the episode breaks off."""
    breaks = np.flatnonzero((kind == Kind.FIRST) | (kind == Kind.RESET) | (np.diff(tick, prepend=tick[:1]) > 1))
    ends = np.union1d(breaks, np.flatnonzero(kind == Kind.LAST) + 1)
    starts = np.flatnonzero(kind == Kind.FIRST)
    after = np.searchsorted(ends, starts, side="right")
    return [(int(s), int(ends[a]) if a < len(ends) else len(kind)) for s, a in zip(starts, after, strict=True)]


def _episode(
    at: slice,
    specs: Specs,
    steps: Mapping[str, np.ndarray],
    columns: Mapping[str, np.ndarray],
    stamps: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
) -> Episode:
    fields = {name: steps[name][at] for name in ("reward", "discount", "kind", "success", "reason", "time")}
    captured = {key: stamps[f"obs/{key}"][at] for key in specs.obs}
    return Episode(
        obs={key: columns[f"obs/{key}"][at] for key in specs.obs},
        action=columns[COMMANDED][at],
        extra={key: columns[action_topic(key)][at] for key in specs.extra},
        applied=columns[APPLIED][at],
        seed=int(steps["seed"][at.start]),
        row=int(meta["row"]),
        stamp={key: stamp for key, stamp in captured.items() if not np.isnan(stamp).all()},
        meta=meta,
        **fields,
    )


def _texts(content: _Content) -> list[Text]:
    message, texts = message_class(LOG)(), []
    for topic in TEXT_TOPICS:
        for time, payload in zip(content.times.get(topic, []), content.payloads.get(topic, []), strict=True):
            message.ParseFromString(payload)
            level = message.DESCRIPTOR.enum_types_by_name["Level"].values_by_number[message.level].name
            texts.append(Text(time / 1e9, topic, level, message.message))
    return sorted(texts, key=lambda text: text.time)


def _timing(content: _Content) -> dict[str, np.ndarray]:
    message, names, rows = message_class(SIGNAL)(), [], []
    for payload in content.payloads.get("timing", []):
        message.ParseFromString(payload)
        names = list(message.names)
        rows.append(list(message.values))
    return dict(zip(names, np.array(rows, np.float64).T, strict=True)) if rows else {}
