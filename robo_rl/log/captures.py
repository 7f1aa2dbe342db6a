"""Which pictures of a tick are new, and belong into the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robo_rl.log.picture_ring import PictureRing
from robo_rl.types import Step

Say = Callable[[int, str], None]


class Captures:
    """Brings every capture to the ring once, however many ticks show it: a capture is new when its stamp is.

    Without stamps every tick is one. An episode's first tick always is, so that it needs no picture from before.

    Args:
        keys: of the pictures.
        ring: takes them.
        rows: how many rows are logged.
        room: whether a key's lane has room; may wait for it.
        say: told (index of a row, text) how many were left out, as soon as there is room again.

    Attributes:
        lost: key -> pictures that were left out.
    """

    def __init__(
        self, keys: Sequence[str], ring: PictureRing, rows: int, room: Callable[[str], bool], say: Say
    ) -> None:
        self.lost = dict.fromkeys(keys, 0)
        self._ring, self._room, self._say = ring, room, say
        self._stamp = {key: np.full(rows, np.nan) for key in keys}
        self._shown = {key: np.zeros(rows, np.int64) for key in keys}
        self._kept = np.zeros(rows, bool)
        self._untold = {key: np.zeros(rows, np.int64) for key in keys}

    def __call__(
        self, step: Step, rows: slice | np.ndarray, keep: np.ndarray, started: np.ndarray, time: int
    ) -> dict[str, np.ndarray]:
        """Key -> (R,) log time [ns] of the message that holds each row's picture.

        Args:
            step: the tick; `rows` of it are logged.
            keep, started: (R,) bool, rows that belong into the log, and whose episode begins.
            time: log time of the tick [ns].
        """
        begun = started | ~self._kept
        for key, last in self._stamp.items():
            captured = step.stamp.get(key)
            stamp = np.full(len(keep), np.nan) if captured is None else captured[rows]
            for index in np.flatnonzero(keep & (begun | (stamp != last))):
                self._add(key, int(index), time, float(stamp[index]), step.obs[key][rows][index])
                self._shown[key][index] = time
            self._stamp[key] = np.array(stamp)
        self._kept = keep
        return self._shown

    def _add(self, key: str, index: int, time: int, stamp: float, picture: np.ndarray) -> None:
        untold = self._untold[key]
        if not self._room(key):
            self.lost[key] += 1
            untold[index] += 1
            return
        self._ring.add(key, index, time, stamp, picture)
        if untold[index]:
            self._say(index, f"{untold[index]} pictures of {key} not recorded: they cannot be written fast enough")
            untold[index] = 0
