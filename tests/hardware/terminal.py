"""A real terminal whose keyboard is in the test's hand."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager

from hardware.keys import Keys


class Terminal:
    """`keys` reads what `type` writes."""

    def __init__(self) -> None:
        self._hand, self._end = pty.openpty()
        self.keys = Keys(self._end)
        self.keys.open()

    def type(self, text: str) -> None:
        os.write(self._hand, text.encode())

    def hang_up(self) -> None:
        os.close(self._hand)
        self._hand = -1

    def close(self) -> None:
        self.keys.close()
        for number in (self._hand, self._end):
            if number >= 0:
                os.close(number)


@contextmanager
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    try:
        yield made
    finally:
        made.close()
