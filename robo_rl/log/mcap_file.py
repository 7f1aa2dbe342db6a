"""One MCAP file written in whole chunks of ready-made records (mcap.dev/spec).

The stock writer serialises message by message in Python; here a chunk is an array of ticks. Everything is on its way to
the disk when a method returns (no buffer of our own), so a killed process leaves whole chunks.
"""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.records import Channel as ChannelRecord

from robo_rl.log.layout import HEAD, OPCODE_MESSAGE, Layout
from robo_rl.log.schema import SCHEMAS, descriptor_set

MAGIC = b"\x89MCAP0\r\n"
JSON = "application/json"
_CHUNK = struct.Struct("<BQQQQI")  # opcode, length, start and end time, uncompressed size and CRC

Text = tuple[int, int, bytes]
"""Channel id, log time [ns], payload."""


def _record(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()


class MessageIndex:
    """Where the messages of a chunk are: the records that follow it.

    Attributes:
        counts: channel -> messages.
        places: channel -> offset of its record in `data`.
        times: first and last log time [ns].
    """

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.places: dict[int, int] = {}
        self._parts: list[bytes] = []
        self._size, self.times = 0, (np.iinfo(np.int64).max, 0)

    @property
    def data(self) -> bytes:
        return b"".join(self._parts)

    def add(self, channels: Sequence[int], times: np.ndarray, offsets: np.ndarray) -> None:
        """K messages of each of some channels that it has none of yet: times (K, C) uint64 [ns], offsets (K, C)."""
        count, width = times.shape
        record = np.dtype(
            [("opcode", "u1"), ("length", "<u8"), ("channel", "<u2"), ("size", "<u4"), ("entries", "<u8", (count, 2))]
        )
        table = np.empty(width, record)
        table["opcode"], table["length"], table["size"] = Opcode.MESSAGE_INDEX, 6 + 16 * count, 16 * count
        table["channel"], table["entries"][..., 0], table["entries"][..., 1] = channels, times.T, offsets.T
        for index, channel in enumerate(channels):
            self.counts[int(channel)], self.places[int(channel)] = count, self._size + index * record.itemsize
        self._parts.append(table.tobytes())
        self._size += table.nbytes
        self.times = (min(self.times[0], int(times.min())), max(self.times[1], int(times.max())))

    def add_all(self, entries: Mapping[int, np.ndarray]) -> None:
        """Channel -> (K, 2) uint64, log time [ns] and offset of each message; of channels that it has none of yet."""
        for channel, entry in entries.items():
            self.add((channel,), entry[:, :1], entry[:, 1:])


class IndexedFile:
    """An MCAP file that grows record by record and remembers what its index needs. Never overwrites.

    Attributes:
        schemas, channels: as written.
        synced: when the disk was waited for last [s], monotonic.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.schemas: list[Schema] = []
        self.channels: list[ChannelRecord] = []
        self._file = io.FileIO(path, "xb")
        self._at, self._synced_at, self.synced = 0, 0, 0.0
        self._chunks: list[ChunkIndex] = []
        self._attachments: list[AttachmentIndex] = []
        self._counts: dict[int, int] = {}

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._at

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._at += written
            view = view[written:]

    def begin(self, header: Header, attachments: Sequence[Attachment] = ()) -> None:
        """Write the file's head with the schemas and channels so far, at once."""
        data = MAGIC + _record(header)
        for item in attachments:
            record, times = _record(item), (item.log_time, item.create_time)
            index = AttachmentIndex(len(data), len(record), *times, len(item.data), item.name, item.media_type)
            self._attachments.append(index)
            data += record
        self._write(data + b"".join(_record(record) for record in (*self.schemas, *self.channels)))

    def declare(self, record: Schema | ChannelRecord) -> None:
        """Write a schema or a channel, unless it is there."""
        known = self.schemas if isinstance(record, Schema) else self.channels
        if record not in known:
            known.append(record)  # type: ignore[arg-type]
            self._write(_record(record))

    def write_chunk(self, compression: str, data: bytes, size: int, crc: int, index: MessageIndex) -> None:
        """Write a chunk and its message index.

        Args:
            compression, data: of the records.
            size, crc: of the records before compression.
            index: where they are.
        """
        first, last = index.times
        name = compression.encode()
        tail = struct.pack("<I", len(name)) + name + struct.pack("<Q", len(data))
        chunk = _CHUNK.pack(Opcode.CHUNK, _CHUNK.size - 9 + len(tail) + len(data), first, last, size, crc) + tail
        start, at, following = self._at, self._at + len(chunk) + len(data), index.data
        self._write(b"".join((chunk, data, following)))
        offsets = {channel: at + place for channel, place in index.places.items()}
        for channel, count in index.counts.items():
            self._counts[channel] = self._counts.get(channel, 0) + count
        about = (len(following), offsets, first, size)
        self._chunks.append(ChunkIndex(at - start, start, compression, len(data), last, *about))

    def sync(self) -> None:
        """Bring what was written to the disk. `synced` is when that was asked for last [s], monotonic."""
        self.synced = time.monotonic()
        if self._at > self._synced_at:
            os.fdatasync(self._file.fileno())
            self._synced_at = self._at

    def finish(self) -> None:
        """Write the summary that makes the file seekable, and bring everything to the disk."""
        self._write(_record(DataEnd(0)))
        summary, offsets, start = b"", [], self._at
        groups = [
            (Opcode.SCHEMA, self.schemas),
            (Opcode.CHANNEL, self.channels),
            (Opcode.STATISTICS, [self._statistics()]),
            (Opcode.CHUNK_INDEX, self._chunks),
            (Opcode.ATTACHMENT_INDEX, self._attachments),
        ]
        for opcode, records in groups:
            data = b"".join(_record(record) for record in records)
            if data:
                offsets.append(SummaryOffset(opcode, start + len(summary), len(data)))
            summary += data
        offset_start = start + len(summary)
        summary += b"".join(_record(record) for record in offsets)
        crc = zlib.crc32(summary + struct.pack("<BQQQ", Opcode.FOOTER, 20, start, offset_start))
        self._write(summary + _record(Footer(start, offset_start, crc)) + MAGIC)
        os.fsync(self._file.fileno())

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=len(self._attachments),
            channel_count=len(self.channels),
            channel_message_counts=self._counts,
            chunk_count=len(self._chunks),
            message_count=sum(self._counts.values()),
            message_start_time=min((chunk.message_start_time for chunk in self._chunks), default=0),
            message_end_time=max((chunk.message_end_time for chunk in self._chunks), default=0),
            metadata_count=0,
            schema_count=len(self.schemas),
        )

    def close(self) -> None:
        """Close the file as it is. May be called twice."""
        self._file.close()


class McapFile(IndexedFile):
    """Creates `path` with header, attachments, schemas and channels, ready for chunks of ticks.

    Args:
        created: Unix time [ns].
    """

    def __init__(self, path: Path, layout: Layout, attachments: Mapping[str, bytes], created: int) -> None:
        super().__init__(path)
        self.layout = layout
        self._compressor = zstandard.ZstdCompressor(level=1)
        self.schemas = [Schema(i + 1, descriptor_set(name), "protobuf", name) for i, name in enumerate(SCHEMAS)]
        self.channels = [
            ChannelRecord(i + 1, channel.topic, "protobuf", {}, SCHEMAS.index(channel.schema) + 1)
            for i, channel in enumerate(layout.channels)
        ]
        attached = [Attachment(created, created, name, JSON, data) for name, data in attachments.items()]
        self.begin(Header("robo_rl", "robo_rl"), attached)

    def add(self, ticks: np.ndarray, times: np.ndarray, texts: Sequence[Text]) -> None:
        """Write a chunk: the records of K ticks, (K, B) uint8, with log times (K,) uint64 [ns], then some texts."""
        layout, size, index = self.layout, self.layout.template.size, MessageIndex()
        records, entries = _messages(texts, ticks.nbytes)
        if len(ticks):
            starts = np.arange(len(ticks), dtype=np.uint64)[:, None] * np.uint64(size) + layout.offsets
            index.add(range(1, layout.ticked + 1), np.broadcast_to(times[:, None], starts.shape), starts)
        index.add_all(entries)
        data = ticks.tobytes() + records
        self.write_chunk("zstd", self._compressor.compress(data), len(data), zlib.crc32(data), index)

    def add_pictures(self, pictures: Sequence[Text]) -> None:
        """Write a chunk of messages that are compressed already."""
        records, entries = _messages(pictures, 0)
        index = MessageIndex()
        index.add_all(entries)
        self.write_chunk("", records, len(records), zlib.crc32(records), index)


def _messages(messages: Sequence[Text], start: int) -> tuple[bytes, dict[int, np.ndarray]]:
    """Their records, and channel -> (K, 2) uint64, log time [ns] and offset of each; the first one is at `start`."""
    parts, entries, at = [], {}, start
    for channel, moment, payload in messages:
        parts += [HEAD.pack(OPCODE_MESSAGE, HEAD.size - 9 + len(payload), channel, 0, moment, moment), payload]
        entries.setdefault(channel, []).append((moment, at))
        at += HEAD.size + len(payload)
    return b"".join(parts), {channel: np.array(entry, np.uint64) for channel, entry in entries.items()}
