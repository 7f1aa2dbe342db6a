"""How late a loop wakes up at the rates of policies and low levels, beside two processes that are busy for ever.

Each loop is a process of its own: once an ordinary one, once with what `hardware.realtime` asks for. What was granted
is in the table: a machine that refuses shows the same numbers twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from hardware import realtime
from robo_rl.app.runs import write_json
from robo_rl.clock import Deadline
from robo_rl.errors import UserError

RATES = (50, 100, 500)  # [Hz]
BUSY = 2  # processes
PRIORITY = 50  # of SCHED_FIFO


def loop(rate: float, seconds: float, priority: int) -> dict[str, Any]:
    """Lateness of a loop that only waits; priority 0 asks for nothing."""
    granted = realtime.acquire(priority) if priority else realtime.Granted(False, False)
    deadline = Deadline(1 / rate)
    for _ in range(max(1, round(seconds * rate))):
        deadline.wait()
    p50, p99, worst = np.percentile(deadline.late * 1e6, [50, 99, 100]).tolist()
    return {"rate": rate, "SCHED_FIFO": granted.fifo, "mlockall": granted.locked, "wakes": deadline.ticks,
            "p50_us": p50, "p99_us": p99, "max_us": worst, "missed": deadline.misses}  # fmt: skip


def measure(seconds: float) -> list[dict[str, Any]]:
    """A row a rate, without and with privileges, beside busy processes."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        return [_process(rate, seconds, priority) for priority in (0, PRIORITY) for rate in RATES]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _process(rate: float, seconds: float, priority: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.wakeups", str(rate), str(seconds), str(priority)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"wakeups: the loop at {rate:g} Hz failed")
    return json.loads(done.stdout)


def main(keys: dict[str, str], root: Path) -> int:
    """`wakeups seconds=20`: print a table, write wakeups.json."""
    seconds = number(keys, "seconds", 20.0)
    require_used(keys, "seconds")
    rows = measure(seconds)
    table = Table(title=f"wake-ups beside {BUSY} busy processes, {seconds:g} s each", title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_us", " [us]"))
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    write_json(root / "wakeups.json", {"machine": measured_on(), "seconds": seconds, "busy": BUSY, "rows": rows})
    print(root / "wakeups.json")
    return 0


if __name__ == "__main__":
    print(json.dumps(loop(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
