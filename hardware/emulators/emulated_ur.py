"""An emulated UR controller in a process of its own, seen from the process that started it."""

from __future__ import annotations

import numpy as np

from hardware.emulators.plant import Motion, PlantFactory, SecondOrderFactory
from hardware.emulators.process import EmulatedProcess
from hardware.emulators.servo_bus import Observed
from hardware.emulators.ur_program import JOINTS
from hardware.emulators.ur_records import MEMORY, TOLD, Event, UrSettings, findings, wishes
from robo_rl.robot import RobotDescription


class EmulatedUr(EmulatedProcess):
    """Power on at `__init__`, off at `close`.

    Args:
        description: an arm of six joints, and perhaps a gripper as the seventh.
        factory: makes what moves; default critically damped joints at the home pose.
        priority, rate: see `UrSettings`.

    Attributes:
        address: where it listens, on this machine alone.
    """

    def __init__(
        self,
        description: RobotDescription,
        factory: PlantFactory | None = None,
        priority: int = UrSettings.priority,
        rate: float = UrSettings.rate,
    ) -> None:
        factory = factory or SecondOrderFactory(tuple(description.array("home").tolist()))
        sizes, given = (len(description.joints), factory.size), (description, factory, UrSettings(rate, priority))
        records = wishes(factory.size), findings(*sizes)
        super().__init__("hardware.emulators.ur_process", sizes, *records, given, MEMORY * TOLD.itemsize)
        self._memory = np.frombuffer(self._further, TOLD)
        self._events = 0
        self.address = self.found["address"].decode()

    @property
    def wiring(self) -> dict[str, str]:
        """What a driver needs to reach it."""
        return {"address": self.address}

    @property
    def told(self) -> np.ndarray:
        """What the arm was told, `TOLD` (K,), the latest `MEMORY` of it, newest last."""
        count = int(self.found["told"])
        return self._memory[np.arange(max(0, count - MEMORY), count) % MEMORY]

    @property
    def targets(self) -> np.ndarray:
        """Targets of servoJ (K, 6) [rad], newest last."""
        told = self.told
        return told["target"][told["servo"]]

    @property
    def observed(self) -> list[Observed]:
        """What the arm was told, newest last: targets, and to stop where it is."""
        return [Observed(float(one["time"]), one["target"].copy(), np.ones(JOINTS, bool)) for one in self.told]

    @property
    def motion(self) -> Motion:
        """The joints as they are, (J,) each."""
        found = self.found
        return Motion(found["position"], found["velocity"], found["load"])

    @property
    def running(self) -> bool:
        """Whether a client's script runs on it."""
        return bool(self.found["running"])

    @property
    def led(self) -> bool:
        """Whether the arm follows a target."""
        return bool(self.found["led"])

    @property
    def stopped(self) -> str:
        """Why the script ended, "" while nothing went wrong."""
        return self.found["stopped"].decode()

    def happen(self, event: Event) -> None:
        """Let something happen to the robot, and wait until it has."""
        self._events += 1
        self._asked.write(event=event, number=self._events)
        self._heeded(lambda: self.found["number"] == self._events)
