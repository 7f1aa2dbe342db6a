"""Calls that a vendor's SDK may wait in, beside the driver's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from typing import Any

LOOK = 1e-3  # [s] between two looks at a call that takes long


class Aside:
    """One call at a time, each in a thread of its own. Who gives up on one leaves it to itself; the next one waits."""

    def __init__(self) -> None:
        self._last: Future[Any] | None = None  # none yet: until then this can be sent to another process

    @property
    def busy(self) -> bool:
        """Whether a call is still on its way."""
        return self._last is not None and not self._last.done()

    def __call__(self, call: Callable[[], Any]) -> Generator[None, None, Any]:
        """Yields until the call is over; returns or raises what it did."""
        while self._waits():
            yield
        over: Future[Any] = Future()
        self._last = over

        def work() -> None:
            try:
                over.set_result(call())
            except BaseException as error:
                over.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        while self._waits():
            yield
        return over.result()

    def then(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something when no call is on its way any more: at once or within so many seconds, else in its thread."""
        if self._last is None:
            what()
            return
        wait([self._last], seconds)
        self._last.add_done_callback(lambda _: what())

    def _waits(self) -> bool:
        """Whether the last call is still on its way after a short while."""
        return self._last is not None and not wait([self._last], LOOK).done
