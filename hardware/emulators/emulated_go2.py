"""An emulated Go2 in a process of its own, seen from the process that started it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from hardware.emulators.go2_plant import MotorsFactory, PlantFactory
from hardware.emulators.go2_records import Go2Settings, findings, wishes
from hardware.emulators.process import EmulatedProcess
from hardware.go2_packets import require_dds
from robo_rl.robot import RobotDescription

DOMAINS = range(20, 200)  # that emulators draw from; a robot's is 0, and simulators usually take 1


class EmulatedGo2(EmulatedProcess):
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
        given = (self.settings, factory)
        super().__init__("hardware.emulators.go2_robot", (size,), wishes(size), findings(size), given)

    def ask(self, **wishes: Any) -> None:
        """Inject faults, see `wishes`: shares of packets `lost`, `late` (by `late_by` [s]), `corrupted`, `duplicated`;
        `frozen` states that never change, a `silent` robot, a `sport` service that is active, motors that are `hot`, a
        trunk with a `tilt` [rad] or `falling`."""
        self._asked.write(**wishes)

    def jam(self, name: str, stuck: bool = True) -> None:
        """A joint sticks where it is."""
        joints = np.array([stuck and name == one for one in self._names])
        self._asked.write(stuck=joints)


def random_domain() -> int:
    return DOMAINS[int.from_bytes(os.urandom(2), "little") % len(DOMAINS)]
