"""Arms whose joints are servos on one serial bus, whatever their make."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hardware.calibration import Calibration, Ticks
from hardware.device import Device
from hardware.guard import Guard
from hardware.guardian import Takeover
from hardware.registers import Register, decode
from hardware.servo_errors import BusCounters, BusError, PortLost
from hardware.servo_family import ServoFamily, told
from hardware.servo_health import ServoHealth, ServoLimits, ServoState
from robo_rl.errors import UnknownName, UserError
from robo_rl.ranges import COUNT, POSITIVE, SHARE_ABOVE_0
from robo_rl.robot import RobotDescription

if TYPE_CHECKING:
    from hardware.servo_bus import ServoBus

SAFE = ("hold", "release")


class ServoBusArm(Device):
    """An arm of servos of one family; a subclass says which, and what is to be set and read in them.

    Life cycle: `connect` opens the port, finds every servo, compares calibration and model and writes settings, but
    moves nothing; the first `home` writes the measured position as the goal and then switches the torque on; `close`
    leaves the arm holding its last goal, because switching the torque off lets it fall.

    A reading that fails `attempts` times is replaced by the last one, with its old stamp; `max_losses` of them in a
    row latch a fault, and so do a lost port and whatever `ServoHealth` finds.

    Args:
        description: the arm.
        port: serial device.
        calibration: of this very arm.
        guard: default a `Guard` of that description.
        baudrate: of the bus [baud].
        limits: when a servo is not well.
        release: switch the torque off at `close`; the arm falls.
        safe: state after a fault, and after the end of whoever commands: "hold" keeps the last goal, "release" switches
            the torque off. (These servos have no damping.)
        torque: share of their full torque that the servos may use.
        patience: [s] that a servo may take to answer.
        attempts: requests until an answer counts as lost.
        max_losses: lost answers in a row that latch a fault.
        state_time: [s] from one reading of temperature, voltage, current and load to the next.
        max_first: see `Device`.
    """

    family: ClassVar[ServoFamily]
    motion_block: ClassVar[tuple[int, int]]  # address and bytes that hold position and velocity
    state_block: ClassVar[tuple[int, int]]  # and everything else that is measured

    def __init__(
        self,
        description: RobotDescription,
        port: str,
        calibration: Calibration,
        guard: Guard | None = None,
        baudrate: int = 1_000_000,
        limits: ServoLimits | None = None,
        release: bool = False,
        safe: str = "hold",
        torque: float = 1.0,
        patience: float = 0.02,
        attempts: int = 3,
        max_losses: int = 3,
        state_time: float = 0.33,
        max_first: float | None = None,
    ) -> None:
        super().__init__(description, guard, max_first=max_first)
        if safe not in SAFE:
            raise UnknownName("robot.rig.arm.safe", safe, SAFE)
        self.check(SHARE_ABOVE_0, torque=torque)
        self.check(POSITIVE, patience=patience, state_time=state_time)
        self.check(COUNT, attempts=attempts, max_losses=max_losses)
        self.port, self.calibration = port, calibration
        self.health = ServoHealth(description.names, limits or ServoLimits())
        self.ticks, self._ids = Ticks(calibration, description), calibration.ids
        self._baudrate, self._patience, self._attempts = baudrate, patience, attempts
        self._release, self._max_losses, self._state_time = release, max_losses, state_time
        self._safe_state, self._torque = safe, torque
        self._bus: ServoBus | None = None
        self._losses, self._state_read = 0, -np.inf  # [s] when the servos' state was read
        still = np.zeros(len(self._ids))
        self._last = (description.array("home"), still, -np.inf)

    @property
    def counters(self) -> BusCounters:
        """What happened on the bus since `connect`."""
        return self._connected.counters

    @property
    def state(self) -> ServoState | None:
        """The latest temperatures, voltages, currents and loads."""
        return self.health.state

    def connect(self) -> None:
        if self._bus is not None:
            return
        bus = self.family.open(self.port, self._baudrate, self._patience, self._attempts)
        try:
            with bus.patiently(), told(self.port, self.description.names, self._ids):
                models = self.family.identify(bus, self.port, self.description.names, self._ids)
                self._require_calibration(bus)
                self._configure(bus, models)
                self._bus, self._state_read = bus, -np.inf
                self._last = self._sample()
        except BaseException:
            self._bus = None
            bus.close()
            raise

    def stop(self) -> None:
        """Hold, which the servos do by themselves; or let go."""
        if self._safe_state == "release" and self._bus is not None:
            self._let_go(self._bus)

    def close(self) -> None:
        if self._bus is None:
            return
        if self.holding and not self.guard.faults.any():
            with self._guarded():
                deque(self._disarm(self._bus), 0)
        if self._release:
            self._let_go(self._bus)
        self._bus.close()
        self._bus = None

    def recover(self) -> list[str]:
        bus = self.family.open(self.port, self._baudrate, self._patience, self._attempts)
        try:
            with bus.patiently(), told(self.port, self.description.names, self._ids):
                problems = self.family.recover(bus, self._ids)
        finally:
            bus.close()
        return [f"{name}: {text}" for name, text in zip(self.description.names, problems, strict=True) if text]

    def takeover(self) -> Takeover | None:
        """A servo holds its last goal when nobody commands: to let go, somebody has to tell it."""
        packets = self.family.release(self._ids) if self._safe_state == "release" else []
        return Takeover(self._connected.number, packets)

    def tally(self) -> Mapping[str, int]:
        if self._bus is None:
            return {}
        counters = self._bus.counters
        return {"transactions": counters.transactions, "retried": counters.retried, "failed": counters.failed}

    @abstractmethod
    def _configure(self, bus: ServoBus, models: Sequence[int]) -> None:
        """Write the settings that differ: EEPROM wears out."""

    @abstractmethod
    def _state(self, data: list[list[int]]) -> ServoState:
        """What a reading of `state_block` says."""

    def _angles(self, ticks: np.ndarray) -> np.ndarray:
        """Positions (J,) [rad] of what the servos show (J,)."""
        return self.ticks.angle(ticks)

    def _goals(self, angle: np.ndarray) -> np.ndarray:
        """What the servos are to be told (J,) int64, to go to an angle (J,) [rad]."""
        return self.ticks.goal(angle)

    def _prepare(self, bus: ServoBus) -> Iterable[None]:
        """Set what a servo takes only while nothing has stopped it; the torque is about to come on."""
        return ()

    def _arm(self, bus: ServoBus) -> Iterable[None]:
        """Start what watches the bus in the servos themselves."""
        return ()

    def _disarm(self, bus: ServoBus) -> Iterable[None]:
        """Stop it."""
        return ()

    def _write_each(self, bus: ServoBus, register: Register, value: int) -> Iterator[None]:
        """One servo after the other, each answers; they yield in between."""
        for servo in self._ids:
            bus.write(servo, register, value)
            yield

    def _held(self, bus: ServoBus, register: Register) -> list[int]:
        """What the servos hold in a register (J,)."""
        data, _ = bus.read_all(self._ids, register.address, register.size)
        return [decode(row, register, register.address) for row in data]

    def _let_go(self, bus: ServoBus) -> None:
        """Torque off; nobody answers a packet to all, so it is read back."""
        torque = self.family.torque
        with self._guarded():
            for _ in range(self._attempts):
                bus.write_all(self._ids, torque, [0] * len(self._ids))
                held, _ = bus.read_all(self._ids, torque.address, torque.size)
                if not any(on for (on,) in held):
                    return

    def _activate(self, position: np.ndarray) -> Iterator[None]:
        """Goal first, read back, torque second: a servo jumps to whatever its goal register holds."""
        if not np.isfinite(position).all():
            return
        bus, family, goals = self._connected, self.family, self._goals(position).tolist()
        with self._guarded():
            yield from self._disarm(bus)
            bus.write_all(self._ids, family.goal, goals)
            held = self._held(bus, family.goal)
            if held != goals:
                self._fault(f"goal registers hold {held}, not {goals}: torque stays off")
                return
            yield from self._prepare(bus)
            yield from self._write_each(bus, family.torque, 1)
            yield from self._arm(bus)
            self.health.restart()

    def _send(self, setpoint: np.ndarray) -> None:
        with self._guarded():
            self._connected.write_all(self._ids, self.family.goal, self._goals(setpoint).tolist())

    def _measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        with self._guarded(self._max_losses):
            self._last = self._sample()
            self._losses = 0
            position, velocity, stamp = self._last
            if self.holding:
                self._report(self.health.moving(position - self.guard.sent[0], velocity, stamp))
        return self._last

    def _sample(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Read position and velocity, and every `state_time` the servos' state with them."""
        before = time.monotonic()
        whole = before - self._state_read >= self._state_time
        self._state_read = before if whole else self._state_read
        start, size = self.state_block if whole else self.motion_block
        data, errors = self._connected.read_all(self._ids, start, size)
        position = self._angles(values(data, self.family.position, start))
        velocity = self.ticks.velocity(self.family.velocity_unit * values(data, self.family.velocity, start))
        if any(errors):
            self._report(self.health.reported(self.family.problems(self._connected, self._ids, errors)))
        if whole:
            self._report(self.health.watch(self._state(data)))
        return position, velocity, before

    def _require_calibration(self, bus: ServoBus) -> None:
        for name, joint in self.calibration.joints.items():
            for field, register in self.family.calibration.items():
                held, wanted = bus.read(joint.id, register), getattr(joint, field)
                if held != wanted:
                    raise UserError(
                        f"{self.calibration.source}: servo {joint.id} ({name}) holds {field}={held}, the file says "
                        f"{wanted}: it is of another arm; give this arm's file, or calibrate again"
                    )

    def _report(self, problem: str) -> None:
        if problem:
            self._fault(problem)

    def _fault(self, reason: str) -> None:
        self.guard.fault(np.ones(1, bool), reason)

    @property
    def _connected(self) -> ServoBus:
        if self._bus is None:
            raise RuntimeError(f"robot {self.description.name} is not connected")
        return self._bus

    @contextmanager
    def _guarded(self, max_losses: int = 1) -> Iterator[None]:
        """What goes wrong on the bus becomes a fault: a lost port at once, lost answers when `max_losses` follow one
        another."""
        try:
            yield
        except PortLost as error:
            self._fault(f"port {self.port} is lost: {error}")
        except BusError as error:
            self._losses += 1
            if self._losses >= max_losses:
                joint = self.description.names[self._ids.index(error.servo)]
                self._fault(f"{error} ({joint}), readings lost in a row: {self._losses}")


def values(data: list[list[int]], register: Register, start: int) -> np.ndarray:
    """One register of every servo (J,), from readings that begin at the address `start`."""
    return np.array([decode(row, register, start) for row in data], np.float64)
