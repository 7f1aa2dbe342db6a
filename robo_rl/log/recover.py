"""An indexed copy of a log that was cut anywhere."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Header, Schema

from robo_rl.errors import CorruptFile, UserError
from robo_rl.log import records
from robo_rl.log.columns import steps
from robo_rl.log.mcap_file import IndexedFile, MessageIndex
from robo_rl.log.reader import BROKEN, readable
from robo_rl.log.records import RECORD, Messages, Record, RecordStream
from robo_rl.types import Kind, Success

NANO = 1_000_000_000
AHEAD = 8  # records that are read ahead


@dataclass
class Recovery:
    """What was found in a file, and what its steps tell."""

    messages: int = 0
    chunks: int = 0
    damaged: int = 0  # chunks that were left out
    lost_bytes: int = 0  # behind the last whole record
    truncated: bool = False
    size: int = 0  # of the copy, bytes
    ticks: int = 0
    episodes: int = 0  # that reached their end
    successes: int = 0
    seconds: float = 0.0  # from the first tick to the last, log time

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def recover(source: Path, target: Path) -> Recovery:
    """Copy every whole message of `source` into `target`, with an index at its end; constant memory but for the index.

    Raises:
        UserError: the target exists or cannot be written.
        CorruptFile: not an MCAP file, or cut before its first message.
    """
    if target.exists():
        raise UserError(f"out={target}: exists; a log is never overwritten")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    with _writable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = _Target(partial)
    try:
        found = _Copy(source, copy).run()
        copy.close()
        partial.rename(target)
        return found
    finally:
        copy.close()
        partial.unlink(missing_ok=True)


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"out={target}: cannot be written: {error.strerror}") from error


class _Target(IndexedFile):
    """Says of errors that they are the copy's, not the source's."""

    def _write(self, data: bytes) -> None:
        with _writable(self.path):
            super()._write(data)


class _Copy:
    def __init__(self, source: Path, copy: IndexedFile) -> None:
        self._source, self._copy, self._found = source, copy, Recovery()
        self._first: int | None = None  # log time [ns]

    def run(self) -> Recovery:
        found = self._found
        with readable(self._source), self._source.open("rb") as file:
            stream, head = RecordStream(file), []
            iterator = iter(stream)
            for record in iterator:
                if record.opcode in (Opcode.CHUNK, Opcode.MESSAGE):
                    self._begin(head)
                    self._take_all(chain((record,), iterator))
                    break
                head.append(record)
            if not self._copy.size:
                raise CorruptFile(f"{self._source}: cut before its first message; nothing to recover")
            self._copy.finish()
            found.truncated, found.size = stream.truncated, self._copy.size
            found.lost_bytes = self._source.stat().st_size - stream.end if stream.truncated else 0
        return found

    @property
    def _steps(self) -> set[int]:
        """Ids of the channels that hold steps."""
        return {channel.id for channel in self._copy.channels if channel.topic == "step"}

    def _summarise(self, messages: Messages) -> None:
        found, told = self._found, steps(messages.payloads)
        last = told["kind"] == Kind.LAST
        found.ticks += len(last)
        found.episodes += int(last.sum())
        found.successes += int((told["success"][last] == Success.YES).sum())
        self._first = int(messages.times[0]) if self._first is None else self._first
        found.seconds = (int(messages.times[-1]) - self._first) / NANO

    def _begin(self, head: list[Record]) -> None:
        header = Header("", "robo_rl recover")
        attachments = []
        for record in head:
            if record.opcode == Opcode.HEADER:
                header = Header.read(records.stream(record.body))
            elif record.opcode == Opcode.ATTACHMENT:
                attachments.append(records.attachment(record.body))
        self._copy.begin(header, attachments)
        for record in head:
            self._declare(record)

    def _declare(self, record: Record) -> None:
        kind = {Opcode.SCHEMA: Schema, Opcode.CHANNEL: Channel}.get(record.opcode)  # type: ignore[call-overload]
        if kind is not None:
            self._copy.declare(kind.read(records.stream(record.body)))

    def _take_all(self, found: Iterator[Record]) -> None:
        """Copy records in their order; chunks are decompressed some ahead, beside this thread."""
        ahead: deque[tuple[Record, Future[tuple[Chunk, bytes]] | None]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for record in found:
                chunk = pool.submit(records.unpack, record.body) if record.opcode == Opcode.CHUNK else None
                ahead.append((record, chunk))
                if len(ahead) > AHEAD:
                    self._take(*ahead.popleft())
            for record, chunk in ahead:
                self._take(record, chunk)

    def _take(self, record: Record, unpacked: Future[tuple[Chunk, bytes]] | None) -> None:
        if unpacked is not None:
            try:
                chunk, data = unpacked.result()
                self._add(chunk.compression, chunk.data, data, chunk.uncompressed_crc)
            except BROKEN:
                self._found.damaged += 1
        elif record.opcode == Opcode.MESSAGE:
            data = RECORD.pack(Opcode.MESSAGE, len(record.body)) + record.body
            self._add("", data, data, 0)
        else:
            self._declare(record)

    def _add(self, compression: str, packed: bytes, data: bytes, crc: int) -> None:
        """Copy a chunk; `packed` is its data, compressed, and `crc` the data's checksum, 0 where there is none."""
        table = records.ticks(data)
        alone = list(records.rest(data, table.rows.size))
        if any(part.channel in table.channels for part in alone if isinstance(part, Messages)):
            table, alone = records.NO_TICKS, list(records.split(data))  # the rows are not all there is of a channel
        index = MessageIndex()
        if len(table.rows):
            index.add(table.channels.tolist(), table.times, table.offsets)
        index.add_all(self._entries(alone))
        for part in (*table.only(self._steps), *alone):
            if isinstance(part, Messages) and part.channel in self._steps:
                self._summarise(part)
        if index.counts:
            self._copy.write_chunk(compression, packed, len(data), crc or zlib.crc32(data), index)
            self._found.chunks += 1
            self._found.messages += sum(index.counts.values())

    def _entries(self, parts: list[Messages | Channel]) -> dict[int, np.ndarray]:
        """Channel -> (K, 2) log time and offset of its messages; channels that are declared here are kept."""
        entries: dict[int, list[np.ndarray]] = {}
        for part in parts:
            if isinstance(part, Channel):
                self._copy.declare(part)
            else:
                entries.setdefault(part.channel, []).append(np.stack([part.times, part.at], axis=1))
        return {channel: np.concatenate(found) for channel, found in entries.items()}
