"""Commands are killed (SIGKILL) at random moments; what they wrote must be there, and training must go on.

`record` and `deploy`: whatever is lost between the last readable tick and the kill must be at most 0.3 s and a tick.
A file that was killed before its header was written holds nothing: reading it must give one line, not a traceback.
`train`: `resume=true` must finish the run.
"""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.command import finish, last_line, number, require_used, start
from benchmarks.rows import measured_on
from robo_rl.app.main import main as robo_rl
from robo_rl.app.runs import write_json
from robo_rl.errors import CorruptFile, UserError
from robo_rl.log.reader import find_logs, read_log

ALLOWED = 0.3  # [s]
STARTED = "config.yaml"  # the first file that a command writes into its folder
WAIT = 120.0  # [s] for it
SETTLE = 2.0  # [s] in which a recorder that is a process of its own ends the files of its killed command
TRAIN = (
    "train", "learner=residual", "task.task.config.limit=2.0", "learner.rows=4", "learner.eval_rows=4", "threads=1",
    "learner.hidden=[32,32]", "learner.heads=2", "learner.capacity=5000", "learner.online.steps=5000",
    "learner.online.segment=300", "learner.online.warmup_episodes=4", "learner.online.held_out_episodes=4",
    "learner.online.warmup_updates=20", "learner.online.warmup_rounds=1", "learner.online.select_episodes=4",
    "learner.online.confirm_episodes=4",
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One kill."""

    command: str
    delay_s: float  # from the command's first file to the kill
    ok: bool
    loss_s: float | None  # None where nothing could be lost
    finding: str


def kill_at(folder: Path, delay: float, *arguments: str) -> float | None:
    """Start a command, kill it `delay` seconds after its first file; Unix time of the kill, None if it had ended."""
    process = start(folder / "log.txt", *arguments, f"out={folder / 'out'}")
    try:
        _wait_for(folder / "out" / STARTED, lambda: process.poll() is None)
        time.sleep(delay)
        killed = time.time()
        return killed if process.poll() is None else None
    finally:
        process.kill()
        process.wait()


def _wait_for(path: Path, alive: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not path.exists():
        if not alive() or time.monotonic() > end:
            raise UserError(
                f"the command ended before it wrote {path.name}: {last_line(path.parent.parent / 'log.txt')}"
            )
        time.sleep(0.005)


def check_logs(command: str, delay: float, killed: float | None, out: Path) -> Trial:
    """Is everything up to the kill readable?"""
    if killed is None:
        return Trial(command, delay, False, None, "the command ended before it could be killed")
    time.sleep(SETTLE)
    loss, headless, dt = 0.0, 0, 0.0
    paths = find_logs(out) if list(out.rglob("*.mcap")) else []
    for path in paths:
        if not _one_line(path):
            return Trial(command, delay, False, None, f"{path.name}: reading it does not end in one line")
        try:
            log = read_log(path)
        except CorruptFile:
            headless += 1
            continue
        dt, wall = log.dt, log.timing.get("wall")
        loss = max(loss, killed - float(wall[-1])) if wall is not None and len(wall) else loss
    if headless == len(paths):
        return Trial(command, delay, True, None, "killed before the first header")
    return Trial(command, delay, loss <= ALLOWED + dt, loss, f"{len(paths) - headless} logs, {headless} without header")


def _one_line(path: Path) -> bool:
    """Whether `robo-rl evaluate` reads the log, or says in one line why not."""
    output, error = io.StringIO(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(error),
    ):
        try:
            code = robo_rl(["evaluate", f"log={path}", f"out={folder}/out"])
        except Exception:  # would have been a traceback
            return False
    lines = [line for line in error.getvalue().splitlines() if line.startswith("robo-rl: error: ")]
    return code == 0 or (code == 2 and len(lines) == 1)


def check_training(delay: float, killed: float | None, folder: Path, arguments: Sequence[str]) -> Trial:
    """Does `resume=true` finish the run?"""
    out = folder / "out"
    if killed is None:
        return Trial("train", delay, True, None, "finished before it could be killed")
    point = "a checkpoint" if (out / "checkpoint" / "progress.json").exists() else "no checkpoint"
    try:
        finish(folder / "resumed.txt", *arguments, "resume=true", f"out={out}")
    except UserError as error:
        return Trial("train", delay, False, None, f"killed with {point}: {error}")
    done = (out / "result.json").exists() and (out / "policy" / "policy.json").exists()
    return Trial("train", delay, done, None, f"killed with {point}; resumed and finished")


def trials(folder: Path, times: int, seed: int, longest: float = 3.0) -> list[Trial]:
    """`times` kills of each command, up to `longest` seconds after their first file; of training, at any moment."""
    draw, found = random.Random(seed), []
    dataset, base = folder / "dataset", folder / "base"
    finish(folder / "log.txt", "record", "episodes=8", "n=8", f"out={dataset}")
    small = ("learner.config.updates=50", "learner.checkpoints=1", "learner.episodes=4")
    finish(folder / "log.txt", "train", "learner=bc", f"dataset={dataset}", *small, f"out={base}")
    train = (*TRAIN, f"base={base}", f"dataset={dataset}")
    spans = {"record": longest, "deploy": longest, "train": 0.95 * duration(folder / "whole", *train)}
    for index in range(times):
        for command, span in spans.items():
            place, delay = folder / f"{command}-{index}", draw.uniform(0.0, span)
            place.mkdir()
            found.append(_trial(command, place, delay, base, train))
            _say(found[-1])
    return found


def duration(folder: Path, *arguments: str) -> float:
    """Seconds from a command's first file to its end, when it is left alone."""
    folder.mkdir()
    process = start(folder / "log.txt", *arguments, f"out={folder / 'out'}")
    try:
        _wait_for(folder / "out" / STARTED, lambda: process.poll() is None)
        began = time.monotonic()
        if process.wait() != 0:
            raise UserError(f"robo-rl {arguments[0]} failed: {last_line(folder / 'log.txt')}")
        return time.monotonic() - began
    finally:
        process.kill()


def _trial(command: str, place: Path, delay: float, base: Path, train: Sequence[str]) -> Trial:
    if command == "train":
        return check_training(delay, kill_at(place, delay, *train), place, train)
    arguments = ("episodes=100000", "n=4") if command == "record" else (f"run={base}", "episodes=100000")
    return check_logs(command, delay, kill_at(place, delay, command, *arguments), place / "out")


def _say(trial: Trial) -> None:
    loss = "" if trial.loss_s is None else f", lost {trial.loss_s:.3f} s"
    verdict = "ok " if trial.ok else "BAD"
    print(f"{verdict} {trial.command:7s} killed after {trial.delay_s:.2f} s: {trial.finding}{loss}", flush=True)


def main(keys: dict[str, str], root: Path) -> int:
    """`kill times=20 seed=0`: print a table, write kill.json; 1 when a check failed."""
    times, seed = int(number(keys, "times", 20)), keys.pop("seed", "0")
    require_used(keys, "times", "seed")
    if not seed.isdigit():
        raise UserError(f"seed={seed}: expected a whole number")
    with tempfile.TemporaryDirectory() as folder:
        found = trials(Path(folder), times, int(seed))
    table = Table(title=f"kill -9, {times} times a command", title_justify="left")
    for column in ("command", "kills", "ok", "largest loss [s]", "before a header"):
        table.add_column(column)
    for command in ("record", "deploy", "train"):
        table.add_row(command, *_summary([trial for trial in found if trial.command == command]))
    Console().print(table)
    write_json(root / "kill.json", {"machine": measured_on(), "trials": [asdict(trial) for trial in found]})
    print(root / "kill.json")
    return 0 if all(trial.ok for trial in found) else 1


def _summary(found: Sequence[Trial]) -> tuple[str, ...]:
    losses = [trial.loss_s for trial in found if trial.loss_s is not None]
    worst = f"{max(losses):.3f}" if losses else ""
    nothing = sum("before the first header" in trial.finding for trial in found)
    return str(len(found)), str(sum(trial.ok for trial in found)), worst, str(nothing)
