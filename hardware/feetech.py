"""Arms on a bus of Feetech STS3215 servos: SO-100, SO-101."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from hardware import sts3215
from hardware.calibration import Calibration, Ticks
from hardware.device import Device
from hardware.feetech_connect import identify, open_bus, told
from hardware.guard import Guard
from hardware.guardian import Takeover
from hardware.servo_health import ServoHealth, ServoLimits, ServoState
from hardware.sts3215 import Register, decode
from robo_rl.errors import UnknownName, UserError
from robo_rl.robot import RobotDescription

if TYPE_CHECKING:
    from hardware.feetech_bus import BusCounters, FeetechBus

SETTINGS = (  # LeRobot's gains for these arms: softer than the factory's, which oscillate
    (sts3215.OPERATING_MODE, 0),
    (sts3215.RETURN_DELAY, 0),
    (sts3215.P_GAIN, 16),
    (sts3215.I_GAIN, 0),
    (sts3215.D_GAIN, 32),
    (sts3215.ACCELERATION, 0),  # the guard bounds speed; a second profile below it would only add delay
)
SAFE = ("hold", "release")
IN_SERVO = (  # where a servo keeps its calibration, and what the file calls it
    (sts3215.HOMING_OFFSET, "homing_offset"),
    (sts3215.MIN_POSITION, "range_min"),
    (sts3215.MAX_POSITION, "range_max"),
)


class FeetechArm(Device):
    """An arm on Feetech's SDK (extra `so101`).

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
        torque: share of their stall torque that the servos may use.
        patience: [s] that a servo may take to answer.
        attempts: requests until an answer counts as lost.
        max_losses: lost answers in a row that latch a fault.
        state_time: [s] from one reading of temperature, voltage, current and load to the next.
        max_first: see `Device`.
    """

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
        max_first: float = float("inf"),
    ) -> None:
        super().__init__(description, guard, max_first=max_first)
        if safe not in SAFE:
            raise UnknownName("robot.rig.arm.safe", safe, SAFE)
        if not 0.0 < torque <= 1.0:
            raise UserError(f"robot.rig.arm.torque={torque}: valid are shares above 0, up to 1")
        self.port, self.calibration = port, calibration
        self.health = ServoHealth(description.names, limits or ServoLimits())
        self.ticks, self._ids = Ticks(calibration, description), calibration.ids
        self._baudrate, self._patience, self._attempts = baudrate, patience, attempts
        self._release, self._max_losses, self._state_time = release, max_losses, state_time
        self._safe_state, self._torque = safe, torque
        self._bus: FeetechBus | None = None
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
        bus = open_bus(self.port, self._baudrate, self._patience, self._attempts)
        try:
            with bus.patiently(), told(self.port, self.description.names, self._ids):
                identify(bus, self.port, self.description.names, self._ids)
                self._require_calibration(bus)
                _configure(bus, self._ids, self._torque)
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
        if self._release:
            self._let_go(self._bus)
        self._bus.close()
        self._bus = None

    def takeover(self) -> Takeover:
        """A servo holds its last goal when nobody commands: to let go, somebody has to tell it."""
        packets = [sts3215.sync_write(self._ids, sts3215.TORQUE_ENABLE, 0)] if self._safe_state == "release" else []
        return Takeover(self._connected.number, packets)

    def tally(self) -> Mapping[str, int]:
        if self._bus is None:
            return {}
        counters = self._bus.counters
        return {"transactions": counters.transactions, "retried": counters.retried, "failed": counters.failed}

    def _let_go(self, bus: FeetechBus) -> None:
        """Torque off; nobody answers a packet to all, so it is read back."""
        with self._guarded():
            for _ in range(self._attempts):
                bus.write_all(self._ids, sts3215.TORQUE_ENABLE, [0] * len(self._ids))
                held, _ = bus.read_all(self._ids, sts3215.TORQUE_ENABLE.address, sts3215.TORQUE_ENABLE.size)
                if not any(on for (on,) in held):
                    return

    def _activate(self, position: np.ndarray) -> None:
        """Goal first, read back, torque second: a servo jumps to whatever its goal register holds."""
        if not np.isfinite(position).all():
            return
        goals = self.ticks.goal(position).tolist()
        with self._guarded(), self._connected.patiently():
            self._connected.write_all(self._ids, sts3215.GOAL_POSITION, goals)
            held = [self._connected.read(servo, sts3215.GOAL_POSITION) for servo in self._ids]
            if held != goals:
                self._fault(f"goal registers hold {held}, not {goals}: torque stays off")
                return
            for servo in self._ids:
                self._connected.write(servo, sts3215.TORQUE_ENABLE, 1)
            self.health.restart()

    def _send(self, setpoint: np.ndarray) -> None:
        with self._guarded():
            self._connected.write_all(self._ids, sts3215.GOAL_POSITION, self.ticks.goal(setpoint).tolist())

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
        size = sts3215.STATE_BYTES if whole else sts3215.MOTION_BYTES
        data, errors = self._connected.read_all(self._ids, sts3215.PRESENT_POSITION.address, size)
        position = self.ticks.angle(_values(data, sts3215.PRESENT_POSITION))
        velocity = self.ticks.velocity(_values(data, sts3215.PRESENT_VELOCITY))
        self._report(self.health.errors(errors))
        if whole:
            self._report(self.health.watch(_state(data)))
        return position, velocity, before

    def _require_calibration(self, bus: FeetechBus) -> None:
        for name, joint in self.calibration.joints.items():
            for register, field in IN_SERVO:
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
    def _connected(self) -> FeetechBus:
        if self._bus is None:
            raise RuntimeError(f"robot {self.description.name} is not connected")
        return self._bus

    @contextmanager
    def _guarded(self, max_losses: int = 1) -> Iterator[None]:
        """What goes wrong on the bus becomes a fault: a lost port at once, lost answers when `max_losses` follow one
        another."""
        from hardware.feetech_bus import BusError, PortLost

        try:
            yield
        except PortLost as error:
            self._fault(f"port {self.port} is lost: {error}")
        except BusError as error:
            self._losses += 1
            if self._losses >= max_losses:
                joint = self.description.names[self._ids.index(error.servo)]
                self._fault(f"{error} ({joint}), readings lost in a row: {self._losses}")


def _configure(bus: FeetechBus, ids: tuple[int, ...], torque: float) -> None:
    """Write the settings that differ: EEPROM wears out."""
    for servo in ids:
        bus.write(servo, sts3215.TORQUE_LIMIT, round(1000 * torque))
        wrong = [(register, value) for register, value in SETTINGS if bus.read(servo, register) != value]
        if not wrong:
            continue
        bus.write(servo, sts3215.LOCK, 0)
        for register, value in wrong:
            bus.write(servo, register, value)
        bus.write(servo, sts3215.LOCK, 1)


def _values(data: list[list[int]], register: Register) -> np.ndarray:
    """One register of every servo, (J,)."""
    return np.array([decode(row, register, sts3215.PRESENT_POSITION.address) for row in data], np.float64)


def _state(data: list[list[int]]) -> ServoState:
    return ServoState(
        temperature=_values(data, sts3215.PRESENT_TEMPERATURE),
        voltage=_values(data, sts3215.PRESENT_VOLTAGE) / 10,
        current=np.abs(_values(data, sts3215.PRESENT_CURRENT)) * sts3215.AMPERE,
        load=_values(data, sts3215.PRESENT_LOAD) / 1000,
    )
