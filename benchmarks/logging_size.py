"""A log of hours whose writer was killed: time and memory of `robo-rl recover`, which indexes and summarises it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.command import last_line, number, require_used
from benchmarks.logging_cost import ACT, EXTRA, OBS, RATE, ticks
from benchmarks.rows import measured_on
from robo_rl.app.runs import write_json
from robo_rl.errors import UserError
from robo_rl.log.header import Specs, attachments, complete
from robo_rl.log.layout import Layout
from robo_rl.log.mcap_file import McapFile
from robo_rl.log.ring import Moment, TickRing
from robo_rl.types import Kind

TIME, MEMORY = 60.0, 500.0  # [s], [MB]
EPISODE, CHUNK = 5000, 40  # ticks


def write(path: Path, size: float) -> int:
    """A log of `size` bytes at 500 Hz in episodes of ten seconds, cut in its last chunk; the ticks that it holds."""
    layout = Layout(OBS, ACT, EXTRA, ("monotonic", "wall"))
    header = attachments(Specs(OBS, ACT, EXTRA), complete({"task": "long", "row": 0, "n": 1}, 1 / RATE))
    block, written = _episode(layout), 0
    file = McapFile(path, layout, header, 0)
    fields = block.view(layout.dtype)[..., 0]
    while file.size < size:
        part = slice(written % EPISODE, written % EPISODE + CHUNK)
        number = np.arange(written, written + CHUNK)
        fields["step:tick"][part], fields["step:seed"][part] = number, written // EPISODE
        times = (number / RATE * 1e9).astype(np.uint64)
        for channel in layout.channels[: layout.ticked]:
            fields[channel.topic][part]["log"] = times
        file.add(block[part], times, ())
        written += CHUNK
    file.close()
    os.truncate(path, path.stat().st_size - 1000)
    return written


def _episode(layout: Layout) -> np.ndarray:
    """Records (T, B) of one episode."""
    ring, stream, one = TickRing(layout, EPISODE, 1), ticks(), np.ones(1, bool)
    for index in range(EPISODE):
        step, action = next(stream)
        if index == EPISODE - 1:
            step.kind[:] = Kind.LAST
        ring.add(step, action, slice(None), Moment(one, index, index, np.zeros(1, np.uint64), [index / RATE, 0.0]))
    (block,) = ring.take(EPISODE)
    return block.bytes[:, 0].copy()


def recover(log: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and megabytes (largest resident size) of `robo-rl recover` as a process of its own."""
    command = [sys.executable, "-m", "robo_rl.app.main", "recover", f"log={log}", f"out={folder / 'out'}"]
    begun, output = time.monotonic(), folder / "log.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise UserError(f"robo-rl recover failed: {last_line(output)}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main(keys: dict[str, str], root: Path) -> int:
    """`longlog gigabytes=2`: write long_log.json; 1 when a limit is missed."""
    size = number(keys, "gigabytes", 2.0)
    require_used(keys, "gigabytes")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.mcap"
        written = write(log, size * 1e9)
        seconds, busy, megabytes = recover(log, Path(folder))
    found = {"gigabytes": size, "ticks": written, "hours": written / RATE / 3600, "seconds": seconds}
    found |= {"largest_resident_mb": megabytes, "processor_s": busy, "limit_s": TIME, "limit_mb": MEMORY}
    print(f"{size:g} GB, {found['hours']:.2f} h: {seconds:.1f} s ({busy:.1f} s of a core), {megabytes:.0f} MB")
    write_json(root / "long_log.json", {"machine": measured_on(), **found})
    print(root / "long_log.json")
    return 0 if seconds < TIME and megabytes < MEMORY else 1
