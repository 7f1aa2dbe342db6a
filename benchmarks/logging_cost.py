"""What recording costs a control loop at 500 Hz: one process, blocks of a second with and without it, in turns.

A quadruped's states and two cameras: 38 observed numbers, two actions of 12, and 30 pictures a second of each camera. A
tick's time is how late it woke up plus what it did, so what a recorder takes from the interpreter or the processor
shows, too. What else the machine does falls on all turns alike: the interval of a difference comes from drawing blocks
anew, and the processor's time that a tick took knows nothing of other programs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from robo_rl.app.pacing import undisturbed
from robo_rl.app.runs import write_json
from robo_rl.cameras import Camera, spec_of
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
Blocks = dict[str, list[np.ndarray]]
FRAMES, LIMIT = 30.0, 1000.0  # pictures a second of a camera; what recording may add at p99.9 [us]


def ticks(cameras: Spec | None = None) -> Iterator[tuple[Step, Action]]:
    """An endless episode of one row; pictures of `cameras` change with a stamp of their own."""
    rng, kind = np.random.default_rng(0), Kind.FIRST
    one, zeros = np.ones(1, np.float32), np.zeros(1, np.uint8)
    pool, number = [_pictures(cameras, rng) for _ in range(8)], 0
    while True:
        obs = {key: rng.standard_normal((1, *feature.shape)).astype(np.float32) for key, feature in OBS.items()}
        value = rng.standard_normal((1, 12)).astype(np.float32)
        seed, success = np.zeros(1, np.int64), np.full(1, -1, np.int8)
        frame = int(number * FRAMES / RATE)
        pictures = pool[frame % len(pool)]
        stamp = dict.fromkeys(pictures, np.full(1, frame / FRAMES))
        step = Step({**obs, **pictures}, one, one, np.full(1, kind, np.uint8), value, success, zeros, seed, stamp)
        yield step, Action(value, {"base_action": value})
        kind, number = Kind.MID, number + 1


def _pictures(cameras: Spec | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Pictures of one row, as smooth and as noisy as those of a room."""
    found = {}
    for key, feature in (cameras or {}).items():
        coarse = rng.uniform(0, 255, (12, 16, 3)).astype(np.float32)
        smooth = cv2.resize(coarse, feature.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        found[key] = np.clip(smooth + rng.normal(0, 3, feature.shape), 0, 255).astype(np.uint8)[None]
    return found


def measure(seconds: float, folder: Path, cameras: Spec, images: str) -> tuple[Blocks, dict[str, Any]]:
    """Times [s] of the ticks of every block without recording, with the thread and with the process, of the call
    alone, and of the processor; and what the process left out."""
    names = ("off", "thread", "process")
    times: Blocks = {f"{kind}{name}": [] for kind in ("", "call ", "processor ") for name in names}
    with ExitStack() as stack, undisturbed():
        recorders = {
            name: stack.enter_context(
                Recorder(folder / name, OBS | cameras, ACT, EXTRA, {}, 1 / RATE, realtime=realtime, images=images)
            )
            for name, realtime in (("thread", None), ("process", 1))
        }
        deadline, stream, turns = Deadline(1 / RATE), ticks(cameras), cycle(("off", "thread", "off", "process"))
        for _ in range(round(seconds * RATE / BLOCK)):
            turn = next(turns)
            for kind, values in zip(
                ("", "call ", "processor "), _block(deadline, stream, recorders.get(turn)), strict=True
            ):
                times[f"{kind}{turn}"].append(values)
        losses = recorders["process"].losses
    return times, losses


def _block(deadline: Deadline, stream: Iterator[tuple[Step, Action]], recorder: Recorder | None) -> np.ndarray:
    """Times [s] of a block's ticks, of the call in each, and of the processor (3, T)."""
    times = np.empty((3, BLOCK))
    for index in range(BLOCK):
        deadline.wait()
        begun, busy = time.monotonic(), time.thread_time()
        tick, made = next(stream), time.monotonic()
        if recorder is not None:
            recorder(*tick)
        done = time.monotonic()
        times[:, index] = deadline.late[-1] + done - begun, done - made, time.thread_time() - busy
    return times[:, SETTLE:]


def _percentiles(blocks: Sequence[np.ndarray]) -> dict[str, float]:
    values = np.concatenate(blocks)
    found = np.percentile(values * 1e6, RANKS)
    return {f"p{rank:g}": float(value) for rank, value in zip(RANKS, found, strict=True)} | {"ticks": len(values)}


def added(off: Sequence[np.ndarray], on: Sequence[np.ndarray]) -> dict[str, float]:
    """What recording adds at p99.9 [us], with a 95 % interval of the bootstrap over blocks."""
    draw = np.random.default_rng(0)

    def percentile(blocks: Sequence[np.ndarray], again: bool) -> float:
        index = draw.integers(0, len(blocks), len(blocks)) if again else range(len(blocks))
        return float(np.percentile(np.concatenate([blocks[i] for i in index]), RANKS[-1])) * 1e6

    drawn = [percentile(on, True) - percentile(off, True) for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"mean": percentile(on, False) - percentile(off, False), "ci_low": float(low), "ci_high": float(high)}


def main(keys: dict[str, str], root: Path) -> int:
    """`logging seconds=60 cameras=2 images=jpeg`: print a table, write logging.json; 1 when recording adds too much."""
    seconds, images = number(keys, "seconds", 60), keys.pop("images", "jpeg")
    count = int(keys.pop("cameras", "2"))
    require_used(keys, "seconds", "cameras", "images")
    cameras = spec_of([Camera(f"camera{index}", 640, 480) for index in range(count)])
    with tempfile.TemporaryDirectory() as folder:
        times, losses = measure(seconds, Path(folder), cameras, images)
    found = {name: _percentiles(blocks) for name, blocks in times.items()}
    more = {
        f"{kind}p99.9 added by the {name}": added(times[f"{kind}off"], times[f"{kind}{name}"])
        for kind in ("", "processor ")
        for name in ("thread", "process")
    }
    Console().print(_table(found))
    for name, one in more.items():
        print(f"{name}: {one['mean']:.0f} us (95 % interval {one['ci_low']:.0f} to {one['ci_high']:.0f})")
    print(f"left out: {losses}")
    about = {"machine": measured_on(), "unit": "us", "cameras": count, "images": images, "left_out": losses}
    write_json(root / "logging.json", {**about, **found, **more})
    print(root / "logging.json")
    return 0 if more["p99.9 added by the process"]["mean"] < LIMIT else 1


def _table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=f"a tick at {RATE:g} Hz, recording in turns [us]", title_justify="left")
    for column in ("", "ticks", *(f"p{rank:g}" for rank in RANKS)):
        table.add_column(column)
    for name, values in found.items():
        shown = (f"{values[f'p{rank:g}']:.0f}" for rank in RANKS)
        table.add_row(name, str(values["ticks"]), *shown)
    return table
