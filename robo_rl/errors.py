"""Errors a user can cause. Commands print them as one line and exit with 2."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user asked for: shown as one line, without a traceback."""


def mistake_in(error: BaseException | None) -> UserError | None:
    """The user's mistake behind an error, e.g. one that Hydra found while it was building an object; None elsewhere."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


class SpecMismatch(UserError):
    """Data, a policy or a log does not fit the spec it is used with."""


class UnknownName(UserError):
    """A name that is not among the valid choices."""

    def __init__(self, key: str, value: object, choices: Iterable[object]) -> None:
        valid = ", ".join(sorted(str(choice) for choice in choices))
        super().__init__(f"{key}={value}: unknown; valid choices: {valid}")


class CorruptFile(UserError):
    """A file that cannot be read as what it should be."""


class MissingExtra(UserError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'robo-rl[{extra}]'")
