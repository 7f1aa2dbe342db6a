"""Simulated seconds a second: so101/lift beside robosuite's Lift, which runs in a venv of its own with its own MuJoCo.

The venv, `build/robosuite/venv`, is made when it is not there. Without it, the row has no peer and its note says why.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks import peers_robosuite
from benchmarks.pipeline import Ours, Size, write_script
from benchmarks.rows import Row, in_turns

TASK = "so101/lift"
ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / "build/robosuite/venv"
REQUIREMENTS = ("robosuite==1.5.2", "mujoco==3.3.0")
SIZE = Size(64, 50, 5)
STEPS = 20  # control steps of every robosuite process in a round
NOTE = (
    f"whole pipeline, N={SIZE.n}; peer: robosuite's Lift (Panda, {', '.join(REQUIREMENTS)}) with random actions and "
    "without resets, cameras or vectorisation"
)


def measure(size: Size = SIZE, venv: Path = VENV, steps: int = STEPS) -> list[Row]:
    """One row."""
    try:
        python: Path | None = install(venv)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: no robosuite here: {error}", file=sys.stderr)
        python = None
    script, note = write_script(TASK, size.ticks, ()), NOTE if python else "whole pipeline; robosuite is not installed"
    with ExitStack() as stack:
        ours = Ours(TASK, script, size)
        stack.callback(ours.close)
        candidates = {"ours": lambda number: ours(number) * ours.env.dt}
        if python is not None:
            peer = Robosuite(python, os.cpu_count() or 1, steps)
            stack.callback(peer.close)
            candidates["peer"] = peer
            note += f", {peer.count} processes beside each other"
        rates = in_turns(candidates, size.rounds)
    name = None if python is None else "robosuite Lift"
    return [Row(f"simulated time {TASK}", rates["ours"], "s/s", name, rates.get("peer"), note=note)]


class Robosuite:
    """Processes of robosuite's Lift that step at the same time."""

    def __init__(self, python: Path, count: int, steps: int) -> None:
        self.count, self.steps = count, steps
        command = [python, "-P", peers_robosuite.__file__]
        pipe = subprocess.PIPE
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment)
            for _ in range(count)
        ]
        for index in range(count):
            while self._line(index) != "ready":  # robosuite greets first
                pass

    def __call__(self, number: int) -> float:
        """Simulated seconds a second of all processes together."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{self.steps}\n")
            process.stdin.flush()
        seconds = [float(self._line(index)) for index in range(self.count)]
        return sum(self.steps / peers_robosuite.CONTROL_HZ / each for each in seconds)

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
            raise RuntimeError(f"robosuite ended with exit code {self._processes[index].wait()}")
        return line.strip()


def install(venv: Path) -> Path:
    """The Python of a venv with robosuite; made with this project's uv where there is none."""
    python, home = venv / "bin/python", ROOT / ".venv/bin"
    if not (venv / "installed").exists():
        settings = subprocess.check_output([home / "python", ROOT / "tools/pip_to_uv.py"], text=True)
        exports = (shlex.split(line)[1].split("=", 1) for line in settings.splitlines())
        env, uv = os.environ | dict(exports), home / "uv"
        subprocess.run([uv, "venv", "-q", "--clear", "--python", home / "python", venv], env=env, check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *REQUIREMENTS], env=env, check=True)
        (venv / "installed").touch()
    return python
