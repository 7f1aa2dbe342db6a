"""An emulated UR e-Series controller on an address of its own: the real SDK cannot tell it from a robot.

It runs in a process of its own (`python -m hardware.emulators.ur_process`, see `emulated_ur`): the SDK's constructors
keep every other Python thread of their process waiting.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from hardware.emulators.plant import Motion, WholePlant
from hardware.emulators.rtde import VERSION, Kind, Parser, Recipe, names_in, packet
from hardware.emulators.ur_program import JOINTS, SAFETY, Program, Told
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
IN_USE = "IN_USE"  # instead of the type of an input that another client writes
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


class UrController:
    """RTDE, dashboard, script port and a Robotiq gripper's socket.

    servoJ's targets go to the plant as they come: no lookahead, no gain.

    Faults: `program.protect()`, `program.emergency()`, `program.power`, `unplug`, `frozen` (sends nothing any more).

    Args:
        description: an arm of six joints, and perhaps a gripper as the seventh.
        plant: what moves.
        rate: [Hz] of its cycle, and the most that a client gets.

    Attributes:
        address: where it listens, on this machine alone.
        motion: the joints as they are, (J,) each.
        stops: where the arm stopped because it had lost its target, newest last; whoever reads them takes them away.
    """

    def __init__(self, description: RobotDescription, plant: WholePlant, rate: float = 500.0) -> None:
        self.description, self.plant, self.program = description, plant, Program()
        self.frozen = self._led = False  # it sends nothing any more; the arm follows a target
        self._period, self._time = 1 / rate, time.monotonic()
        self._due = self._time
        joints = len(description.joints)
        self._torque = np.ones(joints)
        self.motion: Motion = plant.advance(description.array("home"), np.zeros(joints), 0.0)
        self._goals = self.motion.position.copy()
        self._selector = selectors.DefaultSelector()
        self._clients: list[Client] = []
        self.stops: deque[Told] = deque()
        self.address = self._listen()

    def cycle(self) -> None:
        """Serve whoever speaks until the next cycle is due, and do that one."""
        while True:
            for key, _ in self._selector.select(max(0.0, self._due - time.monotonic())):
                self._attend(key)
            if (now := time.monotonic()) >= self._due:
                break
        self._due = max(self._due + self._period, now)
        self._advance(now)
        self._report(now)

    def unplug(self) -> None:
        """The network cable is pulled: every connection ends."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]
        self._clients.clear()

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
            self._goals[:JOINTS] = self.motion.position[:JOINTS]
            self.stops.append(Told(now, self._goals[:JOINTS].copy()))
        self._led = target is not None
        self.motion = self.plant.advance(self._goals, self._torque, min(now - self._time, LONGEST))
        self._time = now

    def _report(self, now: float) -> None:
        position, velocity, _ = self.motion
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
                client.say(packet(Kind.INPUTS, self._inputs(client, names_in(payload))))
            elif kind in (Kind.START, Kind.PAUSE):
                client.due = time.monotonic() if kind == Kind.START else float("inf")
                client.say(packet(Kind(kind), b"\x01"))
            elif kind == Kind.DATA and payload[0] in client.inputs:
                self.program.tell(client.inputs[payload[0]].unpack(payload))

    def _inputs(self, client: Client, names: list[str]) -> bytes:
        """The answer to a client that wants to write inputs; those of another one are refused."""
        others = [recipe.names for other in self._clients if other is not client for recipe in other.inputs.values()]
        taken = {name for recipe in others for name in recipe}
        recipe = Recipe(len(client.inputs) + 1, names)
        if taken.isdisjoint(names):
            client.inputs[recipe.number] = recipe
            return bytes([recipe.number]) + ",".join(recipe.types).encode()
        types = [IN_USE if name in taken else one for name, one in zip(names, recipe.types, strict=True)]
        return b"\0" + ",".join(types).encode()

    def _hear_dashboard(self, client: Client, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            if line == "unlock protective stop":
                self.program.unlock()
                client.say(b"Protective stop releasing\n")
            elif line == "safetystatus":
                client.say(f"Safetystatus: {SAFETY[self.program.safety]}\n".encode())
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
                share = (self.motion.position[JOINTS] - joint.low) / (joint.high - joint.low)
                client.say(f"POS {int(np.clip(round(CLOSED * (1 - share)), 0, CLOSED)):03d}\n".encode())
            elif words == ["GET", "STA"]:
                client.say(b"STA 3\n")
            else:
                client.say(b"?\n")
