"""One MCAP file written in whole chunks of ready-made records (mcap.dev/spec).

The stock writer serialises message by message in Python; here a chunk is an array of ticks. Everything is on its way to
the disk when a method returns (no buffer of our own), so a killed process leaves whole chunks.
"""

from __future__ import annotations

import io
import os
import struct
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
_CHUNK = struct.Struct("<BQQQQI")  # opcode, length, start and end time, uncompressed size and CRC
_COMPRESSION = struct.pack("<I", 4) + b"zstd"
_INDEX = struct.Struct("<BQHI")  # opcode, length, channel, bytes of entries

Text = tuple[int, int, bytes]
"""Channel id, log time [ns], payload."""


def _record(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()


class McapFile:
    """Creates `path` (never overwrites) with header, attachments, schemas and channels, ready for chunks."""

    def __init__(self, path: Path, layout: Layout, attachments: Mapping[str, bytes], time: int) -> None:
        self.layout = layout
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._file = io.FileIO(path, "xb")
        self._at = 0
        self._chunks: list[ChunkIndex] = []
        self._counts = np.zeros(len(layout.channels), np.int64)
        self._schemas = [Schema(i + 1, descriptor_set(name), "protobuf", name) for i, name in enumerate(SCHEMAS)]
        self._channels = [
            ChannelRecord(i + 1, channel.topic, "protobuf", {}, SCHEMAS.index(channel.schema) + 1)
            for i, channel in enumerate(layout.channels)
        ]
        self._attachments = self._begin(attachments, time)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._at += written
            view = view[written:]

    def _begin(self, attachments: Mapping[str, bytes], time: int) -> list[AttachmentIndex]:
        data, index = MAGIC + _record(Header("robo_rl", "robo_rl")), []
        for name, content in attachments.items():
            record = _record(Attachment(time, time, name, "application/json", content))
            index.append(AttachmentIndex(len(data), len(record), time, time, len(content), name, "application/json"))
            data += record
        data += b"".join(_record(record) for record in (*self._schemas, *self._channels))
        self._write(data)
        return index

    def add(self, ticks: np.ndarray, times: np.ndarray, texts: Sequence[Text]) -> None:
        """Write a chunk: the records of K ticks, (K, B) uint8, with log times (K,) uint64 [ns], then some texts."""
        layout, size = self.layout, self.layout.template.size
        starts = np.arange(len(ticks), dtype=np.uint64)[:, None] * np.uint64(size) + layout.offsets
        entries = {i + 1: np.stack([times, starts[:, i]], axis=1) for i in range(layout.ticked) if len(ticks)}
        records = ticks.tobytes()
        for channel, time, payload in texts:
            entry = np.array([[time, len(records)]], np.uint64)
            entries[channel] = np.concatenate([entries[channel], entry]) if channel in entries else entry
            records += HEAD.pack(OPCODE_MESSAGE, HEAD.size - 9 + len(payload), channel, 0, time, time) + payload
        self._write_chunk(records, entries)

    def _write_chunk(self, records: bytes, entries: Mapping[int, np.ndarray]) -> None:
        all_times = [entry[:, 0] for entry in entries.values()]
        first, last = int(min(t.min() for t in all_times)), int(max(t.max() for t in all_times))
        data = self._compressor.compress(records)
        tail = _COMPRESSION + struct.pack("<Q", len(data)) + data
        length = _CHUNK.size - 9 + len(tail)
        chunk = _CHUNK.pack(Opcode.CHUNK, length, first, last, len(records), zlib.crc32(records)) + tail
        parts, offsets, at = [chunk], {}, self._at + len(chunk)
        for channel, entry in entries.items():
            block = entry.astype("<u8").tobytes()
            offsets[channel] = at
            parts.append(_INDEX.pack(Opcode.MESSAGE_INDEX, 6 + len(block), channel, len(block)) + block)
            at += len(parts[-1])
            self._counts[channel - 1] += len(entry)
        start, indexed = self._at, at - self._at - len(chunk)
        self._write(b"".join(parts))
        self._chunks.append(
            ChunkIndex(len(chunk), start, "zstd", len(data), last, indexed, offsets, first, len(records))
        )

    def finish(self) -> None:
        """Write the summary that makes the file seekable, and bring everything to the disk."""
        self._write(_record(DataEnd(0)))
        summary, offsets, start = b"", [], self._at
        groups = [
            (Opcode.SCHEMA, self._schemas),
            (Opcode.CHANNEL, self._channels),
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
            channel_count=len(self._channels),
            channel_message_counts={i + 1: int(count) for i, count in enumerate(self._counts) if count},
            chunk_count=len(self._chunks),
            message_count=int(self._counts.sum()),
            message_start_time=min((chunk.message_start_time for chunk in self._chunks), default=0),
            message_end_time=max((chunk.message_end_time for chunk in self._chunks), default=0),
            metadata_count=0,
            schema_count=len(self._schemas),
        )

    def close(self) -> None:
        """Close the file as it is. May be called twice."""
        self._file.close()
