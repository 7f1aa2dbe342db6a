"""A fault that outlives the process that found it: a robot does not move again before a person has said so."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from robo_rl.errors import UserError


class FaultLatch:
    """A file that says why a robot stands still. `robo-rl reset` removes it, nothing else does.

    Args:
        path: of the file.
        name: of the robot, as one says it to `robo-rl`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name

    @property
    def reason(self) -> str:
        """Of the fault, "" where there is none. A file that cannot be read counts as one."""
        try:
            return str(json.loads(self.path.read_text())["reason"])
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError):
            return f"unknown: {self.path} cannot be read"

    def set(self, reason: str) -> None:
        """Remember a fault; the first one counts. A disk that is full does not keep the robot from stopping."""
        if self.reason:
            return
        fresh = self.path.with_name(self.path.name + ".new")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({"reason": reason}) + "\n")
            os.replace(fresh, self.path)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)

    def require_clear(self) -> None:
        """Raise `UserError` where a fault is latched."""
        if reason := self.reason:
            raise UserError(
                f"{self.name}: a fault of an earlier run is latched: {reason}; look at the robot, then: "
                f"robo-rl reset {self.name}"
            )


def fault_path(robot: str, name: str) -> Path:
    """Where the fault of the robot `name` is kept: the user's state folder (XDG)."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "robo_rl" / "faults" / robot / f"{name}.json"
