"""Pictures on their way to the log: they wait in shared memory beside the ticks, which only name them.

One lane a camera, each bounded, with one writer and one reader as in `robo_rl.log.ring`; a lane that is full costs
pictures, never ticks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robo_rl.log.layout import Layout

LEAST = 4  # pictures a row that may wait
_HEAD = np.dtype([("in", "<i8"), ("out", "<i8")])
_ABOUT = np.dtype([("row", "<i8"), ("time", "<i8"), ("stamp", "<f8")])


@dataclass(frozen=True)
class Waiting:
    """A picture that waits: index of its row, log time [ns], capture stamp [s]; `picture` lies in the ring."""

    key: str
    row: int
    time: int
    stamp: float
    picture: np.ndarray


class _Lane:
    """The pictures of one key, as views of a block of memory."""

    def __init__(self, layout: Layout, key: str, rows: int, backlog: int, memory: memoryview) -> None:
        feature, slots = layout.pictures[key], _slots(layout, key, rows, backlog)
        self.slots, at = slots, _HEAD.itemsize
        self._count = np.frombuffer(memory[:at], _HEAD)
        self._about = np.frombuffer(memory[at : at + slots * _ABOUT.itemsize], _ABOUT)
        at += slots * _ABOUT.itemsize
        end = at + slots * _bytes(layout, key)
        self._picture = np.frombuffer(memory[at:end], feature.dtype).reshape(slots, *feature.shape)

    @property
    def waiting(self) -> int:
        return int(self._count["in"][0] - self._count["out"][0])

    def add(self, row: int, time: int, stamp: float, picture: np.ndarray) -> None:
        count = int(self._count["in"][0])
        self._picture[count % self.slots] = picture
        self._about[count % self.slots] = (row, time, stamp)
        self._count["in"][0] = count + 1

    def oldest(self, key: str) -> Waiting:
        slot = int(self._count["out"][0]) % self.slots
        row, time, stamp = self._about[slot].tolist()
        return Waiting(key, row, time, stamp, self._picture[slot])

    def release(self) -> None:
        self._count["out"][0] += 1


def _bytes(layout: Layout, key: str) -> int:
    """Of one picture."""
    feature = layout.pictures[key]
    return feature.size * np.dtype(feature.dtype).itemsize


def _slots(layout: Layout, key: str, rows: int, backlog: int) -> int:
    return max(LEAST * rows, backlog // len(layout.pictures) // _bytes(layout, key))


def _size(layout: Layout, key: str, rows: int, backlog: int) -> int:
    """Bytes of a lane, up to a multiple of eight, where the next one begins."""
    size = _HEAD.itemsize + _slots(layout, key, rows, backlog) * (_ABOUT.itemsize + _bytes(layout, key))
    return -(-size // 8) * 8


class PictureRing:
    """The lanes of a layout's pictures.

    Args:
        layout: names the pictures.
        rows: of which pictures come.
        backlog: bytes of pictures that may wait; a few a row always may.
        memory: `size(layout, rows, backlog)` zeroed bytes (default: the process's own).
    """

    def __init__(self, layout: Layout, rows: int, backlog: int, memory: memoryview | None = None) -> None:
        memory = memoryview(bytearray(self.size(layout, rows, backlog))) if memory is None else memory
        self._lanes, at = {}, 0
        for key in layout.pictures:
            end = at + _size(layout, key, rows, backlog)
            self._lanes[key] = _Lane(layout, key, rows, backlog, memory[at:end])
            at = end

    @staticmethod
    def size(layout: Layout, rows: int, backlog: int) -> int:
        """Bytes of memory that the lanes need."""
        return sum(_size(layout, key, rows, backlog) for key in layout.pictures)

    @property
    def waiting(self) -> int:
        """Pictures that have not been read."""
        return sum(lane.waiting for lane in self._lanes.values())

    def full(self, key: str) -> bool:
        lane = self._lanes[key]
        return lane.waiting >= lane.slots

    def add(self, key: str, row: int, time: int, stamp: float, picture: np.ndarray) -> None:
        """Copy a picture. Its lane must not be full."""
        self._lanes[key].add(row, time, stamp, picture)

    def oldest(self) -> Waiting | None:
        """The picture that has waited longest; it stays until `release`."""
        heads = [lane.oldest(key) for key, lane in self._lanes.items() if lane.waiting]
        return min(heads, key=lambda head: head.time, default=None)

    def release(self, picture: Waiting) -> None:
        """Free the slot of what `oldest` gave."""
        self._lanes[picture.key].release()
