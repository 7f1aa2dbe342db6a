"""Ticks on their way to the log: a bounded ring that the control tick fills and another thread or process empties.

All of it lies in one block of memory, which two processes may share. There is one writer and one reader: each owns the
slots between the two counters on its side, so neither waits for the other, and what the writer had counted when it was
killed is whole. (That the counter is seen after the slot is what x86-64 promises of plain stores.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from robo_rl.log.layout import APPLIED, COMMANDED, Layout, action_topic, capture_topic, padded_varint
from robo_rl.log.mcap_file import Text
from robo_rl.types import Action, Step

NANO = 1_000_000_000
LONGEST_TEXT = 1000  # bytes of a serialised text
_TEXT = np.dtype([("row", "<i4"), ("channel", "<u4"), ("time", "<u8"), ("size", "<u4"), ("data", f"V{LONGEST_TEXT}")])
_TICKS_IN, _TICKS_OUT, _TEXTS_IN, _TEXTS_OUT, _STOPPED, _READ = range(6)
_HEAD, _REASON = 64, 256  # bytes


@dataclass(slots=True)
class Moment:
    """What the recorder itself adds to a tick of R rows."""

    keep: np.ndarray  # (R,) bool, rows that belong into the log
    time: int  # [ns], Unix
    tick: int  # of the recording
    episode: np.ndarray  # (R,) uint64, episodes begun before this one
    timing: list[float]
    shown: dict[str, np.ndarray] = field(default_factory=dict)  # picture's key -> (R,) log time of its message [ns]


@dataclass(frozen=True, slots=True)
class Block:
    """K ticks that lie side by side in the ring: bytes (K, R, B), keep (K, R), time (K,) [ns]."""

    bytes: np.ndarray
    keep: np.ndarray
    time: np.ndarray

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Records (k, B) of a row's kept ticks and their times (k,) [ns]."""
        kept = np.flatnonzero(self.keep[:, index])
        return self.bytes[kept, index], self.time[kept]


class TickRing:
    """K slots of R rows, as the bytes of their records, and some for texts.

    Args:
        layout: of one row's tick.
        slots, rows: K and R.
        memory: `size(layout, slots, rows)` zeroed bytes (default: the process's own).
    """

    def __init__(self, layout: Layout, slots: int, rows: int, memory: memoryview | None = None) -> None:
        self.layout, self.slots, self.texts = layout, slots, text_slots(rows)
        self._memory = memoryview(bytearray(self.size(layout, slots, rows))) if memory is None else memory
        self._at = 0
        self._count = self._part(np.dtype("<i8"), _HEAD // 8)
        self._reason = self._part(np.dtype("u1"), _REASON)
        self.time, self.tick = self._part(np.dtype("<u8"), slots), self._part(np.dtype("<u8"), slots)
        self._text = self._part(_TEXT, self.texts)
        self.keep = self._part(np.dtype("?"), slots, rows)
        self.bytes = self._part(np.dtype("u1"), slots, rows, layout.template.size)
        field = self._field = {name: self.bytes.view(layout.dtype)[..., 0][name] for name in layout.dtype.names or ()}
        self._observed = [(key, field[f"obs/{key}:value"], field[f"obs/{key}:stamp"]) for key in layout.obs]
        topics = {key: capture_topic(key) for key in layout.pictures}
        self._pictures = [(key, field[f"{topic}:value"], field[f"{topic}:stamp"]) for key, topic in topics.items()]
        self._extras = [(key, field[f"{action_topic(key)}:value"]) for key in layout.extra]
        self._joints = [name for name in field if name.startswith(("joint_states:position", "joint_states:velocity"))]

    @staticmethod
    def size(layout: Layout, slots: int, rows: int) -> int:
        """Bytes of memory that a ring needs."""
        return _HEAD + _REASON + text_slots(rows) * _TEXT.itemsize + slots * (16 + rows * (1 + layout.template.size))

    def _part(self, dtype: np.dtype, *shape: int) -> np.ndarray:
        size = int(np.prod(shape)) * dtype.itemsize
        part = np.frombuffer(self._memory[self._at : self._at + size], dtype).reshape(shape)
        self._at += size
        return part

    @property
    def waiting(self) -> int:
        """Ticks that have not been read."""
        return int(self._count[_TICKS_IN] - self._count[_TICKS_OUT])

    @property
    def full(self) -> bool:
        return self.waiting >= self.slots

    @property
    def read(self) -> bool:
        """Whether there is somebody who empties it."""
        return bool(self._count[_READ])

    def begin_reading(self) -> None:
        """The reader is there."""
        self._count[_READ] = 1

    @property
    def stopped(self) -> bool:
        """Whether the reader has given up; `reason` says why."""
        return bool(self._count[_STOPPED])

    @property
    def reason(self) -> str:
        return bytes(self._reason).rstrip(b"\0").decode(errors="replace")

    def stop(self, reason: str) -> None:
        """Give up. The first reason stays."""
        if not self.stopped:
            data = np.frombuffer(reason.encode()[:_REASON], np.uint8)
            self._reason[: len(data)] = data
            self._count[_STOPPED] = 1

    def add(self, step: Step, action: Action, rows: slice | np.ndarray, moment: Moment) -> None:
        """Copy one tick of the rows `rows` of step and action. The ring must not be full."""
        count = int(self._count[_TICKS_IN])
        k, field = count % self.slots, self._field
        if count < self.slots:
            self.bytes[k] = self.layout.template
        for key, value, stamp in self._observed:
            value[k] = step.obs[key][rows]
            stamp[k] = _stamp(step, key, rows)
        for key, value, stamp in self._pictures:
            value[k, :, 0] = moment.shown[key]
            stamp[k] = _stamp(step, key, rows)
        field[f"{COMMANDED}:value"][k] = action.value[rows]
        field[f"{APPLIED}:value"][k] = step.applied[rows]
        for key, value in self._extras:
            value[k] = action.extra[key][rows]
        field["timing:value"][k] = moment.timing
        self._add_step(k, step, rows, moment)
        self.keep[k], self.time[k], self.tick[k] = moment.keep, moment.time, moment.tick
        self._count[_TICKS_IN] = count + 1

    def _add_step(self, k: int, step: Step, rows: slice | np.ndarray, moment: Moment) -> None:
        field, success = self._field, step.success[rows]
        field["step:reward"][k] = step.reward[rows]
        field["step:discount"][k] = step.discount[rows]
        field["step:kind"][k] = step.kind[rows]
        field["step:success"][k] = (success << 1) ^ (success >> 7)  # zigzag: the sign in the lowest bit
        field["step:reason"][k] = step.reason[rows]
        field["step:seed"][k] = step.seed[rows]
        field["step:episode"][k] = moment.episode
        field["step:tick"][k] = moment.tick

    def add_text(self, index: int, text: Text) -> bool:
        """Add a text of the row at `index`; whether there was room."""
        count, (channel, time, payload) = int(self._count[_TEXTS_IN]), text
        if count - int(self._count[_TEXTS_OUT]) >= self.texts:
            return False
        self._text[count % self.texts] = (index, channel, time, len(payload), payload)
        self._count[_TEXTS_IN] = count + 1
        return True

    def take(self, longest: int) -> Iterator[Block]:
        """The waiting ticks, sealed, at most `longest` at a time; asking for the next one frees its slots."""
        end = int(self._count[_TICKS_IN])
        while (start := int(self._count[_TICKS_OUT])) < end:
            first = start % self.slots
            part = slice(first, min(first + longest, first + end - start, self.slots))
            self._seal(part)
            yield Block(self.bytes[part], self.keep[part], self.time[part])
            self._count[_TICKS_OUT] = start + part.stop - part.start

    def take_texts(self) -> list[tuple[int, Text]]:
        """The waiting texts, each with the index of its row."""
        start, end = int(self._count[_TEXTS_OUT]), int(self._count[_TEXTS_IN])
        slots = [self._text[count % self.texts] for count in range(start, end)]
        found = [
            (int(s["row"]), (int(s["channel"]), int(s["time"]), s["data"].tobytes()[: int(s["size"])])) for s in slots
        ]
        self._count[_TEXTS_OUT] = end
        return found

    def _seal(self, part: slice) -> None:
        """Fill in what all records of a tick share: log time and sequence number."""
        field, time, tick = self._field, self.time[part, None], self.tick[part, None]
        for channel in self.layout.channels[: self.layout.ticked]:
            head = field[channel.topic][part]
            head["log"] = head["publish"] = time
            head["sequence"] = tick & np.uint64(0xFFFFFFFF)
        for name in self._joints:
            quantity, index = name.removeprefix("joint_states:")[:8], int(name.removeprefix("joint_states:")[8:])
            field[name][part] = field[f"obs/joint_{quantity}:value"][part, :, index]
        if self._joints:
            seconds, nanos = np.divmod(self.time[part], np.uint64(NANO))
            field["joint_states:seconds"][part] = padded_varint(seconds)[:, None]
            field["joint_states:nanos"][part] = padded_varint(nanos)[:, None]


def _stamp(step: Step, key: str, rows: slice | np.ndarray) -> np.ndarray | float:
    captured = step.stamp.get(key)
    return np.nan if captured is None else captured[rows]


def text_slots(rows: int) -> int:
    """An episode's end and the next one's beginning in every row, some times over."""
    return max(64, 8 * rows)
