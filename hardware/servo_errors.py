"""What may go wrong on a bus of servos, and how often it did."""

from __future__ import annotations

from dataclasses import dataclass


class BusError(Exception):
    """A servo gave no good answer, although it was asked several times."""

    def __init__(self, servo: int, problem: str) -> None:
        super().__init__(f"servo {servo}: {problem}")
        self.servo = servo


class PortLost(Exception):
    """The port itself is gone."""


@dataclass
class BusCounters:
    """What happened on a bus so far."""

    transactions: int = 0  # that were asked for
    timeouts: int = 0  # attempts without an answer
    corrupted: int = 0  # attempts with a broken answer
    failed: int = 0  # transactions that no attempt could save

    @property
    def retried(self) -> int:
        """Attempts that were lost and made up for, or not."""
        return self.timeouts + self.corrupted
