"""The real command line as a process: `robo-rl COMMAND key=value ...`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from robo_rl.errors import UserError


def start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command; what it prints goes to the file `log`."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", "robo_rl.app.main", *arguments]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def finish(log: Path, *arguments: str) -> None:
    """Run a command to its end; raises `UserError` with its last line when it fails."""
    process = start(log, *arguments)
    try:
        code = process.wait()
    finally:
        process.kill()
    if code != 0:
        raise UserError(f"robo-rl {arguments[0]} failed with exit code {code}: {last_line(log)}")


def last_line(log: Path) -> str:
    """Last line that a command printed."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def number(keys: dict[str, str], name: str, default: float) -> float:
    """A positive number among key=value arguments, taken out of them."""
    text = keys.pop(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UserError(f"{name}={text}: expected a number above 0")
    return value


def require_used(keys: dict[str, str], *valid: str) -> None:
    """Raise `UserError` when a key is left that nobody took."""
    if keys:
        raise UserError(f"{next(iter(keys))}=: unknown key; valid keys: {', '.join(valid)}")
