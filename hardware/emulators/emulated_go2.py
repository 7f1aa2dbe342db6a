"""An emulated Go2 in a process of its own, seen from the process that started it."""

from __future__ import annotations

import os
import pickle
import time
from typing import Any

import numpy as np

from hardware.emulators.go2_plant import MotorsFactory, PlantFactory
from hardware.emulators.go2_records import Go2Settings, findings, wishes
from hardware.exchange import Slot
from hardware.go2_packets import require_dds
from robo_rl.child import Child
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription

START = 30.0  # [s] that it may take to start: a world is compiled
DOMAINS = range(20, 200)  # that emulators draw from; a robot's is 0, and simulators usually take 1


class EmulatedGo2:
    """Power on at `__init__`, off at `close`.

    Args:
        description: the robot.
        factory: makes what moves; default motors without weight at the home pose.
        settings: default those of a random domain on the loopback interface.

    Attributes:
        settings: its interface and domain are where the robot is found.
    """

    def __init__(
        self,
        description: RobotDescription,
        factory: PlantFactory | None = None,
        settings: Go2Settings | None = None,
    ) -> None:
        require_dds()
        self.settings = settings or Go2Settings(random_domain())
        factory = factory or MotorsFactory(description, tuple(description.array("home").tolist()))
        self._names, size = description.names, factory.size
        self._split, whole = Slot.size(wishes(size)), Slot.size(wishes(size)) + Slot.size(findings(size))
        self._child = Child("hardware.emulators.go2_robot", whole, (size,))
        self._asked = Slot(self._child.memory[: self._split], wishes(size))
        self._found = Slot(self._child.memory[self._split :], findings(size))
        self._placed = 0
        self._child.tell(pickle.dumps((self.settings, factory)))
        self._wait()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def found(self) -> dict[str, Any]:
        """What it says of itself, see `findings`."""
        while (found := self._found.read()) is None:
            time.sleep(1e-4)
        return found

    def ask(self, **wishes: Any) -> None:
        """Inject faults, see `wishes`: shares of packets `lost`, `late` (by `late_by` [s]), `corrupted`, `duplicated`;
        `frozen` states that never change, a `silent` robot, a `sport` service that is active, motors that are `hot`, a
        trunk with a `tilt` [rad] or `falling`."""
        self._asked.write(**wishes)

    def jam(self, name: str, stuck: bool = True) -> None:
        """A joint sticks where it is."""
        joints = np.array([stuck and name == one for one in self._names])
        self._asked.write(stuck=joints)

    def place(self, state: np.ndarray) -> None:
        """Change the plant's state where `state` (K,) is a number, and wait until that has happened."""
        self._placed += 1
        self._asked.write(place=state, placed=self._placed)
        end = time.monotonic() + 1.0
        while self.found["placed"] != self._placed and time.monotonic() < end:
            time.sleep(2e-4)

    def close(self) -> None:
        """May be called twice."""
        self._child.end()
        if not self._child.wait(2.0):
            self._child.kill()

    def _wait(self) -> None:
        """Until it is there."""
        end = time.monotonic() + START
        while not self.found["ready"]:
            if not self._child.running or time.monotonic() > end:
                reason = self.found["reason"].decode(errors="replace")
                self.close()
                raise UserError(reason or "the emulated go2 did not start")
            time.sleep(0.005)


def random_domain() -> int:
    return DOMAINS[int.from_bytes(os.urandom(2), "little") % len(DOMAINS)]
