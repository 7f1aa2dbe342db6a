"""What a number that a user gives may be, and the one line that says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from robo_rl.errors import UserError


@dataclass(frozen=True)
class Range:
    """Values that are valid, and what they are called."""

    text: str
    holds: Callable[[Any], bool]

    def check(self, key: str, value: Any) -> None:
        """Raise `UserError` unless the value of a key is valid."""
        if not self.holds(value):
            raise UserError(f"{key}={typed(value)}: expected {self.text}")

    def check_fields(self, owner: Any, prefix: str, *names: str) -> None:
        """`check` some fields of an object, whose keys begin with `prefix`."""
        for name in names:
            self.check(f"{prefix}.{name}", getattr(owner, name))

    @property
    def or_null(self) -> Range:
        """The same, or nothing."""
        return Range(f"{self.text}, or null", lambda value: value is None or self.holds(value))


def whole(low: int, high: int | None = None) -> Range:
    """Whole numbers from `low` on, up to `high` where there is one."""
    text = f"a whole number, at least {low}" if high is None else f"a whole number from {low} to {high}"
    most = math.inf if high is None else high
    return Range(text, lambda value: _is(value, Integral) and low <= value <= most)


def widths(least: int) -> Range:
    """Widths of a network's hidden layers, of which there are `least` at least."""
    return Range(
        f"a list of {f'at least {least} ' if least else ''}whole numbers above 0, e.g. [256,256]",
        lambda value: isinstance(value, list | tuple) and len(value) >= least and all(map(COUNT.holds, value)),
    )


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]


def typed(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


COUNT = whole(1)
COUNT_OR_NONE = whole(0)
POSITIVE = Range("a number above 0", lambda value: _is(value, Real) and value > 0)
NOT_NEGATIVE = Range("a number not below 0", lambda value: _is(value, Real) and value >= 0)
SHARE = Range("a number from 0 to 1", lambda value: _is(value, Real) and 0 <= value <= 1)
SHARE_ABOVE_0 = Range("a number above 0, 1 at most", lambda value: _is(value, Real) and 0 < value <= 1)
SHARE_BELOW_1 = Range("a number from 0 to below 1", lambda value: _is(value, Real) and 0 <= value < 1)
INSIDE_0_1 = Range("a number above 0 and below 1", lambda value: _is(value, Real) and 0 < value < 1)
TEXT = Range("a text", lambda value: isinstance(value, str))
PRIORITY = whole(0, 99)  # of SCHED_FIFO
NAMES = Range("a list of at least one name", lambda value: isinstance(value, list | tuple) and len(value) > 0)
