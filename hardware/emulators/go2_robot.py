"""An emulated Unitree Go2: the low level of the robot as its computer sees it, over DDS.

It publishes its state at 500 Hz, refuses commands whose checksum is wrong, lets motors whose mode is off go limp, runs
the motors' PD loop, and damps when no command has come for `timeout`. Its motion switcher says whether a sport service
is active. It runs in a process of its own (`python -m hardware.emulators.go2_robot`), see `emulated_go2`.
"""

from __future__ import annotations

import pickle
import sys
import time
from typing import Any

import numpy as np

from hardware import realtime
from hardware.emulators.go2_plant import Body, Drive, LegPlant
from hardware.emulators.go2_records import JOINTS, NEVER, Go2Settings, findings, wishes
from hardware.emulators.process import attached
from hardware.emulators.servo_protocol import Faults
from hardware.exchange import Slot
from hardware.go2_dds import COMMANDS, STATES, Guest, Node
from hardware.go2_messages import LowCmd, LowState
from hardware.go2_packets import COMMAND, ENABLED, HEAD, LOW_LEVEL, POSITION_STOP, STATE, VELOCITY_STOP
from hardware.go2_service import MotionSwitcher
from robo_rl.child import left_alone
from robo_rl.clock import Deadline
from robo_rl.errors import UserError

LONGEST = 0.1  # [s] of physics at once; a machine that was suspended does not catch up
VOLTAGE, WARM, HOT = 29.0, 35, 99  # [V] [degrees C] [degrees C]
BURST = 16  # packets that are taken at once


class Inbox:
    """Commands as they come in, with what happens to packets on the way."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._waiting: list[tuple[float, bytes]] = []  # (due, packet)
        self.heard = self.refused = 0

    def add(self, packet: bytes, now: float) -> None:
        self._waiting += self._faults.apply(now, packet)

    def due(self, now: float) -> list[np.ndarray]:
        """Commands () whose time has come and whose checksum is right, for the low level."""
        arrived = [packet for due, packet in self._waiting if due <= now]
        self._waiting = [item for item in self._waiting if item[0] > now]
        messages = [COMMAND.opened(packet) for packet in arrived]
        good = [one for one in messages if one is not None]
        good = [one for one in good if tuple(one["head"]) == HEAD and one["level_flag"] == LOW_LEVEL]
        self.refused += len(messages) - len(good)
        self.heard += len(good)
        return good


class MotorBoard:
    """The twelve motors' side of the commands: who is enabled, what they were told, when they damp."""

    def __init__(self, settings: Go2Settings) -> None:
        self._settings = settings
        self.enabled = np.zeros(JOINTS, bool)
        nothing = np.zeros(JOINTS)  # a robot whose sport service was released damps
        self.drive = Drive(nothing, nothing, nothing, nothing, np.full(JOINTS, settings.damping))
        self.heard_at, self.active_until, self.timeouts = NEVER, NEVER, 0
        self.least, self.most = np.full(JOINTS, np.inf), np.full(JOINTS, -np.inf)
        self.step, self.torque = np.zeros(JOINTS), np.zeros(JOINTS)
        self._held = False

    def hear(self, message: np.ndarray, body: Body, now: float) -> None:
        motor = message["motor"][:JOINTS]
        was, before = self.active, self.drive.q
        self.enabled = motor["mode"] == ENABLED
        q, dq, tau, kp, kd = (motor[name].astype(np.float64) for name in Drive._fields)
        no_target, no_speed = q > 0.5 * POSITION_STOP, dq > 0.5 * VELOCITY_STOP
        q, dq = np.where(no_target, 0.0, q), np.where(no_speed, 0.0, dq)
        kp, tau = np.where(self.enabled & ~no_target, kp, 0.0), np.where(self.enabled, tau, 0.0)
        self.drive = Drive(q, dq, tau, kp, np.where(self.enabled & ~no_speed, kd, 0.0))
        self.heard_at = now
        self._note(body, before if was else None)

    def tick(self, now: float) -> Drive:
        """What the motors do now."""
        silent = now - self.heard_at > self._settings.timeout
        if silent and self.active:
            self.timeouts += 1
        if silent and self.heard_at > NEVER:
            nothing, damping = np.zeros(JOINTS), np.full(JOINTS, self._settings.damping)
            self.drive = Drive(nothing, nothing, nothing, nothing, np.where(self.enabled, damping, 0.0))
        if self.active:
            self.active_until = now
        return self.drive

    @property
    def active(self) -> bool:
        """Whether a motor pulls towards a position."""
        return bool(self.drive.kp.any() or self.drive.tau.any())

    def _note(self, body: Body, before: np.ndarray | None) -> None:
        """Widen the extremes; joints without a position gain were told no position."""
        told, held = self.drive, self.drive.kp > 0
        if held.any():
            self.least = np.where(held, np.minimum(self.least, told.q), self.least)
            self.most = np.where(held, np.maximum(self.most, told.q), self.most)
            pull = told.tau + told.kp * (told.q - body.position) + told.kd * (told.dq - body.velocity)
            self.torque = np.where(held, np.maximum(self.torque, np.abs(pull)), self.torque)
            if before is not None:
                self.step = np.where(held, np.maximum(self.step, np.abs(told.q - before)), self.step)


class Go2Robot:
    """The robot on its network.

    Args:
        settings: rates and limits.
        plant: what moves.
        asked, found: records of `wishes` and `findings`.
    """

    def __init__(self, settings: Go2Settings, plant: LegPlant, asked: Slot, found: Slot) -> None:
        node = Node(settings.interface, settings.domain, settings.priority and settings.priority + 5)
        self._node, self._plant, self._asked, self._found = node, plant, asked, found
        self._commands, self._states = node.reader(COMMANDS, LowCmd), node.writer(STATES, LowState)
        self._switcher = MotionSwitcher(node)
        self.inbox_faults, self.outbox_faults = Faults(), Faults()
        self._inbox, self._board = Inbox(self.inbox_faults), MotorBoard(settings)
        self._outbox: list[tuple[float, bytes]] = []
        self._message, self._placed, self._stuck = STATE.empty(), 0, np.zeros(JOINTS, bool)
        self._message["head"], self._message["level_flag"], self._message["voltage"] = HEAD, LOW_LEVEL, VOLTAGE
        self._frozen = self._silent = self._falling = False
        self._rival: Guest | None = None
        self._tilt, self._sport, self._warm = 0.0, "", WARM
        self._deadline, self._time, self._number = Deadline(1 / settings.rate), time.monotonic(), 0
        self._body = plant.advance(self._board.drive, self._stuck, 0.0)

    def run(self, parent: int) -> None:
        """Until the process that started it is gone or closes its pipe."""
        while not (self._number % 50 == 0 and left_alone(parent)):
            self._deadline.wait()
            self.tick(time.monotonic())

    def tick(self, now: float) -> None:
        """Commands in, motors, state out."""
        if self._asked.fresh:
            self._obey()
        for packet in self._commands.take(BURST):
            self._inbox.add(packet, now)
        for message in self._inbox.due(now):
            self._board.hear(message, self._body, now)
        drive = self._board.tick(now)
        self._body = self._plant.advance(drive, self._stuck, min(now - self._time, LONGEST))
        self._time = now
        self._number += 1
        self._send(now)
        if self._number % 10 == 0:
            self._switcher.serve(self._sport)
        self._tell(now)

    def _obey(self) -> None:
        asked = self._asked.read()
        if asked is None:
            return
        for faults in (self.inbox_faults, self.outbox_faults):
            for name in ("lost", "late", "late_by", "corrupted", "duplicated"):
                setattr(faults, name, float(asked[name]))
        self._frozen, self._silent, self._stuck = bool(asked["frozen"]), bool(asked["silent"]), asked["stuck"].copy()
        self._sport, self._warm = "normal" if asked["sport"] else "", HOT if asked["hot"] else WARM
        self._tilt, self._falling = float(asked["tilt"]), bool(asked["falling"])
        self._invite(bool(asked["rival"]))
        if asked["placed"] != self._placed:
            self._placed = int(asked["placed"])
            self._plant.place(asked["place"])

    def _invite(self, rival: bool) -> None:
        """Somebody else who publishes commands."""
        if rival and self._rival is None:
            self._rival = self._node.guest()
            self._rivals_commands = self._rival.writer(COMMANDS, LowCmd)
        elif not rival and self._rival is not None:
            self._rival.close()
            self._rival = None

    def _send(self, now: float) -> None:
        """Publish the state; a frozen one says the same again, a silent robot says nothing."""
        if not self._frozen:
            self._describe()
        if not self._silent:
            self._outbox += self.outbox_faults.apply(now, STATE.sealed(self._message))
        for _, packet in (item for item in self._outbox if item[0] <= now):
            self._states.write(packet)
        self._outbox = [item for item in self._outbox if item[0] > now]

    def _describe(self) -> None:
        body, message = self._body, self._message
        imu, motor = message["imu"], message["motor"][:JOINTS]
        imu["quaternion"], imu["gyroscope"] = _rolled(body.quaternion, self._tilt), body.gyroscope
        imu["accelerometer"] = 0.0 if self._falling else body.accelerometer
        motor["mode"], motor["q"], motor["dq"], motor["tau"] = (
            self._board.enabled, body.position, body.velocity, body.torque,
        )  # fmt: skip
        motor["temperature"] = self._warm
        message["foot_force"] = np.clip(np.rint(body.feet), 0, 32767)
        message["tick"] = round(1e3 * self._number * self._deadline.dt) % 2**32

    def _tell(self, now: float) -> None:
        board, body = self._board, self._body
        self._found.write(
            alive=self._number, ready=True, heard=self._inbox.heard, refused=self._inbox.refused,
            happened=self.inbox_faults.happened + self.outbox_faults.happened, timeouts=board.timeouts,
            active=board.active, active_until=board.active_until, enabled=board.enabled, q=board.drive.q,
            kp=board.drive.kp, kd=board.drive.kd, tau=board.drive.tau, position=body.position, velocity=body.velocity,
            told_least=board.least, told_most=board.most, told_step=board.step, told_torque=board.torque,
            placed=self._placed, time=now, state=self._plant.state,
        )  # fmt: skip


def _rolled(quaternion: np.ndarray, angle: float) -> np.ndarray:
    """An orientation (4,) w x y z, turned about its own x axis by an angle [rad]."""
    if angle == 0.0:
        return quaternion
    (w, x, y, z), cos, sin = quaternion, np.cos(angle / 2), np.sin(angle / 2)
    return np.array([w * cos - x * sin, w * sin + x * cos, y * cos + z * sin, z * cos - y * sin])


def main(number: int, parent: int, size: int) -> None:
    settings, factory = pickle.load(sys.stdin.buffer)  # from the process that started this one
    asked, found, _ = attached(number, wishes(size), findings(size))
    try:
        robot: Any = Go2Robot(settings, factory.make(), asked, found)
    except UserError as error:
        found.write(reason=str(error).encode()[:256])
        return
    realtime.acquire(settings.priority)
    robot.run(parent)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
