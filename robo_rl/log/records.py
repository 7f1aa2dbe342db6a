"""The records of an MCAP file, one after the other: constant memory, and a file without its end is as good as one with.

The ticks of a chunk that this project's recorder wrote repeat byte for byte in their heads, so they are taken as one
array; whatever else a chunk holds is read message by message.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk
from mcap.stream_reader import get_chunk_data_stream

from robo_rl.log.layout import HEAD, OPCODE_MESSAGE
from robo_rl.log.mcap_file import MAGIC

RECORD = struct.Struct("<BQ")  # opcode, length
LARGEST_CHUNK = 1 << 30  # bytes, uncompressed: what a damaged size may make this process allocate
_FIXED = np.arange(11)  # opcode, length and channel of a message's head: equal in every tick
_TIME = np.arange(15, 23)  # where its log time stands


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record: `at` is where it starts in the file, `body` what follows its length."""

    opcode: int
    at: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Messages:
    """K messages of one channel that have one length: times (K,) [ns], payloads (K, L) uint8, and the offset of each
    record in its chunk (K,)."""

    channel: int
    times: np.ndarray
    payloads: np.ndarray
    at: np.ndarray


class RecordStream:
    """Iterates over the records from a file's beginning up to its data's end, or to where it was cut. The index of each
    chunk is passed over: who reads all messages has no use for it.

    Attributes:
        truncated: once iterated, whether the file ends before its footer.
        end: once iterated, where the last whole record ends.

    Raises:
        ValueError: not an MCAP file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.truncated, self.end = file, True, len(MAGIC)
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(len(MAGIC))
        if start != MAGIC[: len(start)]:
            raise ValueError("not an MCAP file")

    def read(self, at: int) -> Record:
        """The record at a place that an index names."""
        self._file.seek(at)
        opcode, length = RECORD.unpack(self._file.read(RECORD.size))
        if at + RECORD.size + length > self._size:
            raise ValueError("the index names a place beyond the file's end")
        return Record(opcode, at, self._file.read(length))

    def __iter__(self) -> Iterator[Record]:
        while (at := self.end) + RECORD.size <= self._size:
            self._file.seek(at)
            opcode, length = RECORD.unpack(self._file.read(RECORD.size))
            if at + RECORD.size + length > self._size:
                return
            self.end = at + RECORD.size + length
            if opcode == Opcode.DATA_END:
                self._file.seek(self._size - len(MAGIC))
                self.truncated = self._file.read() != MAGIC
                return
            if opcode != Opcode.MESSAGE_INDEX:
                yield Record(opcode, at, self._file.read(length))


def attachment(body: bytes) -> Attachment:
    """Raises ValueError where its checksum fails."""
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        raise ValueError("an attachment fails its checksum")
    return Attachment.read(stream(body))


def channel(body: bytes) -> Channel:
    return Channel.read(stream(body))


def stream(data: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(data))


def unpack(body: bytes) -> tuple[Chunk, bytes]:
    """A chunk's head and its records, uncompressed and checked. Raises what a damaged one makes its libraries raise."""
    chunk = Chunk.read(stream(body))
    sizes = [chunk.uncompressed_size]
    if chunk.compression == "zstd":
        sizes.append(zstandard.frame_content_size(chunk.data))
    if max(sizes) > LARGEST_CHUNK:
        raise ValueError(f"a chunk of {max(sizes)} bytes")
    data, length = get_chunk_data_stream(chunk, validate_crc=True)
    return chunk, data.read(length)


@dataclass(frozen=True, slots=True)
class Ticks:
    """The leading records of a chunk that repeat with one period.

    Attributes:
        rows: (K, B) uint8, one period each.
        channels: (C,) in the order of their records.
        at, length: (C,) offset and length of each record in a row.
    """

    rows: np.ndarray
    channels: np.ndarray
    at: np.ndarray
    length: np.ndarray

    @property
    def times(self) -> np.ndarray:
        """(K, C) uint64 log time [ns] of each record."""
        places = (self.at[:, None] + _TIME).ravel()
        return np.ascontiguousarray(self.rows[:, places]).view("<u8")

    @property
    def offsets(self) -> np.ndarray:
        """(K, C) uint64 offset of each record in the chunk."""
        starts = self.rows.shape[1] * np.arange(len(self.rows), dtype=np.uint64)
        return starts[:, None] + self.at.astype(np.uint64)

    def only(self, channels: Container[int]) -> Iterator[Messages]:
        """The messages of some channels."""
        times, offsets = self.times, self.offsets
        for index, (number, at, length) in enumerate(zip(self.channels, self.at, self.length, strict=True)):
            if number in channels:
                payloads = self.rows[:, at + HEAD.size : at + length]
                yield Messages(int(number), times[:, index], payloads, offsets[:, index])


_NONE = np.zeros(0, np.int64)
NO_TICKS = Ticks(np.zeros((0, 0), np.uint8), _NONE, _NONE, _NONE)


def split(data: bytes) -> Iterator[Messages | Channel]:
    """The messages of a chunk's records, and the channels that it declares."""
    found = ticks(data)
    yield from found.only(found.channels)
    yield from rest(data, found.rows.size)


def rest(data: bytes, at: int) -> Iterator[Messages | Channel]:
    """Messages and channels from an offset on, one by one."""
    while at < len(data):
        opcode, length = RECORD.unpack_from(data, at)
        end = at + RECORD.size + length
        if end > len(data):
            raise ValueError("a message reaches beyond its chunk")
        if opcode == OPCODE_MESSAGE:
            yield message(data[at + RECORD.size : end], at)
        elif opcode == Opcode.CHANNEL:
            yield channel(data[at + RECORD.size : end])
        at = end


def message(body: bytes, at: int = 0) -> Messages:
    """A message that stands alone, or at an offset in its chunk."""
    _, _, number, _, time, _ = HEAD.unpack_from(RECORD.pack(OPCODE_MESSAGE, len(body)) + body)
    payload = np.frombuffer(body, np.uint8, offset=HEAD.size - RECORD.size)
    return Messages(number, np.array([time], np.uint64), payload[None], np.array([at], np.uint64))


def ticks(data: bytes) -> Ticks:
    """The leading messages that repeat; no row where there is none."""
    first, size = _first_tick(data)
    if not first:
        return NO_TICKS
    channels, at, length = (np.array(part, np.int64) for part in zip(*first, strict=True))
    table = np.frombuffer(data, np.uint8)[: len(data) // size * size].reshape(-1, size)
    heads = (at[:, None] + _FIXED).ravel()
    found = table[:, heads]
    differs = np.flatnonzero((found != found[0]).any(1))
    return Ticks(table[: differs[0] if len(differs) else len(table)], channels, at, length)


def _first_tick(data: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """(channel, offset, length) of the first records, and where they end: at the first channel that comes again."""
    found, seen, at = [], set(), 0
    while at + HEAD.size <= len(data):
        opcode, length, number, _, _, _ = HEAD.unpack_from(data, at)
        end = at + RECORD.size + length
        if opcode != OPCODE_MESSAGE or number in seen or end > len(data) or end < at + HEAD.size:
            break
        seen.add(number)
        found.append((number, at, end - at))
        at = end
    return found, at
