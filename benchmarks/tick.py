"""What one control tick costs outside physics, N = 1, while a learner keeps the other core busy."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from robo_rl.errors import UserError

LIMIT = 1000.0  # [us] at p99


@dataclass(frozen=True)
class Budget:
    ticks: int = 4000
    rate: float = 100.0  # [Hz]; between two ticks the caches are the learner's
    learner: bool = True


@contextmanager
def busy_learner(wanted: bool) -> Iterator[None]:
    """A learner process beside what runs in here."""
    if not wanted:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.load"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise UserError("tick: the learner process did not start")
            yield
        finally:
            process.kill()


def measure(budget: Budget = Budget()) -> list[Row]:
    """Percentiles of the tick's time, and of the observation's age when the command is written."""
    with tempfile.TemporaryDirectory() as folder, busy_learner(budget.learner):
        path = Path(folder) / "tick.json"
        command = [sys.executable, "-m", "benchmarks.acting", str(budget.ticks), str(budget.rate), str(path)]
        if subprocess.run(command, check=False).returncode != 0:
            raise UserError("tick: the acting process failed")
        times = json.loads(path.read_text())
    beside = "a learner process on the other core" if budget.learner else "nothing else running"
    about = f"N=1, {budget.ticks} ticks at {budget.rate:.0f} Hz, one thread, beside {beside}"
    note = f"observe, judge, Residual(Chunked(ClonedPlanner)), guard, command, recorder; without physics; {about}"
    rows = [
        Row(
            f"tick N=1 p{rank:g}",
            _percentile(times["total"], rank),
            "us",
            bound=LIMIT if rank == 99 else None,
            note=note,
        )
        for rank in (50, 99, 99.9)
    ]
    age = _percentile(times["age"], 99)
    about = f"from the end of the control period to the command at the robot; {about}"
    return [*rows, Row("tick N=1 observation age p99", age, "us", note=about)]


def _percentile(values: list[float], rank: float) -> float:
    return float(np.percentile(values, rank))
