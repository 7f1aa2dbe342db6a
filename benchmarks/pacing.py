"""The cadence of `robo-rl deploy` beside that of a loop that does nothing but wait, on the same machine.

The bare loop runs before and after, each as long as the deployment, in a process of its own: what the machine itself
delays shows in all three.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import finish, number, require_used
from benchmarks.rows import measured_on
from robo_rl.app.runs import write_json
from robo_rl.clock import Deadline
from robo_rl.errors import UserError

COLUMNS = ("ticks", "rate_hz", "deadline_misses", "wake_p50_us", "wake_p99_us", "wake_max_us")
DT = 1 / 30  # [s], of the default robot


def bare(seconds: float, dt: float = DT) -> dict[str, float]:
    """Cadence of a loop that only waits."""
    deadline = Deadline(dt)
    for _ in range(max(1, round(seconds / dt))):
        deadline.wait()
    p50, p99, worst = np.percentile(deadline.late * 1e6, [50, 99, 100])
    measured = (deadline.ticks, 1 / dt, deadline.misses, p50, p99, worst)
    return dict(zip(COLUMNS, map(float, measured), strict=True))


def measure(seconds: float, run: str, robot: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Bare, deploy, bare: one after the other; on an emulated `robot`, "" is the simulated one."""
    if not run:
        from benchmarks.untrained import save_bundle

        run = str(save_bundle(folder / "untrained"))
    found: dict[str, dict[str, Any]] = {"bare loop, before": _bare_process(seconds)}
    out, where = folder / "deploy", (f"robot={robot}", "robot.bus=emulated") if robot else ()
    finish(folder / "log.txt", "deploy", f"run={run}", f"seconds={seconds}", "episodes=1000000", *where, f"out={out}")
    found["deploy"] = json.loads((out / "result.json").read_text())
    found["bare loop, after"] = _bare_process(seconds)
    return found


def _bare_process(seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.pacing", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError("pacing: the bare loop failed")
    return json.loads(done.stdout)


def main(keys: dict[str, str], root: Path) -> int:
    """`pacing seconds=60 run=FOLDER robot=so101`: print both, write pacing.json."""
    seconds, run, robot = number(keys, "seconds", 60.0), keys.pop("run", ""), keys.pop("robot", "")
    require_used(keys, "seconds", "run", "robot")
    print(f"pacing: {seconds:g} s each of a bare loop, the deployment, a bare loop", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(seconds, run, robot, Path(folder))
    table = Table(title=f"pacing, {seconds:g} s each at {1 / DT:.0f} Hz", title_justify="left")
    for column in ("", *COLUMNS):
        table.add_column(column.replace("_", " "))
    for name, result in found.items():
        table.add_row(name, *(f"{result[column]:.5g}" for column in COLUMNS))
    Console().print(table)
    write_json(root / "pacing.json", {"machine": measured_on(), "seconds": seconds, **found})
    print(root / "pacing.json")
    return 0


if __name__ == "__main__":
    print(json.dumps(bare(float(sys.argv[1]))))
