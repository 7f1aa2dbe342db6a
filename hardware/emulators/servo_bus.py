"""An emulated bus of serial servos behind a pseudo-terminal: a real SDK cannot tell it from a port."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from hardware import realtime
from hardware.calibration import Calibration, JointCalibration, Ticks
from hardware.emulators.plant import Motion, Plant, SecondOrder
from hardware.emulators.servo_protocol import Faults, Packet, Wire, carry_out, targets
from hardware.emulators.servo_table import ServoTable
from hardware.registers import TURN
from hardware.servo_family import ServoFamily
from robo_rl.robot import RobotDescription

IDLE = 0.004  # [s] between two looks at the plant while nobody talks
LONGEST = 0.5  # [s] of physics at once; a machine that was suspended does not catch up


class Observed(NamedTuple):
    """What the servos were told, after a packet that changed it."""

    time: float  # [s] monotonic
    goals: np.ndarray  # (J,) [ticks]
    torque: np.ndarray  # (J,) bool
    packets: int = 0  # with goals, so far: those in between told the same goals again


class ServoBusEmulator:
    """Servos, one a joint, on a pseudo-terminal, with a thread of its own.

    A request takes its bytes' time on the wire; a reply follows after the return delay and the USB latency. Every
    access to the servos happens under `lock`.

    Faults: `faults` (lost, late, corrupted, duplicated packets), `unplug`, `jam`, `silence`, and the servos' own
    `voltage`, `temperature` and `forced` errors through `servo(name)`.

    Args:
        make: a servo from its place on the bus (0 is the first) and its calibration.
        wire: how packets look.
        family: of the servos.
        description: the arm.
        plant: what moves; default critically damped joints at the home pose.
        calibration: of the servos; default `emulated_calibration`.
        baudrate: [baud]; 10 bits a byte.
        return_delay: [s] before a servo answers.
        latency: [s] of the USB adapter, each way; one with its timer at 16 ms has up to 0.008.
        priority: of SCHED_FIFO for its thread, where it is granted: servos do not wait for other programs.

    Attributes:
        port: the device to open.
        observed: what the servos were told, newest last.
    """

    def __init__(
        self,
        make: Callable[[int, JointCalibration], ServoTable],
        wire: Wire,
        family: ServoFamily,
        description: RobotDescription,
        plant: Plant | None = None,
        calibration: Calibration | None = None,
        baudrate: int = 1_000_000,
        return_delay: float = 20e-6,
        latency: float = 500e-6,
        priority: int = 0,
    ) -> None:
        self.description, self.calibration = description, calibration or emulated_calibration(description)
        self.plant = SecondOrder(description.array("home")) if plant is None else plant
        self.lock, self.faults = threading.RLock(), Faults()
        self.observed: deque[Observed] = deque(maxlen=1_000_000)
        self._ticks, self._wire = Ticks(self.calibration, description), wire
        self._servos = tuple(make(place, joint) for place, joint in enumerate(self.calibration.joints.values()))
        for servo, joint in zip(self._servos, self.calibration.joints.values(), strict=True):
            for field, register in family.calibration.items():
                servo.set(register, getattr(joint, field))
        self._by_id = {servo.id: servo for servo in self._servos}
        offsets = self.calibration.array("homing_offset")
        self._mounted = family.offset_sign * offsets  # [ticks] that the encoders are turned by
        self._jammed: dict[int, float] = {}  # joint index -> [rad] where it is stuck
        self._silent: set[int] = set()
        self._byte, self._delay, self._latency = 10 / baudrate, return_delay, latency
        self._outbox: list[tuple[float, bytes]] = []  # (due, bytes)
        self._packets = 0
        self._time = time.monotonic()
        rest, limp = description.array("home"), np.zeros(len(self._servos))
        self._motion = self.plant.advance(rest, limp, 0.0)
        self._show(self._motion)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._stopped, self._priority = threading.Event(), priority
        self._thread = threading.Thread(target=self._serve, name="servo bus", daemon=True)
        self._thread.start()

    def servo(self, name: str) -> ServoTable:
        """The servo of a joint, to be looked at or disturbed."""
        return self._servos[self.description.names.index(name)]

    @property
    def wiring(self) -> dict[str, Any]:
        """What a driver needs to reach it."""
        return {"port": self.port, "calibration": self.calibration}

    @property
    def motion(self) -> Motion:
        """The joints as they are, (J,) each."""
        with self.lock:
            return self._motion

    def jam(self, name: str) -> None:
        """The joint sticks where it is, until `free`."""
        joint = self.description.names.index(name)
        with self.lock:
            self._jammed[joint] = float(self._motion.position[joint])

    def free(self, name: str) -> None:
        with self.lock:
            self._jammed.pop(self.description.names.index(name), None)

    def silence(self, name: str) -> None:
        """The servo neither hears nor answers: its cable came off."""
        with self.lock:
            self._silent.add(self.servo(name).id)

    def unplug(self) -> None:
        """The cable to the computer is pulled; the servos hold what they were told last."""
        self._stopped.set()
        self._thread.join()
        for end in (self._master, self._slave):
            with suppress(OSError):  # it was unplugged before
                os.close(end)

    def close(self) -> None:
        """Power off. May be called twice."""
        if not self._stopped.is_set():
            self.unplug()

    def _serve(self) -> None:
        realtime.take_priority(self._priority)
        while not self._stopped.is_set():
            with self.lock:
                now = time.monotonic()
                self._advance(now)
                due = self._deliver(now)
            if select.select([self._master], [], [], max(0.0, min(IDLE, due - time.monotonic())))[0]:
                self._hear(os.read(self._master, 4096))

    def _hear(self, data: bytes) -> None:
        """Answer the requests in `data`, in their order, when the wire has carried them."""
        arrived = time.monotonic()
        with self.lock:
            for packet in self._wire.feed(data):
                arrived += packet.size * self._byte
                if not self.faults.loses():
                    self._advance(time.monotonic())
                    self._heard_one()
                    arrived = self._answer(packet, arrived)

    def _heard_one(self) -> None:
        """A packet, whomever it is for, has reached the servos."""

    def _answer(self, packet: Packet, wire: float) -> float:
        """Carry out one request; the time at which the wire is free again [s]."""
        heard = [servo for servo in targets(packet, self._by_id) if servo.id not in self._silent]
        before = self._told()
        self._packets += packet.tells(self._servos[0].goal.address)
        for servo in heard:
            answer = carry_out(servo, packet)
            if answer is not None:
                data = self._wire.reply(servo.id, *answer)
                wire += self._delay + len(data) * self._byte
                self._outbox += self.faults.apply(wire + 2 * self._latency, data)
        after = self._told()
        if any(not np.array_equal(one, two) for one, two in zip(before, after, strict=True)):
            self.observed.append(Observed(time.monotonic(), *after, self._packets))
        return wire

    def _told(self) -> tuple[np.ndarray, np.ndarray]:
        goals = np.array([servo.held(servo.goal) for servo in self._servos])
        return goals, np.array([servo.on for servo in self._servos])

    def _deliver(self, now: float) -> float:
        """Put replies that are due on the wire; when the next one is [s]."""
        self._outbox.sort(key=lambda item: item[0])
        while self._outbox and self._outbox[0][0] <= now:
            os.write(self._master, self._outbox.pop(0)[1])
        return self._outbox[0][0] if self._outbox else np.inf

    def _aims(self) -> np.ndarray:
        """Where the servos pull to (J,) [rad]."""
        return self._ticks.angle(np.array([servo.held(servo.goal) for servo in self._servos]))

    def _advance(self, now: float) -> None:
        """Let the plant move up to `now` and show the servos where it is."""
        aims, torque = self._aims(), np.array([servo.torque for servo in self._servos])
        for joint, stuck in self._jammed.items():
            aims[joint] = stuck
        motion = self.plant.advance(aims, torque, min(now - self._time, LONGEST))
        self._time = now
        self._motion = self._stick(motion, torque)
        self._show(self._motion)

    def _show(self, motion: Motion) -> None:
        encoders = np.rint(self._ticks.exact(motion.position)).astype(np.int64) - self._mounted
        speeds = self._ticks.tick_velocity(motion.velocity)
        for servo, encoder, speed, load in zip(self._servos, encoders, speeds, motion.load, strict=True):
            servo.encoder, servo.speed, servo.load = int(encoder), float(speed), float(load)

    def _stick(self, motion: Motion, torque: np.ndarray) -> Motion:
        """Jammed joints stand still under full load."""
        if not self._jammed:
            return motion
        position, velocity, load = (array.copy() for array in motion)
        for joint, stuck in self._jammed.items():
            position[joint], velocity[joint], load[joint] = stuck, 0.0, torque[joint]
        return Motion(position, velocity, load)


def emulated_calibration(description: RobotDescription) -> Calibration:
    """Servos 1 to J, with offsets, directions and places of their travel that differ from joint to joint."""
    joints = {}
    for index, joint in enumerate(description.joints):
        half = round((joint.high - joint.low) / 2 * TURN / (2 * np.pi))
        middle = 2048 + (-1) ** index * min(17 * index, 2047 - half)
        offset = 300 * (-1) ** index * (index + 1)
        joints[joint.name] = JointCalibration(index + 1, offset, middle - half, middle + half, index % 2)
    return Calibration(description.name, joints, "the emulated bus")
