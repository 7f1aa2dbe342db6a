"""What a camera's process tells the policy's process, through memory that both map: the latest picture, and how it is.

Two records take turns, so that whoever reads finds a whole one even while, or after, its writer was stopped in the
middle of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardware.exchange import Slot

TEXT = 256  # bytes of a text
TURNS = 3  # tries to read the newest record while newer ones come
STATUS = np.dtype([("turn", "<i8"), ("reopened", "<i8"), ("problem", f"S{TEXT}")], align=True)


def frame_record(size: tuple[int, int] | None, objects: Sequence[str]) -> np.dtype:
    """A picture of (height, width), where one is wanted, and the poses of tracked objects."""
    fields: list[Any] = [("number", "<i8"), ("stamp", "<f8")]
    fields += [] if size is None else [("picture", "u1", (*size, 3))]
    for name in objects:
        fields += [(f"pose/{name}", "<f4", (7,)), (f"seen/{name}", "<f8")]
    return np.dtype(fields, align=True)


class Frames:
    """Both records and the status in one block of memory; one side writes, the other reads.

    Args:
        memory: `size(record)` zeroed bytes.
        record: made by `frame_record`.
    """

    def __init__(self, memory: memoryview, record: np.dtype) -> None:
        status, each = Slot.size(STATUS), Slot.size(record)
        self.status = Slot(memory[:status], STATUS)
        self._slots = [Slot(memory[status + turn * each : status + (turn + 1) * each], record) for turn in range(2)]
        self._turn = 0

    @staticmethod
    def size(record: np.dtype) -> int:
        return Slot.size(STATUS) + 2 * Slot.size(record)

    def write(self, **fields: Any) -> None:
        """Give all fields of the next record."""
        self._turn += 1
        self._slots[self._turn % 2].write(**fields)
        self.status.write(turn=self._turn)

    def read(self) -> Mapping[str, Any] | None:
        """The newest record, None where there is none yet or its writer is faster than this reader."""
        for _ in range(TURNS):
            status = self.status.read()
            if status is None or status["turn"] == 0:
                return None
            record = self._slots[status["turn"] % 2].read()
            if record is not None:
                return record
        return None
