"""A 500 Hz loop and its recorder's process are killed (SIGKILL) at random moments: how much of the log is lost.

Killing the loop must lose nothing that it had recorded, and leave a file with its index; killing the recorder may lose
at most 0.3 s, and the loop must go on. What a power cut leaves is taken to be what the last fdatasync had seen: the
file is cut there, and may lack 1.3 s. Every file is recovered, too, and read with the stock reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mcap.reader import make_reader
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.logging_cost import ACT, EXTRA, OBS, RATE, ticks
from benchmarks.rows import measured_on
from robo_rl.app.runs import write_json
from robo_rl.clock import Deadline
from robo_rl.errors import CorruptFile, UserError
from robo_rl.log.process import RecorderProcess
from robo_rl.log.reader import read_log
from robo_rl.log.recorder import Recorder
from robo_rl.log.recover import recover

ALLOWED = {"control": 2 / RATE, "recorder": 0.3, "power": 1.3}  # [s]
SETTLE = 120.0  # [s] a process may take to begin its file, or to finish that of a killed loop
LONGEST = 3.0  # [s] from the first tick to the kill


@dataclass(frozen=True)
class Trial:
    """One kill: `loss_s` from the last readable tick to the last one before the kill."""

    killed: str
    delay_s: float
    loss_s: float
    whole: bool  # the file has its end
    went_on: bool  # the loop did, where the recorder was killed
    messages: int  # that the stock reader finds in the recovered copy

    @property
    def ok(self) -> bool:
        return self.loss_s <= ALLOWED[self.killed] and self.went_on and self.messages > 0


def loop(folder: str, killed: str) -> None:
    """The process that is killed: records at 500 Hz and prints the recorder's process, then each tick's time."""
    if killed == "power":
        note_syncs(Path(folder).with_suffix(".synced"))
    deadline, stream = Deadline(1 / RATE), ticks()
    realtime = None if killed == "power" else 1  # a thread's syncs can be seen from here; both empty the ring alike
    recorder = Recorder(folder, OBS, ACT, EXTRA, {}, 1 / RATE, realtime=realtime)
    writer = recorder._writer
    print(writer.pid if isinstance(writer, RecorderProcess) else 0, flush=True)
    while True:
        deadline.wait()
        recorder(*next(stream))
        print(time.monotonic(), flush=True)


def note_syncs(path: Path) -> None:
    """Write how long the log was when each fdatasync was asked for, once it is done."""
    sync, file = os.fdatasync, path.open("w")

    def noted(number: int) -> None:
        size = os.fstat(number).st_size
        sync(number)
        print(size, file=file, flush=True)

    os.fdatasync = noted


def trial(folder: Path, killed: str, delay: float) -> Trial:
    """Start a loop, kill it or its recorder `delay` seconds after the log's first ticks, and look at what is left."""
    command, log = [sys.executable, "-m", "benchmarks.logging_kill", str(folder), killed], folder / "log-row000.mcap"
    begun = folder.with_suffix(".synced") if killed == "power" else log
    with (folder.with_suffix(".txt")).open("w+") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            _wait(lambda: begun.exists() and begun.stat().st_size > 0 and holds_ticks(log))
            time.sleep(delay)
            lines = Path(output.name).read_text().splitlines()
            os.kill(int(lines[0]) if killed == "recorder" else process.pid, signal.SIGKILL)
            at = time.monotonic()
            time.sleep(0.2)
            went_on = killed != "recorder" or float(Path(output.name).read_text().split("\n")[-2]) > at + 0.1
        finally:
            process.kill()
    before = [float(line) for line in Path(output.name).read_text().split("\n")[1:-1] if float(line) <= at]
    if killed == "power":
        os.truncate(log, int(begun.read_text().split("\n")[-2]))
    if killed == "control":
        _wait(lambda: not read_log(log).truncated)
    found = read_log(log)
    recover(log, folder / "copy.mcap")
    with (folder / "copy.mcap").open("rb") as file:
        messages = sum(1 for _ in make_reader(file).iter_messages(topics=["step"]))
    loss = max(0.0, before[-1] - float(found.timing["monotonic"][-1]))
    return Trial(killed, delay, loss, not found.truncated, went_on, messages)


def holds_ticks(log: Path) -> bool:
    """Whether the first chunk is there, behind the head."""
    with contextlib.suppress(CorruptFile):
        return bool(read_log(log).timing)
    return False


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SETTLE
    while not condition():
        if time.monotonic() > end:
            raise UserError(f"killrecorder: nothing happened for {SETTLE:g} s")
        time.sleep(0.02)


def main(keys: dict[str, str], root: Path) -> int:
    """`killrecorder times=300 seed=1`: print a table, write kill_recorder.json; 1 when too much was lost.

    An interrupted command goes on where it was.
    """
    times, seed = int(number(keys, "times", 300)), int(number(keys, "seed", 1))
    require_used(keys, "times", "seed")
    path = root / "kill_recorder.json"
    found = _done(path, seed)[: len(ALLOWED) * times]
    for index in range(len(found), len(ALLOWED) * times):
        with tempfile.TemporaryDirectory() as folder:
            killed, delay = list(ALLOWED)[index % len(ALLOWED)], random.Random(f"{seed} {index}").uniform(0.0, LONGEST)
            found.append(trial(Path(folder) / "log", killed, delay))
        said = f"{killed} killed after {delay:.2f} s, {found[-1].loss_s:.3f} s lost"
        print(f"{len(found)} of {len(ALLOWED) * times}: {said}", flush=True)
        trials = [asdict(one) | {"ok": one.ok} for one in found]
        write_json(path, {"machine": measured_on(), "seed": seed, "trials": trials})
    Console().print(_table(found))
    print(path)
    return 0 if all(one.ok for one in found) else 1


def _done(path: Path, seed: int) -> list[Trial]:
    """The trials that a file holds of the same seed."""
    data = json.loads(path.read_text()) if path.exists() else {}
    if data.get("seed") != seed:
        return []
    return [Trial(**{field.name: one[field.name] for field in fields(Trial)}) for one in data["trials"]]


def _table(found: Sequence[Trial]) -> Table:
    table = Table(title=f"kill -9 at {RATE:g} Hz", title_justify="left")
    for column in ("killed", "times", "ok", "largest loss [s]", "files with their end"):
        table.add_column(column)
    for killed in ALLOWED:
        some = [one for one in found if one.killed == killed]
        worst, whole = max(one.loss_s for one in some), sum(one.whole for one in some)
        table.add_row(killed, str(len(some)), str(sum(one.ok for one in some)), f"{worst:.3f}", str(whole))
    return table


if __name__ == "__main__":
    loop(sys.argv[1], sys.argv[2])
