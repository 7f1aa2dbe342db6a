"""Processes of a running robot are killed (SIGKILL) and stopped (SIGSTOP) at random moments: when is the arm safe?

What counts is what the emulated servos were told. With `safe=release` the arm is safe when every torque is off; with
`safe=hold` when no goal changes any more; and it has to stay so. A recorder may die without the arm noticing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.go2_bus import Go2Bus
from benchmarks.robot_loop import EPISODE, ROBOTS, describe, settings_of
from benchmarks.rows import measured_on
from hardware.driver import DriverSettings
from hardware.emulators.dynamixel_bus import DynamixelBusEmulator
from hardware.emulators.emulated_ur import EmulatedUr
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.plant import SecondOrder, SecondOrderFactory
from hardware.emulators.servo_bus import Observed
from robo_rl.app.runs import write_json
from robo_rl.errors import UnknownName, UserError
from robo_rl.evaluate.statistics import wilson
from robo_rl.robot import RobotDescription

PHASES = {"start": 1.2, "homing": 1.0, "motion": 1.0, "hand-back": 0.4, "stop": 0.03}  # [s] in which to strike
MODULES = {"recorder": "robo_rl.log.process", "driver": "hardware.driver", "guardian": "hardware.guardian"}
VICTIMS = [
    (who, number)
    for who in ("policy", "recorder", "driver", "guardian")
    for number in (signal.SIGKILL, signal.SIGSTOP)
    if (who, number) != ("guardian", signal.SIGSTOP)  # nothing depends on it while the others live
]
SETTLE = 1.0  # [s] after which the arm must have been safe for long
ATTEMPTS = 3  # at a loop that ends by itself
PATIENCE = 60.0  # [s] for a phase to begin, and for processes to end
GUARDED = ("so101",)  # always has a guardian; of the others, servos or controller watch the driver
SAFE = {"ur5e": ("hold",), "go2": ("release",)}  # safe states; of the others, two
AWAY = {"ur5e": 0.3, "go2": 0.2}  # [rad] from home at power-on; the others lie at zero


def emulated_ur(description: RobotDescription, plant: SecondOrder, priority: int) -> EmulatedUr:
    """A controller in a process of its own, with joints that begin where those of `plant` are."""
    return EmulatedUr(description, SecondOrderFactory(tuple(plant.position.tolist())), priority)


EMULATORS = {"so101": FeetechBusEmulator, "koch": DynamixelBusEmulator, "ur5e": emulated_ur, "go2": Go2Bus}


@dataclass(frozen=True)
class Trial:
    """One kill. `time_s` is None where there was nothing to wait for."""

    victim: str
    signal: str
    phase: str
    safe: str
    ok: bool
    time_s: float | None
    bound_s: float
    finding: str


class Loop:
    """A policy's process, its driver, guardian and recorder."""

    def __init__(self, robot: str, port: str, safe: str, folder: Path) -> None:
        self.lines: list[str] = []
        words = ["-m", "benchmarks.robot_loop", robot, port, safe, str(folder), "3", str(EPISODE)]
        self.process = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def reach(self, phase: str) -> None:
        if not self.wait_for(phase):
            raise UserError(f"killrobot: the loop never came to its phase {phase}; it said {self.lines}")

    def wait_for(self, word: str) -> str:
        """The line that begins with a word, "" where the loop ends without it."""
        end = time.monotonic() + PATIENCE
        while not (found := next((line for line in self.lines if line.startswith(word)), "")):
            if time.monotonic() > end or self.process.poll() is not None:
                return ""
            time.sleep(0.001)
        return found

    def find(self, victim: str) -> int | None:
        """Id of a process; None where it is not there (yet, or any more)."""
        if victim == "policy":
            return self.process.pid if self.process.poll() is None else None
        return next((pid for pid in descendants(self.process.pid) if MODULES[victim] in command_line(pid)), None)

    def end(self) -> list[int]:
        """Kill the policy, let processes go on that were stopped; those that are still there long after it."""
        others = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        end = time.monotonic() + PATIENCE
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        while (left := [pid for pid in others if ours(pid)]) and time.monotonic() < end:
            time.sleep(0.01)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self._reader.join(1.0)
        return left


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    found: list[int] = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def command_line(pid: int) -> str:
    """What runs there, "" where nothing does (a zombie has none, either)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def ours(pid: int) -> bool:
    """Whether it is there and one of those that a robot needs."""
    return any(module in command_line(pid) for module in MODULES.values())


def bound(victim: str, number: signal.Signals, settings: DriverSettings, dt: float) -> float:
    """[s] from the signal to the safe state: a period of whoever watches, and a cycle of the bus."""
    cycle = dt / settings.split(dt)
    if victim == "driver":
        return settings.stall * (1.2 if number == signal.SIGSTOP else 1.0) + cycle  # it looks five times in a stall
    return settings.watchdog + cycle


def strike(loop: Loop, victim: str, number: signal.Signals, phase: str, draw: random.Random) -> float | None:
    """Send the signal somewhere in the phase; when [s], None where there was nobody left."""
    loop.reach(phase)
    time.sleep(draw.uniform(0.0, PHASES[phase]))
    end = time.monotonic() + (0.0 if phase == "stop" else 3.0)
    while (pid := loop.find(victim)) is None:
        if time.monotonic() > end:
            return None
        time.sleep(0.001)
    struck = time.monotonic()
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return None
    return struck


def time_to_safe(observed: Sequence[Observed], struck: float, safe: str) -> float | None:
    """[s] from `struck` to the last moment at which the arm was not safe; None: it never was."""
    after = [seen for seen in observed if seen.time > struck]
    if safe == "hold":
        before = [seen for seen in observed if seen.time <= struck]
        told = [*before[-1:], *after]
        moved = [b.time for a, b in zip(told, told[1:], strict=False) if not np.array_equal(a.goals, b.goals)]
        return moved[-1] - struck if moved else 0.0
    if not observed or not observed[-1].torque.any():
        limp = [b.time for a, b in zip(observed, observed[1:], strict=False) if a.torque.any() and not b.torque.any()]
        return max(0.0, limp[-1] - struck) if limp else 0.0
    return None


def trial(robot: str, victim: str, number: signal.Signals, phase: str, safe: str, draw: random.Random) -> Trial:
    """One arm, one loop, one kill."""
    description, settings = describe(robot), settings_of(robot)
    limit = bound(victim, number, settings, description.dt)
    away = AWAY.get(robot)
    start = np.zeros(len(description.joints)) if away is None else description.array("home") - away
    bus = EMULATORS[robot](description, SecondOrder(start), priority=60)
    port = str(next(iter(bus.wiring.values())))
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(robot, port, safe, Path(folder))
        try:
            struck = strike(loop, victim, number, phase, draw)
            if victim == "recorder" and struck is not None:
                verdict = _undisturbed(loop)
            else:
                time.sleep(SETTLE)
                verdict = _judged(list(bus.observed), struck, safe, limit)
        finally:
            left = loop.end()
            bus.close()
    ok, taken, finding = verdict
    if left:
        ok, finding = False, f"{finding}; {len(left)} processes were left"
    return Trial(victim, number.name, phase, safe, ok, taken, limit, finding)


def _judged(
    observed: Sequence[Observed], struck: float | None, safe: str, limit: float
) -> tuple[bool, float | None, str]:
    if struck is None:
        return True, None, "it had ended"
    taken = time_to_safe(observed, struck, safe)
    if taken is None:
        return False, None, "the torque stayed on"
    return taken <= limit, taken, "safe" if taken <= limit else "too late"


def _undisturbed(loop: Loop) -> tuple[bool, float | None, str]:
    """A loop without its recorder goes on to its end."""
    over = loop.wait_for("over")
    result = json.loads(over.partition(" ")[2]) if over else {"fault": "the loop never ended"}
    return not result["fault"], None, result["fault"] or "control went on"


def trials(robot: str, seed: int, begin: int, times: int) -> Iterator[Trial]:
    """The kills from number `begin` to `times`: victims take turns; phases, safe states and moments are random."""
    phases = list(PHASES)
    victims = [one for one in VICTIMS if one[0] != "guardian" or robot in GUARDED]
    for index in range(begin, times):
        draw = random.Random(f"{seed} {index}")
        victim, kind = victims[index % len(victims)]
        phase, safe = draw.choice(phases), draw.choice(SAFE.get(robot, ("hold", "release")))
        one = _attempt(robot, victim, kind, phase, safe, draw)
        _say(one)
        yield one


def _attempt(robot: str, victim: str, kind: signal.Signals, phase: str, safe: str, draw: random.Random) -> Trial:
    """A trial, again where the loop ended by itself before its turn: a guard may trip on a machine that is too busy."""
    for again in range(ATTEMPTS):
        try:
            return trial(robot, victim, kind, phase, safe, draw)
        except UserError as error:
            if again == ATTEMPTS - 1:
                raise
            print(f"again: {error}", flush=True)
    raise AssertionError


def _say(one: Trial) -> None:
    taken = "" if one.time_s is None else f" after {1e3 * one.time_s:.1f} ms (bound {1e3 * one.bound_s:.0f})"
    print(
        f"{'ok ' if one.ok else 'BAD'} {one.victim} {one.signal} {one.phase} {one.safe}: {one.finding}{taken}",
        flush=True,
    )


def main(keys: dict[str, str], root: Path) -> int:
    """`killrobot robot=so101 times=300 seed=0`: print a table, write kill_so101.json; 1 when a check failed.

    An interrupted command goes on where it was.
    """
    robot, times, seed = keys.pop("robot", "so101"), int(number(keys, "times", 300)), keys.pop("seed", "0")
    require_used(keys, "robot", "times", "seed")
    if robot not in ROBOTS:
        raise UnknownName("robot", robot, ROBOTS)
    if not seed.isdigit():
        raise UserError(f"seed={seed}: expected a whole number")
    path = root / f"kill_{robot}.json"
    found = _done(path, seed)[:times]
    for one in trials(robot, int(seed), len(found), times):
        found.append(one)
        _write(path, robot, seed, found)
    rows = summary(found)
    table = Table(title=f"{robot}: {len(found)} kills", title_justify="left")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    print(path)
    return 0 if all(one.ok for one in found) else 1


def _done(path: Path, seed: str) -> list[Trial]:
    """The trials that a file holds of the same seed: an interrupted command goes on."""
    if not path.exists():
        return []
    data = json.loads(path.read_text())
    return [Trial(**one) for one in data["trials"]] if data.get("seed") == seed else []


def _write(path: Path, robot: str, seed: str, found: Sequence[Trial]) -> None:
    rows = {"summary": summary(found), "trials": [asdict(one) for one in found]}
    write_json(path, {"machine": measured_on(), "robot": robot, "seed": seed, **rows})


def summary(found: Sequence[Trial]) -> list[dict[str, object]]:
    """A row a victim and signal, and one for all: times to the safe state, failures with their 95 % upper bound."""
    groups = {
        f"{who} {kind.name}": [t for t in found if (t.victim, t.signal) == (who, kind.name)] for who, kind in VICTIMS
    }
    rows: list[dict[str, object]] = []
    for name, group in {**groups, "all": list(found)}.items():
        if not group:
            continue
        taken = [1e3 * one.time_s for one in group if one.time_s is not None]
        p50, p99, worst = np.percentile(taken, [50, 99, 100]).tolist() if taken else ("", "", "")
        failures = sum(not one.ok for one in group)
        upper = 100 * wilson(failures, len(group), 0.90)[1]  # one-sided 95 %
        rows.append(
            {"struck": name, "times": len(group), "p50 [ms]": p50, "p99 [ms]": p99, "max [ms]": worst,
             "bound [ms]": 1e3 * max(one.bound_s for one in group), "failures": failures, "at most [%]": upper}
        )  # fmt: skip
    return rows
