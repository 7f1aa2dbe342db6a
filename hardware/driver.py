"""A robot's driver in a process of its own: it owns the bus, whatever happens to the policy's process.

It runs a `Device` at the bus's rate. The setpoint reaches the policy's target in a straight line, in a part of the
control period (`spread`); the guard comes after that. A policy's process that is gone or silent, and a guardian that is
gone, bring the safe state.
"""

from __future__ import annotations

import pickle
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from hardware import realtime
from hardware.device import ONE, Device
from hardware.exchange import Ask, Bell, Exchange, Phase
from hardware.guardian import Guardian
from robo_rl.child import left_alone, shared
from robo_rl.clock import Deadline
from robo_rl.errors import UserError
from robo_rl.ranges import POSITIVE, PRIORITY, SHARE_ABOVE_0

KEY = "robot.rig.driver"  # of the settings
HISTORY = 100_000  # wake-ups that are remembered
FEW = 4_000  # of them, evenly spaced, that percentiles are taken of: all would take as long as a cycle
PULL = 0.02  # share of a cycle by which the bus's schedule may be moved towards the policy's at a time


@dataclass(frozen=True)
class DriverSettings:
    """How a driver's process runs."""

    rate: float = 120.0  # [Hz] of the bus; rounded to a multiple of the policy's rate
    spread: float = 1.0  # share of the control period over which the setpoint moves to the policy's target
    watchdog: float = 0.1  # [s] of silence of the policy's process, after which the safe state comes
    patience: float = 0.1  # [s] that the policy's process waits for an answer
    guardian: bool = True  # watch the driver, where nothing in the device does
    stall: float = 0.1  # [s] without a cycle, after which the guardian takes over
    priority: int = 50  # of SCHED_FIFO, where it is granted; 0 asks for nothing

    def __post_init__(self) -> None:
        SHARE_ABOVE_0.check_fields(self, KEY, "spread")
        POSITIVE.check_fields(self, KEY, "rate", "watchdog", "patience", "stall")
        PRIORITY.check_fields(self, KEY, "priority")

    def split(self, dt: float) -> int:
        """Cycles of the bus in a control period [s]."""
        return max(1, round(self.rate * dt))


class Mode(IntEnum):
    """What a cycle does besides reading."""

    HOLD = 0
    HOME = 1
    FOLLOW = 2


class Driver:
    """One device in this process, asked from another one.

    Args:
        device: connected; the period of its guard is the bus's.
        exchange: with the policy's process.
        settings: rates and limits.
        parent: id of the policy's process.
        guardian: where there is one.
    """

    def __init__(
        self, device: Device, exchange: Exchange, settings: DriverSettings, parent: int, guardian: Guardian | None
    ) -> None:
        self._device, self._exchange, self._settings, self._parent = device, exchange, settings, parent
        self._guardian = guardian
        self._deadline = Deadline(device.guard.dt, HISTORY)
        self._split = settings.split(device.description.dt)
        self._mode, self._arrived, self._number, self._over = Mode.HOLD, False, 0, False
        self._heard = self._asked_home = time.monotonic()
        self._resting = False  # nobody means to command
        self._way: Iterator[np.ndarray] = iter(())
        self._target = self._accepted = device.guard.sent

    def run(self) -> None:
        """Until the policy's process says that it is over, or is gone."""
        self._device.measure()
        self._publish(phase=Phase.READY)
        self._deadline.start()
        while not self._over:
            self._listen()
            self._deadline.wait()
            self._cycle()

    def _listen(self) -> None:
        """Answer until the next cycle is due."""
        self._hear()
        while not self._over and (left := self._deadline.left - Deadline.SPIN) > 0:
            self._exchange.command_bell.wait(left, sys.stdin.fileno())
            self._hear()
            self._mourn()

    def _cycle(self) -> None:
        self._hear()  # this process may have been kept waiting: silence is judged by what lies there now
        self._mourn()
        if self._over:
            return
        self._watch()
        self._move()
        if self._guardian is not None:
            self._guardian.beat()
        self._publish()

    def _move(self) -> None:
        """Command what the mode asks for, then read."""
        device = self._device
        if device.guard.faults.any():
            self._mode = Mode.HOLD
        if self._mode == Mode.HOME:
            self._arrived = bool(device.home(ONE)[0])  # it reads first
            self._accepted = device.guard.sent
            return
        if self._mode == Mode.FOLLOW:
            self._target = next(self._way, self._target)
            device.write(self._target, ONE)
        device.measure()

    def _watch(self) -> None:
        """Silence of the policy's process, and the end of the guardian, while the motors are on."""
        now, limit = time.monotonic(), self._settings.watchdog
        if self._device.holding and not self._resting and now - self._heard > limit:
            self._fault(f"the policy was silent for {now - self._heard:.3f} s, limit {limit:.3f} s")
        if self._mode == Mode.HOME and now - self._asked_home > limit:
            self._mode = Mode.HOLD
        if self._guardian is not None and not self._guardian.alive:
            self._fault("the guardian's process is gone")

    def _mourn(self) -> None:
        if not self._over and left_alone(self._parent):
            self._fault("the policy's process is gone")
            self._device.measure()
            self._close()

    def _hear(self) -> None:
        command = self._exchange.command.read() if self._exchange.command.fresh else None
        if command is None or command["number"] == self._number:
            return
        self._heard, self._number = time.monotonic(), int(command["number"])
        self._resting = command["ask"] == Ask.REST
        self._ANSWERS[Ask(command["ask"])](self, command)
        self._publish(answered=self._number)
        self._exchange.answer_bell.ring()

    def _beat(self, command: dict[str, Any]) -> None:
        """It is alive: nothing else is asked."""

    def _rest(self, command: dict[str, Any]) -> None:
        self._mode = Mode.HOLD

    def _home(self, command: dict[str, Any]) -> None:
        self._asked_home = self._heard
        if self._mode != Mode.HOME:
            self._mode, self._arrived = Mode.HOME, False

    def _follow(self, command: dict[str, Any]) -> None:
        """Accept a target (A,): where the setpoint will be when it has had its control period."""
        guard, target = self._device.guard, np.array(command["target"], np.float32)[None]
        if not self._device.holding:
            self._fault("a target came before the robot was homed")
        elif not np.isfinite(target).all():
            guard.filter(target, ONE)
        else:
            self._device.admit(target)
        if not guard.faults.any():
            self._accepted = guard.preview(self._line(guard.sent, target))
            self._way, self._target, self._mode = self._line(guard.sent, target), target, Mode.FOLLOW
            self._fall_in()

    def _line(self, start: np.ndarray, target: np.ndarray) -> Iterator[np.ndarray]:
        """Points (1, A) on the way, one a cycle of the control period: a straight line, then `target` itself."""
        share = self._settings.spread * self._split
        for cycle in range(1, self._split + 1):
            yield target if cycle >= share else start + np.float32(cycle / share) * (target - start)

    def _fall_in(self) -> None:
        """Pull the bus's schedule to where commands come in the middle of a cycle: one that came at its border would
        have now a cycle more than its control period, now one less."""
        dt = self._deadline.dt
        late = 0.5 * dt - self._deadline.left
        if not -0.25 * dt < late < 0:
            self._deadline.delay(min(abs(late), PULL * dt))

    def _told_fault(self, command: dict[str, Any]) -> None:
        self._fault(command["reason"].decode(errors="replace"))
        self._device.measure()

    def _clear(self, command: dict[str, Any]) -> None:
        self._device.clear()
        self._mode, self._arrived = Mode.HOLD, False

    def _closed(self, command: dict[str, Any]) -> None:
        self._close()

    def _close(self) -> None:
        self._device.close()
        if self._guardian is not None:
            self._guardian.dismiss()
        self._over = True
        self._publish(phase=Phase.CLOSED)

    def _fault(self, reason: str) -> None:
        self._device.guard.fault(ONE, reason)

    def _publish(self, **fields: Any) -> None:
        guard, (position, velocity, stamp) = self._device.guard, self._device.measured
        if self._deadline.ticks % round(1 / self._deadline.dt) == 1:
            late = self._deadline.late
            p50, p99 = np.percentile(late[:: 1 + len(late) // FEW], [50, 99]).tolist()
            fields |= {"late_p50": p50, "late_p99": p99, "late_max": late.max()}
        self._exchange.state.write(
            home=self._arrived, fault=bool(guard.faults[0]), reason=guard.reasons[0].encode(),
            accepted=self._accepted[0], setpoint=guard.sent[0], position=position, velocity=velocity, stamp=stamp,
            sensed=self._device.sensed,
            cycles=self._deadline.ticks, misses=self._deadline.misses, **self._device.tally(), **fields,
        )  # fmt: skip

    _ANSWERS = {
        Ask.BEAT: _beat,
        Ask.HOME: _home,
        Ask.FOLLOW: _follow,
        Ask.FAULT: _told_fault,
        Ask.CLEAR: _clear,
        Ask.REST: _rest,
        Ask.CLOSE: _closed,
    }


def serve(device: Device, exchange: Exchange, settings: DriverSettings, parent: int) -> None:
    """Connect and drive; what keeps it from connecting is told to the policy's process."""
    try:
        device.connect()
        takeover = device.takeover() if settings.guardian else None
        guardian = None if takeover is None else Guardian(takeover, settings.stall, settings.priority)
    except Exception as error:
        exchange.state.write(phase=Phase.REFUSED, reason=str(error).encode())
        exchange.answer_bell.ring()
        if isinstance(error, UserError):
            return
        raise
    granted = realtime.acquire(settings.priority)
    exchange.state.write(fifo=granted.fifo, locked=granted.locked, guardian=0 if guardian is None else guardian.pid)
    Driver(device, exchange, settings, parent, guardian).run()


def main(number: int, parent: int, commands: int, answers: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the policy's process says when it is over
    device, settings = pickle.load(sys.stdin.buffer)  # from the process that started this one, as multiprocessing does
    sizes = len(device.description.joints), device.senses.vector_size
    exchange = Exchange(shared(number, Exchange.size(*sizes)), *sizes, Bell(commands), Bell(answers))
    serve(device, exchange, settings, parent)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
