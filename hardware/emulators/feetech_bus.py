"""An emulated bus of Feetech servos behind a pseudo-terminal: the real SDK cannot tell it from a port."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections import deque
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from hardware import realtime, sts3215
from hardware.calibration import Calibration, JointCalibration, Ticks
from hardware.emulators.feetech_protocol import Faults, Instruction, Packet, Parser, reply, targets
from hardware.emulators.plant import Motion, Plant, SecondOrder
from hardware.emulators.servo_table import ServoTable
from robo_rl.robot import RobotDescription

IDLE = 0.004  # [s] between two looks at the plant while nobody talks
LONGEST = 0.5  # [s] of physics at once; a machine that was suspended does not catch up


class Observed(NamedTuple):
    """What the servos were told, after a packet that changed it."""

    time: float  # [s] monotonic
    goals: np.ndarray  # (J,) [ticks]
    torque: np.ndarray  # (J,) bool
    packets: int = 0  # with goals, so far: those in between told the same goals again


class FeetechBusEmulator:
    """STS3215 servos, one a joint, on a pseudo-terminal, with a thread of its own.

    A request takes its bytes' time on the wire; a reply follows after the return delay and the USB latency. Every
    access to the servos happens under `lock`.

    Faults: `faults` (lost, late, corrupted, duplicated packets), `unplug`, `jam`, `silence`, and the servos' own
    `voltage`, `temperature` and `forced` errors through `servo(name)`.

    Args:
        description: the arm.
        plant: what moves; default critically damped joints at the home pose.
        calibration: default `emulated_calibration`.
        baudrate: [baud]; 10 bits a byte.
        return_delay: [s] before a servo answers.
        latency: [s] of the USB adapter, each way.
        priority: of SCHED_FIFO for its thread, where it is granted: servos do not wait for other programs.

    Attributes:
        port: the device to open.
        observed: what the servos were told, newest last.
    """

    def __init__(
        self,
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
        self._ticks = Ticks(self.calibration, description)
        self._servos = [_servo(joint) for joint in self.calibration.joints.values()]
        self._by_id = {servo.id: servo for servo in self._servos}
        self._jammed: dict[int, float] = {}  # joint index -> [rad] where it is stuck
        self._silent: set[int] = set()
        self._byte, self._delay, self._latency = 10 / baudrate, return_delay, latency
        self._outbox: list[tuple[float, bytes]] = []  # (due, bytes)
        self._parser, self._packets = Parser(), 0
        self._time = time.monotonic()
        self._motion = self._advance(self._time)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._stopped, self._priority = threading.Event(), priority
        self._thread = threading.Thread(target=self._serve, name="feetech bus", daemon=True)
        self._thread.start()

    def servo(self, name: str) -> ServoTable:
        """The servo of a joint, to be looked at or disturbed."""
        return self._servos[self.description.names.index(name)]

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
                self._motion = self._advance(now)
                due = self._deliver(now)
            if select.select([self._master], [], [], max(0.0, min(IDLE, due - time.monotonic())))[0]:
                self._hear(os.read(self._master, 4096))

    def _hear(self, data: bytes) -> None:
        """Answer the requests in `data`, in their order, when the wire has carried them."""
        arrived = time.monotonic()
        with self.lock:
            for packet in self._parser.feed(data):
                arrived += packet.size * self._byte
                if not self.faults.loses():
                    self._motion = self._advance(time.monotonic())
                    arrived = self._answer(packet, arrived)

    def _answer(self, packet: Packet, wire: float) -> float:
        """Carry out one request; the time at which the wire is free again [s]."""
        heard = [servo for servo in targets(packet, self._by_id) if servo.id not in self._silent]
        before = self._told()
        self._packets += packet.tells(sts3215.GOAL_POSITION.address)
        for servo in heard:
            answer = _carry_out(servo, packet)
            if answer is not None:
                data = reply(servo.id, servo.error, answer)
                wire += self._delay + len(data) * self._byte
                self._outbox += self.faults.apply(wire + 2 * self._latency, data)
        after = self._told()
        if any(not np.array_equal(one, two) for one, two in zip(before, after, strict=True)):
            self.observed.append(Observed(time.monotonic(), *after, self._packets))
        return wire

    def _told(self) -> tuple[np.ndarray, np.ndarray]:
        goals = np.array([servo.get(sts3215.GOAL_POSITION) for servo in self._servos])
        return goals, np.array([servo.get(sts3215.TORQUE_ENABLE) == 1 for servo in self._servos])

    def _deliver(self, now: float) -> float:
        """Put replies that are due on the wire; when the next one is [s]."""
        self._outbox.sort(key=lambda item: item[0])
        while self._outbox and self._outbox[0][0] <= now:
            os.write(self._master, self._outbox.pop(0)[1])
        return self._outbox[0][0] if self._outbox else np.inf

    def _advance(self, now: float) -> Motion:
        """Let the plant move up to `now` and show the servos where it is."""
        goals = self._ticks.angle(np.array([servo.get(sts3215.GOAL_POSITION) for servo in self._servos]))
        torque = np.array([servo.torque for servo in self._servos])
        for joint, stuck in self._jammed.items():
            goals[joint] = stuck
        motion = self.plant.advance(goals, torque, min(now - self._time, LONGEST))
        self._time = now
        motion = self._stick(motion, torque)
        shown, speed = self._ticks.nearest(motion.position), self._ticks.tick_velocity(motion.velocity)
        for joint, (name, servo) in enumerate(zip(self.calibration.joints, self._servos, strict=True)):
            servo.present = int(shown[joint] + self.calibration.joints[name].homing_offset) % sts3215.TURN
            servo.speed, servo.load = int(speed[joint]), float(motion.load[joint])
        return motion

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
        half = round((joint.high - joint.low) / 2 * sts3215.TURN / (2 * np.pi))
        middle = 2048 + 17 * (-1) ** index * index
        offset = 300 * (-1) ** index * (index + 1)
        joints[joint.name] = JointCalibration(index + 1, offset, middle - half, middle + half, index % 2)
    return Calibration(description.name, joints, "the emulated bus")


def _servo(joint: JointCalibration) -> ServoTable:
    """A servo that has been calibrated; at power-on its goal is the middle of its travel."""
    servo = ServoTable(joint.id)
    servo.set(sts3215.HOMING_OFFSET, joint.homing_offset)
    servo.set(sts3215.MIN_POSITION, joint.range_min)
    servo.set(sts3215.MAX_POSITION, joint.range_max)
    servo.write(sts3215.GOAL_POSITION.address, bytes(sts3215.encode(2048, sts3215.GOAL_POSITION)))
    return servo


def _carry_out(servo: ServoTable, packet: Packet) -> bytes | None:
    """Do what one packet asks of one servo; the reply's data, None where nobody replies."""
    kind, parameters = packet.instruction, packet.parameters
    data = b""
    if kind in (Instruction.READ, Instruction.SYNC_READ):
        return servo.read(parameters[0], parameters[1])
    if kind == Instruction.SYNC_WRITE:
        servo.write(parameters[0], packet.share(servo.id))
    elif kind == Instruction.WRITE:
        servo.write(parameters[0], parameters[1:])
    elif kind == Instruction.REG_WRITE:
        servo.waiting = parameters[0], parameters[1:]
    elif kind == Instruction.ACTION and servo.waiting is not None:
        servo.write(*servo.waiting)
        servo.waiting = None
    return None if packet.id == sts3215.BROADCAST else data
