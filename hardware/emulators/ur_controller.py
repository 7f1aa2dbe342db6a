"""An emulated UR e-Series controller on an address of its own: the real SDK cannot tell it from a robot.

It has to live in another process than the SDK, whose constructors keep every other Python thread waiting.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from hardware import realtime
from hardware.emulators.plant import Motion, Plant, SecondOrder
from hardware.emulators.rtde import VERSION, Kind, Parser, Recipe, names_in, packet
from hardware.emulators.servo_bus import Observed
from hardware.emulators.ur_program import JOINTS, NORMAL, Program, Told
from robo_rl.robot import RobotDescription

RTDE, DASHBOARD, SCRIPT, GRIPPER = 30004, 29999, 30003, 63352  # ports
LONGEST = 0.5  # [s] of physics at once
GREETING = b"Connected: Universal Robots Dashboard Server\n"
SOFTWARE = struct.pack(">4I", 5, 12, 2, 0)
ANSWERS = {
    "PolyscopeVersion": "URSoftware 5.12.2.1101534 (Jul 06 2022)",
    "get serial number": "20225500001",
    "get robot model": "UR5",
    "is in remote control": "true",
    "close safety popup": "closing safety popup",
}
CLOSED = 255  # position of the gripper's drive


class Client:
    """One connection."""

    def __init__(self, link: socket.socket, hear: Callable[[Client, bytes], None]) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setblocking(False)
        self.link, self.hear = link, hear
        self.parser = Parser()
        self.outputs: Recipe | None = None
        self.inputs: dict[int, Recipe] = {}
        self.period, self.due = 0.0, float("inf")

    def say(self, data: bytes) -> None:
        with suppress(OSError):  # it is gone, or does not listen
            self.link.send(data)


class UrControllerEmulator:
    """RTDE, dashboard, script port and a Robotiq gripper's socket, with a thread of its own.

    servoJ's targets go to the plant as they come: no lookahead, no gain. Every access happens under `lock`.

    Faults: `program.protect()`, `program.emergency()`, `program.power`, `unplug`, `frozen` (sends nothing any more).

    Args:
        description: an arm of six joints, and perhaps a gripper as the seventh.
        plant: what moves; default critically damped joints at the home pose.
        priority: of SCHED_FIFO for its thread, where it is granted.
        rate: [Hz] of its cycle, and the most that a client gets.

    Attributes:
        address: where it listens, on this machine alone.
    """

    def __init__(
        self, description: RobotDescription, plant: Plant | None = None, priority: int = 0, rate: float = 500.0
    ) -> None:
        self.description = description
        self.plant = SecondOrder(description.array("home")) if plant is None else plant
        self.lock, self.program = threading.RLock(), Program()
        self.frozen = self._led = False  # it sends nothing any more; the arm follows a target
        self._priority, self._period, self._time = priority, 1 / rate, time.monotonic()
        joints = len(description.joints)
        self._goals, self._torque = description.array("home"), np.ones(joints)
        self._motion = self.plant.advance(self._goals, np.zeros(joints), 0.0)
        self._goals = self._motion.position.copy()
        self._selector, self._stopped = selectors.DefaultSelector(), threading.Event()
        self._clients: list[Client] = []
        self._stops: deque[Told] = deque(maxlen=1_000_000)
        self.address = self._listen()
        self._thread = threading.Thread(target=self._serve, name="ur controller", daemon=True)
        self._thread.start()

    @property
    def observed(self) -> list[Observed]:
        """What the arm was told, newest last: targets, and to stop where it is."""
        with self.lock:
            told = sorted([*self.program.told, *self._stops], key=lambda one: one.time)
        return [Observed(one.time, one.target, np.ones(JOINTS, bool)) for one in told]

    @property
    def wiring(self) -> dict[str, str]:
        """What a driver needs to reach it."""
        return {"address": self.address}

    @property
    def motion(self) -> Motion:
        """The joints as they are, (J,) each."""
        with self.lock:
            return self._motion

    def unplug(self) -> None:
        """The network cable is pulled: every connection ends."""
        self._stopped.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def close(self) -> None:
        """Power off. May be called twice."""
        if not self._stopped.is_set():
            self.unplug()

    def _listen(self) -> str:
        """An address of the loopback network on which all ports are free."""
        services = {RTDE: self._hear_rtde, DASHBOARD: self._hear_dashboard, SCRIPT: self._hear_script}
        if len(self.description.joints) > JOINTS:
            services[GRIPPER] = self._hear_gripper
        for number in np.random.default_rng().permutation(1 << 16).tolist():
            address, opened = f"127.83.{number >> 8}.{number & 255}", []
            try:
                for port in services:
                    opened.append(socket.create_server((address, port)))
            except OSError:
                for one in opened:
                    one.close()
                continue
            for one, hear in zip(opened, services.values(), strict=True):
                self._selector.register(one, selectors.EVENT_READ, hear)
            return address
        raise OSError("no address is free for the emulated controller")

    def _serve(self) -> None:
        realtime.take_priority(self._priority)
        due = time.monotonic()
        while not self._stopped.is_set():
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                self._attend(key)
            if (now := time.monotonic()) >= due:
                due = max(due + self._period, now)
                with self.lock:
                    self._advance(now)
                    self._report(now)

    def _attend(self, key: selectors.SelectorKey) -> None:
        """Somebody connects, speaks or leaves."""
        if not isinstance(key.data, Client):
            link, _ = key.fileobj.accept()  # type: ignore[union-attr]
            client = Client(link, key.data)
            self._selector.register(link, selectors.EVENT_READ, client)
            self._clients.append(client)
            if key.data == self._hear_dashboard:
                client.say(GREETING)
            return
        data = b""
        with suppress(OSError):
            data = key.data.link.recv(1 << 16)
        if data:
            with self.lock:
                key.data.hear(key.data, data)
            return
        self._selector.unregister(key.fileobj)
        self._clients.remove(key.data)
        key.data.link.close()

    def _advance(self, now: float) -> None:
        self.program.watch()
        target = self.program.target
        if target is not None:
            self._goals[:JOINTS] = target
        elif self._led:  # it has just lost its target: it stops where it is
            self._goals[:JOINTS] = self._motion.position[:JOINTS]
            self._stops.append(Told(now, self._goals[:JOINTS].copy()))
        self._led = target is not None
        self._motion = self.plant.advance(self._goals, self._torque, min(now - self._time, LONGEST))
        self._time = now

    def _report(self, now: float) -> None:
        position, velocity, _ = self._motion
        values = {
            **self.program.outputs, "timestamp": now,
            "actual_q": position[:JOINTS].tolist(), "target_q": self._goals[:JOINTS].tolist(),
            "actual_qd": velocity[:JOINTS].tolist(), "joint_temperatures": [30.0] * JOINTS,
        }  # fmt: skip
        for client in () if self.frozen else self._clients:
            if client.outputs is not None and now >= client.due:
                client.due = max(client.due + client.period, now)
                client.say(client.outputs.pack(values))

    def _hear_rtde(self, client: Client, data: bytes) -> None:
        for kind, payload in client.parser.feed(data):
            if kind == Kind.PROTOCOL:
                client.say(packet(Kind.PROTOCOL, bytes([payload == VERSION.to_bytes(2, "big")])))
            elif kind == Kind.CONTROLLER:
                client.say(packet(Kind.CONTROLLER, SOFTWARE))
            elif kind == Kind.OUTPUTS:
                client.period = 1 / struct.unpack_from(">d", payload)[0]
                client.outputs = Recipe(1, names_in(payload[8:]))
                client.say(packet(Kind.OUTPUTS, b"\x01" + ",".join(client.outputs.types).encode()))
            elif kind == Kind.INPUTS:
                recipe = Recipe(len(client.inputs) + 1, names_in(payload))
                client.inputs[recipe.number] = recipe
                client.say(packet(Kind.INPUTS, bytes([recipe.number]) + ",".join(recipe.types).encode()))
            elif kind in (Kind.START, Kind.PAUSE):
                client.due = time.monotonic() if kind == Kind.START else float("inf")
                client.say(packet(Kind(kind), b"\x01"))
            elif kind == Kind.DATA and payload[0] in client.inputs:
                self.program.tell(client.inputs[payload[0]].unpack(payload))

    def _hear_dashboard(self, client: Client, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            if line == "unlock protective stop":
                self.program.unlock()
                client.say(b"Protective stop releasing\n")
            elif line == "safetystatus":
                normal = self.program.safety == NORMAL
                client.say(f"Safetystatus: {'NORMAL' if normal else 'PROTECTIVE_STOP'}\n".encode())
            elif line == "robotmode":
                client.say(f"Robotmode: {'RUNNING' if self.program.power else 'POWER_OFF'}\n".encode())
            else:
                client.say(ANSWERS.get(line, f"could not understand: '{line}'").encode() + b"\n")

    def _hear_script(self, client: Client, data: bytes) -> None:
        self.program.upload(data)

    def _hear_gripper(self, client: Client, data: bytes) -> None:
        """Robotiq's URCap: 0 is open, 255 is closed."""
        joint = self.description.joints[JOINTS]
        for line in data.decode(errors="replace").splitlines():
            words = line.split()
            if words[:2] == ["SET", "POS"]:
                share = 1 - int(words[2]) / CLOSED
                self._goals[JOINTS] = joint.low + share * (joint.high - joint.low)
                client.say(b"ack")
            elif words == ["GET", "POS"]:
                share = (self._motion.position[JOINTS] - joint.low) / (joint.high - joint.low)
                client.say(f"POS {int(np.clip(round(CLOSED * (1 - share)), 0, CLOSED)):03d}\n".encode())
            elif words == ["GET", "STA"]:
                client.say(b"STA 3\n")
            else:
                client.say(b"?\n")
