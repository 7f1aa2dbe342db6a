"""A policy that means harm, on an emulated arm through the real SDK, as fast as that goes: what the servos were told
has to keep every limit: position, speed, acceleration, and the box that the tool stays in.

The targets are noise, jumps, numbers that are none, values without bounds, and the same again and again. A fault is
cleared at once, so that it protects from nothing that comes after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.command import number, require_used
from benchmarks.robot_loop import describe
from benchmarks.rows import measured_on
from hardware.device import ONE
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.plant import SecondOrder
from hardware.emulators.servo_bus import Observed
from hardware.feetech import FeetechArm
from hardware.guard import Guard
from hardware.servo_health import ServoLimits
from robo_rl.app.runs import write_json
from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription

RATE = 120.0  # [Hz] that the guard's limits are for; ticks follow one another faster than that
BOX = ((0.05, -0.30, 0.02), (0.45, 0.30, 0.45))  # [m] around where the tool is at home
STRETCH = 500  # ticks between two looks at what the servos were told
CALM = ServoLimits(stuck_time=1e9)  # an arm in real time cannot follow: that is no fault here


def targets(description: RobotDescription, draw: np.random.Generator, ticks: int) -> Iterator[np.ndarray]:
    """Hostile targets (1, A), of a kind that changes every few ticks."""
    home, joints = description.array("home"), len(description.joints)
    while ticks > 0:
        count = min(ticks, int(draw.integers(1, 80)))
        noise = draw.normal(0.0, 10.0 ** draw.uniform(-3, 1), (count, joints))
        kind = int(draw.integers(5))
        stretch = [home + noise, noise, np.repeat(noise[:1], count, 0), 1e30 * noise, home + np.sign(noise) * 0.3][kind]
        if draw.random() < 0.02:
            stretch[-1, int(draw.integers(joints))] = draw.choice([np.nan, np.inf, -np.inf])
        yield from stretch[:, None]
        ticks -= count


class Judge:
    """Counts what the servos were told beyond a limit, allowing for the rounding to ticks."""

    def __init__(self, arm: FeetechArm) -> None:
        description, dt = arm.description, arm.guard.dt
        self._ticks, self._tool = arm.ticks, Kinematics(description)
        self._tick = abs(self._ticks.velocity(np.ones(1)))[0]  # [rad]
        self._low, self._high = description.array("low"), description.array("high")
        self._step = description.array("max_speed") * dt
        self._change = description.array("max_acceleration") * dt**2
        self.violations: dict[str, int] = dict.fromkeys(("position", "speed", "acceleration", "workspace"), 0)
        self.packets = 0

    def look(self, seen: Sequence[Observed]) -> None:
        """What was told without a break, one packet after the other."""
        goals = self._ticks.angle(
            np.repeat([one.goals for one in seen[:-1]], np.diff([one.packets for one in seen]), 0)
        )
        goals = np.concatenate([goals, self._ticks.angle(seen[-1].goals)[None]])
        moved = np.diff(goals, axis=0)
        place = self._tool.tool_pose(goals)[:, :3]
        beyond = np.maximum(np.array(BOX[0]) - place, place - np.array(BOX[1])).max(axis=1)
        wall = np.maximum(beyond[1:-1], beyond[2:]) > -2e-3  # [m]: there the box stops the tool at once
        sudden = np.abs(np.diff(moved, axis=0)) > self._change + 2 * self._tick
        self._count("position", (goals < self._low - 1e-6) | (goals > self._high + 1e-6))
        self._count("speed", np.abs(moved) > self._step + self._tick)
        self._count("acceleration", sudden & ~wall[:, None])
        self._count("workspace", beyond > 2e-3)
        self.packets += len(goals)

    def _count(self, name: str, where: np.ndarray) -> None:
        self.violations[name] += int(where.any(axis=-1).sum() if where.ndim > 1 else where.sum())


class Victim:
    """An arm on an emulated bus, and who judges what its servos are told."""

    def __init__(self, description: RobotDescription) -> None:
        self._bus = FeetechBusEmulator(description, SecondOrder(description.array("home")), priority=60)
        guard = Guard(description, 1, 1 / RATE, workspace=BOX)
        self.arm = FeetechArm(description, self._bus.port, self._bus.calibration, guard, limits=CALM, patience=0.5)
        self.judge, self.faults = Judge(self.arm), 0
        self.arm.connect()
        self._begin()

    def suffer(self, target: np.ndarray) -> None:
        self.arm.write(target, ONE)
        if self.arm.guard.faults.any():
            self.faults += 1
            self.arm.clear()
            self._begin()

    def look(self) -> None:
        """Judge what has arrived since the last look."""
        self.arm.measure()  # its answer says that all before it has arrived
        seen = [self._bus.observed.popleft() for _ in range(len(self._bus.observed) - 1)]
        if seen:
            self.judge.look([*seen, self._bus.observed[0]])

    def close(self) -> None:
        self.arm.close()
        self._bus.close()

    def _begin(self) -> None:
        """Switch on where the arm is: that goal is no command of the policy's."""
        if self._bus.observed:
            self.look()
        while not self.arm.holding:
            if self.arm.guard.faults.any():
                raise UserError(f"hostile: the arm was not switched on: {self.arm.guard.reasons[0]}")
            self.arm.home(ONE)
        self.arm.measure()
        while len(self._bus.observed) > 1:
            self._bus.observed.popleft()


def attack(description: RobotDescription, ticks: int, seed: int) -> Victim:
    """The victim, closed, after so many hostile ticks."""
    victim, draw = Victim(description), np.random.default_rng(seed)
    try:
        hostile = targets(description, draw, ticks)
        for tick, target in enumerate(track(hostile, "hostile ticks", ticks, transient=True)):
            with np.errstate(over="ignore"):
                victim.suffer(target)
            if tick % STRETCH == STRETCH - 1:
                victim.look()
        victim.look()
    finally:
        victim.close()
    return victim


def main(keys: dict[str, str], root: Path) -> int:
    """`hostile ticks=1000000 seed=0`: print what the servos saw, write hostile.json; 1 when a limit was broken."""
    ticks, seed = int(number(keys, "ticks", 1_000_000)), keys.pop("seed", "0")
    require_used(keys, "ticks", "seed")
    if not seed.isdigit():
        raise UserError(f"seed={seed}: expected a whole number")
    begin = time.monotonic()
    victim = attack(describe("so101"), ticks, int(seed))
    seconds, judge = time.monotonic() - begin, victim.judge
    about = {"ticks": ticks, "packets": judge.packets, "faults": victim.faults, "seconds": seconds}
    print(f"{ticks} hostile ticks in {seconds:.0f} s, {victim.faults} faults; the servos saw {judge.packets} packets")
    print("beyond a limit: " + ", ".join(f"{name} {count}" for name, count in judge.violations.items()))
    write_json(root / "hostile.json", {"machine": measured_on(), **about, "violations": judge.violations})
    print(root / "hostile.json")
    return 1 if any(judge.violations.values()) else 0
