"""`python -m benchmarks lossy [robot=so101] [seconds=600] [loss=0.01]`: a session on a bus that loses packets.

A share `loss` of the packets is lost, as many are broken, and as many arrive twice. The session has to last; what was
lost is counted. A loop that does nothing but wait runs afterwards, as long: what it misses, the machine makes it miss.
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

from benchmarks.command import number, require_used
from benchmarks.killrobot import EMULATORS
from benchmarks.pacing import bare
from benchmarks.robot_loop import describe
from benchmarks.rows import measured_on
from hardware.emulators.plant import SecondOrder
from robo_rl.app.runs import write_json
from robo_rl.errors import UnknownName, UserError

BUSES = ("so101", "koch")  # robots on a bus of servos
CADENCE = ("ticks", "misses", "wake_p50_us", "wake_p99_us", "wake_max_us")


def session(robot: str, seconds: float, loss: float) -> dict[str, Any]:
    """What `benchmarks.robot_loop` says of one episode on such a bus."""
    description = describe(robot)
    bus = EMULATORS[robot](description, SecondOrder(np.zeros(len(description.joints))), priority=60)
    bus.faults.lost = bus.faults.corrupted = bus.faults.duplicated = loss
    port = str(next(iter(bus.wiring.values())))
    with tempfile.TemporaryDirectory() as folder:
        arguments = [robot, port, "hold", folder, "1", str(seconds)]
        command = [sys.executable, "-m", "benchmarks.robot_loop", *arguments]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        finally:
            bus.close()
    said = next((line for line in done.stdout.splitlines() if line.startswith("over ")), "")
    if not said:
        raise UserError(f"lossy: the loop ended with exit code {done.returncode} and said nothing")
    return json.loads(said.partition(" ")[2])


def main(keys: dict[str, str], root: Path) -> int:
    """Print a table, write lossy_ROBOT.json; 1 when the session ended in a fault."""
    robot, seconds, loss = keys.pop("robot", "so101"), number(keys, "seconds", 600.0), number(keys, "loss", 0.01)
    require_used(keys, "robot", "seconds", "loss")
    if robot not in BUSES:
        raise UnknownName("robot", robot, BUSES)
    print(f"lossy: a session of {seconds:g} s, then a bare loop as long", flush=True)
    found = session(robot, seconds, loss)
    (driver,) = found["drivers"].values()
    waited = bare(seconds, describe(robot).dt)
    table = Table(title=f"{robot}, {seconds:g} s, {loss:g} of the packets lost", title_justify="left")
    for column in ("", *CADENCE):
        table.add_column(column.replace("_", " "))
    table.add_row("session", *(f"{found[column]:.5g}" for column in CADENCE))
    alone = {**waited, "misses": waited["deadline_misses"]}
    table.add_row("bare loop", *(f"{alone[column]:.5g}" for column in CADENCE))
    Console().print(table)
    counts = {name: driver[name] for name in ("transactions", "retried", "failed")}
    print(f"fault: {found['fault'] or 'none'}; {counts}")
    write_json(root / f"lossy_{robot}.json", {"machine": measured_on(), "loss": loss, **found, "bare": waited})
    return 1 if found["fault"] else 0
