"""The real command line as a process: `robo-rl COMMAND key=value ...`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robo_rl.errors import UserError
from robo_rl.folders import whole

HERE = (sys.executable, "-m", "robo_rl.app.main")


def start(
    log: Path, *arguments: str, program: Sequence[str] = HERE, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command; what it prints goes to the file `log`. `env` is added to this process's variables."""
    with log.open("wb") as output:
        variables = os.environ | dict(env or {})
        return subprocess.Popen([*program, *arguments], stdout=output, stderr=subprocess.STDOUT, env=variables)


def finish(log: Path, *arguments: str, program: Sequence[str] = HERE, env: Mapping[str, str] | None = None) -> None:
    """Run a command to its end; raises `UserError` with its last line when it fails."""
    process = start(log, *arguments, program=program, env=env)
    try:
        code = process.wait()
    finally:
        process.kill()
    if code != 0:
        raise UserError(f"robo-rl {arguments[0]} failed with exit code {code}: {last_line(log)}")


def step(
    folder: Path, *arguments: str, program: Sequence[str] = HERE, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The result of a command that writes `folder`, which is run unless its result is there.

    What an interrupted one left is resumed where it has a checkpoint, else removed.
    """
    result = folder / "result.json"
    if not result.exists():
        resume = ("resume=true",) if whole(folder / "checkpoint", "progress.json") else ()
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = folder.with_name(folder.name + ".txt")
        finish(log, *arguments, f"out={folder}", *resume, program=program, env=env)
    return json.loads(result.read_text())


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


@contextmanager
def alone(path: Path, wait: bool = False) -> Iterator[bool]:
    """Whether no other process is inside with this path, or until none is; the system forgets one that was killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
