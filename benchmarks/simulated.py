"""Simulated seconds a second: so101/lift beside robosuite's Lift, which runs in a venv of its own with its own MuJoCo.

The venv, `build/robosuite/venv`, is made when it is not there. Without it, the row has no peer and its note says why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks import peers_robosuite
from benchmarks.elsewhere import ROOT, Elsewhere, install
from benchmarks.pipeline import Ours, Size, write_script
from benchmarks.rows import Row, in_turns

TASK = "so101/lift"
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
        python: Path | None = install(venv, REQUIREMENTS)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: no robosuite here: {error}", file=sys.stderr)
        python = None
    script, note = write_script(TASK, size.ticks, ()), NOTE if python else "whole pipeline; robosuite is not installed"
    with ExitStack() as stack:
        ours = Ours(TASK, script, size)
        stack.callback(ours.close)
        candidates = {"ours": lambda number: ours(number) * ours.env.dt}
        if python is not None:
            peer = Elsewhere(python, peers_robosuite.__file__, count=os.cpu_count() or 1)
            stack.callback(peer.close)
            simulated = steps / peers_robosuite.CONTROL_HZ  # [s]
            candidates["peer"] = lambda number: sum(simulated / seconds for seconds in peer.ask(steps))
            note += f", {peer.count} processes beside each other"
        rates = in_turns(candidates, size.rounds)
    name = None if python is None else "robosuite Lift"
    return [Row(f"simulated time {TASK}", rates["ours"], "s/s", name, rates.get("peer"), note=note)]
