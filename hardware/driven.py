"""A robot whose driver is a process of its own, seen from the policy's process."""

from __future__ import annotations

import pickle
import time
from typing import Any

import numpy as np

from hardware.device import ONE, Device, GuardedRobot
from hardware.driver import DriverSettings
from hardware.exchange import REASON, Ask, Bell, Exchange, Phase
from robo_rl.child import Child
from robo_rl.errors import UserError
from robo_rl.robot import Stamp
from robo_rl.types import Obs

START = 30.0  # [s] that a driver may take to start and to find its robot
LOOK = 0.01  # [s] between two looks at whether it lives, while it is waited for


class DrivenRobot(GuardedRobot):
    """The robot `device`, driven by another process from `connect` to `close`.

    `guard` holds what this process knows of the driver's faults, and latches what it finds itself; the limits are the
    driver's. `write` returns what the driver accepted: where the setpoint will be at the end of the control period.
    """

    def __init__(self, device: Device, settings: DriverSettings | None = None) -> None:
        self.settings, self.senses = settings or DriverSettings(), device.senses
        super().__init__(device.description, device.guard)
        self._device, self.latch = device, device.latch
        self._child: Child | None = None
        self._number, self._told = 0, False
        self._state: dict[str, Any] = {}
        self._accepted = device.guard.sent

    def connect(self) -> None:
        if self._child is not None:
            return
        sizes, bells = (len(self.description.joints), self.senses.vector_size), (Bell(), Bell())
        numbers = [bell.number for bell in bells]
        self._child = Child("hardware.driver", Exchange.size(*sizes), numbers, numbers)
        self._exchange = Exchange(self._child.memory, *sizes, *bells)
        device = self._device.at(self.description.dt / self.settings.split(self.description.dt))
        self._child.tell(pickle.dumps((device, self.settings)))
        problem = self._started()
        if problem:
            self._release()
            raise UserError(problem)

    @property
    def pids(self) -> dict[str, int]:
        """Of the processes behind it."""
        assert self._child is not None
        return {"driver": self._child.pid, "guardian": int(self._state["guardian"])}

    @property
    def report(self) -> dict[str, Any]:
        """What the operating system granted the driver, how well it keeps its rate, what its bus lost."""
        state = self._latest()
        numbers = {f"wake_{name}_us": 1e6 * float(state[f"late_{name}"]) for name in ("p50", "p99", "max")}
        counts = {name: int(state[name]) for name in ("cycles", "misses", "transactions", "retried", "failed")}
        granted = {"sched_fifo": bool(state["fifo"]), "mlockall": bool(state["locked"])}
        rate = self.settings.split(self.description.dt) / self.description.dt
        return {**granted, "rate_hz": rate, **numbers, **counts, "guardian": bool(state["guardian"])}

    def home(self, where: np.ndarray) -> np.ndarray:
        if not where.any() or self.guard.faults.any():
            return np.zeros_like(where)
        self._ask(Ask.HOME)
        return where & bool(self._state["home"]) & ~self.guard.faults

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        if live.any() and not self.guard.faults.any():
            with np.errstate(over="ignore"):
                self._ask(Ask.FOLLOW, target=np.asarray(action, np.float32)[0])
        else:
            self._ask(Ask.BEAT)
        return self._accepted.copy()

    def read(self) -> tuple[Obs, Stamp]:
        state = self._latest()
        joints = state["position"], state["velocity"], float(state["stamp"])
        return self.observed(*joints, self._accepted[0], state["sensed"])

    def rest(self) -> None:
        if self._child is not None and not self.guard.faults.any():
            self._ask(Ask.REST)

    def clear(self) -> None:
        self._ask(Ask.CLEAR)
        self.guard.clear(ONE)
        self._told = False

    def stop(self) -> None:
        """Let the driver bring the safe state."""
        self.guard.fault(ONE, "stopped")
        self._tell_fault()

    def start_at(self, position: np.ndarray) -> None:
        if self._child is not None:
            raise RuntimeError(f"robot {self.description.name} is connected: its driver knows where home is")
        self._device.start_at(position)

    def recover(self) -> list[str]:
        return self._device.recover()

    def close(self) -> None:
        if self._child is not None:
            if self.latch is not None and self.guard.faults.any():
                self.latch.set(self.guard.reasons[0])  # a driver that was killed could not
            self._ask(Ask.CLOSE)
            self._release()

    def _started(self) -> str:
        """Wait for the driver; what is wrong, "" where nothing is."""
        assert self._child is not None
        end = time.monotonic() + START
        while time.monotonic() < end and self._child.running:
            state = self._exchange.state.read()
            if state is not None and state["phase"] == Phase.READY:
                self._state, self._accepted = state, state["accepted"][None].copy()
                return ""
            if state is not None and state["phase"] == Phase.REFUSED:
                return state["reason"].decode(errors="replace")
            self._exchange.answer_bell.wait(LOOK)
        state = self._exchange.state.read()
        refused = state is not None and state["phase"] == Phase.REFUSED
        if state is not None and refused:
            return state["reason"].decode(errors="replace")
        return f"robot={self.description.name}: its driver's process {self._child.ended or 'did not start'}"

    def _ask(self, ask: Ask, **fields: Any) -> None:
        """Ask the driver and wait for its answer; silence is a fault."""
        if self._child is None:
            raise RuntimeError(f"robot {self.description.name} is not connected")
        self._tell_fault()
        self._post(ask, **fields)

    def _tell_fault(self) -> None:
        """What this process latched, the driver has to know."""
        if self.guard.faults.any() and not self._told and self._child is not None:
            self._told = True
            self._post(Ask.FAULT, reason=self.guard.reasons[0].encode()[:REASON])

    def _post(self, ask: Ask, **fields: Any) -> None:
        assert self._child is not None
        self._number += 1
        self._exchange.command.write(number=self._number, ask=ask, **fields)
        self._exchange.command_bell.ring()
        end = time.monotonic() + self.settings.patience
        while (left := end - time.monotonic()) > 0:
            state = self._exchange.state.read()
            if state is not None and state["answered"] >= self._number:
                self._take(state)
                return
            if not self._child.running:
                break
            self._exchange.answer_bell.wait(min(left, LOOK))
        self._missing()

    def _missing(self) -> None:
        assert self._child is not None
        how = self._child.ended
        silence = f"the driver's process did not answer for {self.settings.patience:.3f} s"
        self.guard.fault(ONE, f"the driver's process {how}" if how else silence)

    def _latest(self) -> dict[str, Any]:
        """The driver's newest state; what it latched is latched here, too."""
        assert self._child is not None
        if self._exchange.state.fresh and (state := self._exchange.state.read()) is not None:
            self._take(state)
        if self._child.ended:
            self._missing()
        return self._state

    def _take(self, state: dict[str, Any]) -> None:
        self._state, self._accepted = state, state["accepted"][None].copy()
        if state["fault"] and not self.guard.faults.any():
            self._told = True
            self.guard.fault(ONE, state["reason"].decode(errors="replace"))

    def _release(self) -> None:
        assert self._child is not None
        self._child.end()
        if not self._child.wait(5.0):
            self._child.kill()
        self._child = None
        for bell in (self._exchange.command_bell, self._exchange.answer_bell):
            bell.close()
