"""Keys typed into a terminal, without waiting for them; over SSH, too."""

from __future__ import annotations

import atexit
import os
import re
import select
import termios
import tty
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import Any

LONGEST = 64  # keys that wait to be taken; older ones are forgotten
NAMES = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left", "\n": "enter", "\r": "enter", " ": "space",
    "\t": "tab", "\x7f": "backspace", "\x1b": "escape",
}  # fmt: skip
ONE_KEY = re.compile(r"\x1b\[[A-D]|.", re.DOTALL)


class Keys:
    """Everybody takes the keys that are meant for them, and leaves the others.

    Args:
        number: file descriptor of the terminal.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._typed: deque[str] = deque(maxlen=LONGEST)
        self._before: list[Any] | None = None
        self.ended = False  # nobody can type any more

    def open(self) -> None:
        """Key by key instead of line by line, where it is a terminal; it is put back at the end."""
        if self._before is None and os.isatty(self._number):
            self._before = termios.tcgetattr(self._number)
            tty.setcbreak(self._number)
            atexit.register(self.close)

    def take(self, names: Collection[str]) -> list[str]:
        """Keys out of `names` that were typed and not taken yet, in their order."""
        self.open()
        self._read()
        taken = [key for key in self._typed if key in names]
        left = [key for key in self._typed if key not in names]
        self._typed.clear()
        self._typed.extend(left)
        return taken

    def press(self, name: str) -> None:
        """As if it had been typed: for devices whose buttons mean a key."""
        self._typed.append(name)

    def forget(self, names: Collection[str]) -> None:
        """What was typed before a question is no answer to it."""
        self.take(names)

    def close(self) -> None:
        if self._before is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)
            self._before = None
            atexit.unregister(self.close)

    def _read(self) -> None:
        while not self.ended and select.select([self._number], [], [], 0)[0]:
            try:
                data = os.read(self._number, 1024)
            except OSError:  # the other end of a terminal is gone
                data = b""
            self.ended = not data
            found: list[str] = ONE_KEY.findall(data.decode(errors="ignore"))
            self._typed.extend(NAMES.get(key, key) for key in found)
