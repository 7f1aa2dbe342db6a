"""Peers in a venv of their own, with their own versions of everything: processes that answer a number with a number."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def install(venv: Path, requirements: Sequence[str]) -> Path:
    """The Python of a venv with these packages; made with this project's uv where there is none.

    Raises:
        OSError, subprocess.CalledProcessError: it cannot be made here.
    """
    python, home = venv / "bin/python", ROOT / ".venv/bin"
    if not (venv / "installed").exists():
        settings = subprocess.check_output([home / "python", ROOT / "tools/pip_to_uv.py"], text=True)
        exports = (shlex.split(line)[1].split("=", 1) for line in settings.splitlines())
        env, uv = os.environ | dict(exports), home / "uv"
        subprocess.run([uv, "venv", "-q", "--clear", "--python", home / "python", venv], env=env, check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *requirements], env=env, check=True)
        (venv / "installed").touch()
    return python


class Elsewhere:
    """Processes of a script, started beside each other. Each prints "ready" when it is."""

    def __init__(self, python: Path, script: str, *arguments: object, count: int = 1) -> None:
        self.count = count
        command = [python, "-P", script, *map(str, arguments)]
        pipe = subprocess.PIPE
        environment = os.environ | ({"OMP_NUM_THREADS": "1"} if count > 1 else {})
        self._processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment)
            for _ in range(count)
        ]
        for index in range(count):
            while self._line(index) != "ready":  # some greet first
                pass

    def ask(self, number: int) -> list[float]:
        """All get the number at once; their answers."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
        return [float(self._line(index)) for index in range(self.count)]

    def close(self) -> None:
        """End the processes. May be called twice."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _line(self, index: int) -> str:
        output = self._processes[index].stdout
        assert output is not None
        line = output.readline()
        if not line:
            raise RuntimeError(f"{self._processes[index].args}: exit code {self._processes[index].wait()}")
        return line.strip()
