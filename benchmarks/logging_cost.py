"""What recording costs a control loop at 500 Hz: one process, blocks of a second with and without it, in turns.

A quadruped's states, no camera: 38 observed numbers and two actions of 12 a tick. A tick's time is how late it woke up
plus what it did, so what a recorder's thread takes from the interpreter shows, too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from robo_rl.app.pacing import undisturbed
from robo_rl.app.runs import write_json
from robo_rl.clock import Deadline
from robo_rl.log.recorder import Recorder
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Step

RATE = 500.0  # [Hz]
BLOCK, SETTLE = 500, 100  # ticks of a block, and how many at its beginning do not count
RANKS = (50, 99, 99.9)
JOINTS = tuple(f"{leg}_{joint}" for leg in ("FR", "FL", "RR", "RL") for joint in ("hip", "thigh", "calf"))
OBS = Spec(
    {
        "joint_position": Feature((12,), names=JOINTS, unit="rad"),
        "joint_velocity": Feature((12,), names=JOINTS, unit="rad/s"),
        "imu": Feature((10,)),
        "foot_force": Feature((4,), unit="N"),
    }
)
ACT = Feature((12,), names=JOINTS, unit="rad")
EXTRA = Spec({"base_action": ACT})


def ticks() -> Iterator[tuple[Step, Action]]:
    """An endless episode of one row."""
    rng, kind = np.random.default_rng(0), Kind.FIRST
    one, zeros = np.ones(1, np.float32), np.zeros(1, np.uint8)
    while True:
        obs = {key: rng.standard_normal((1, *feature.shape)).astype(np.float32) for key, feature in OBS.items()}
        value = rng.standard_normal((1, 12)).astype(np.float32)
        seed, success = np.zeros(1, np.int64), np.full(1, -1, np.int8)
        step = Step(obs, one, one, np.full(1, kind, np.uint8), value, success, zeros, seed)
        yield step, Action(value, {"base_action": value})
        kind = Kind.MID


def measure(seconds: float, folder: Path) -> dict[str, dict[str, float]]:
    """Percentiles [us] of a tick without recording, with the thread and with the process, and of the call alone."""
    times: dict[str, list[float]] = {"off": [], "thread": [], "process": [], "call thread": [], "call process": []}
    with ExitStack() as stack, undisturbed():
        recorders = {
            name: stack.enter_context(Recorder(folder / name, OBS, ACT, EXTRA, {}, 1 / RATE, realtime=realtime))
            for name, realtime in (("thread", None), ("process", 1))
        }
        deadline, stream, turns = Deadline(1 / RATE), ticks(), cycle(("off", "thread", "off", "process"))
        turn = "off"
        for index in range(round(seconds * RATE)):
            turn = next(turns) if index % BLOCK == 0 else turn
            deadline.wait()
            begun = time.monotonic()
            tick, made = next(stream), time.monotonic()
            if turn in recorders:
                recorders[turn](*tick)
            done = time.monotonic()
            if index % BLOCK >= SETTLE:
                times[turn].append(deadline.late[-1] + done - begun)
                if turn in recorders:
                    times[f"call {turn}"].append(done - made)
    return {name: _percentiles(values) for name, values in times.items()}


def _percentiles(values: list[float]) -> dict[str, float]:
    found = np.percentile(np.array(values) * 1e6, RANKS)
    return {f"p{rank:g}": float(value) for rank, value in zip(RANKS, found, strict=True)} | {"ticks": len(values)}


def main(keys: dict[str, str], root: Path) -> int:
    """`logging seconds=60`: print a table, write logging.json."""
    seconds = number(keys, "seconds", 60)
    require_used(keys, "seconds")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(seconds, Path(folder))
    Console().print(_table(found))
    write_json(root / "logging.json", {"machine": measured_on(), "unit": "us", **found})
    print(root / "logging.json")
    return 0


def _table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=f"a tick at {RATE:g} Hz, recording in turns [us]", title_justify="left")
    for column in ("", "ticks", *(f"p{rank:g}" for rank in RANKS)):
        table.add_column(column)
    for name, values in found.items():
        shown = (f"{values[f'p{rank:g}']:.0f}" for rank in RANKS)
        table.add_row(name, str(values["ticks"]), *shown)
    return table
