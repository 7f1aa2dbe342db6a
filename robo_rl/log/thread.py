"""The recorder's thread, for loops that may wait: training, recording, evaluation."""

from __future__ import annotations

import threading

from robo_rl.log.drain import Drain, Recording
from robo_rl.log.layout import Layout
from robo_rl.log.picture_ring import PictureRing
from robo_rl.log.ring import TickRing


class RecorderThread:
    """Empties a ring in this process."""

    def __init__(self, layout: Layout, recording: Recording, slots: int) -> None:
        self.ring = TickRing(layout, slots, len(recording.rows))
        self._wake, self._closed = threading.Event(), False
        self.pictures = PictureRing(layout, len(recording.rows), recording.backlog)
        self.drain = Drain(self.ring, self.pictures, recording)
        self._thread = threading.Thread(target=self.drain.work, args=(self._wait,), name="recorder", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Empty the ring now."""
        self._wake.set()

    def look(self) -> None:
        """A thread does not go missing."""

    def close(self) -> None:
        """Wait until everything is written.

        Raises:
            Exception: whatever went wrong besides the disk.
        """
        self._closed = True
        self.wake()
        self._thread.join()
        if self.drain.error is not None and not isinstance(self.drain.error, OSError):
            raise self.drain.error

    def _wait(self, seconds: float) -> bool:
        self._wake.wait(seconds)
        self._wake.clear()
        return self._closed
