"""The process of an emulated UR controller, see `emulated_ur`."""

from __future__ import annotations

import pickle
import sys

import numpy as np

from hardware import realtime
from hardware.emulators.process import attached
from hardware.emulators.ur_controller import UrController
from hardware.emulators.ur_program import Told
from hardware.emulators.ur_records import MEMORY, TOLD, Event, findings, wishes
from hardware.exchange import Slot
from robo_rl.child import left_alone


class UrProcess:
    """A controller that tells the process that started it what happens, and does what that one wishes.

    Args:
        controller: what the SDK talks to.
        asked, found: records of `wishes` and `findings`.
        told: `MEMORY` records of `TOLD`, a ring.
    """

    def __init__(self, controller: UrController, asked: Slot, found: Slot, told: np.ndarray) -> None:
        self._controller, self._asked, self._found, self._told = controller, asked, found, told
        self._number = self._placed = self._count = 0

    def run(self, parent: int) -> None:
        """Until the process that started it is gone or closes its pipe."""
        cycle = 0
        while not (cycle % 50 == 0 and left_alone(parent)):
            self._controller.cycle()
            if self._asked.fresh:
                self._obey()
            self._tell()
            cycle += 1

    def _obey(self) -> None:
        asked = self._asked.read()
        if asked is None:
            return
        if asked["number"] != self._number:
            self._number = int(asked["number"])
            self._happen(Event(asked["event"]))
        if asked["placed"] != self._placed:
            self._placed = int(asked["placed"])
            self._controller.plant.place(asked["place"])

    def _happen(self, event: Event) -> None:
        controller, program = self._controller, self._controller.program
        if event in (Event.POWER_OFF, Event.POWER_ON):
            program.power = event == Event.POWER_ON
        elif event == Event.FREEZE:
            controller.frozen = True
        else:
            {
                Event.PROTECTIVE_STOP: program.protect,
                Event.EMERGENCY_STOP: program.emergency,
                Event.UNLOCK: program.unlock,
                Event.UNPLUG: controller.unplug,
            }[event]()

    def _tell(self) -> None:
        controller, program = self._controller, self._controller.program
        fresh = [(one, True) for one in program.told] + [(one, False) for one in controller.stops]
        program.told.clear()
        controller.stops.clear()
        for one, servo in sorted(fresh, key=lambda item: item[0].time):
            self._note(one, servo)
        position, velocity, load = controller.motion
        self._found.write(
            ready=True, address=controller.address.encode(), number=self._number, placed=self._placed,
            running=program.running, led=program.target is not None, stopped=program.stopped.encode()[:256],
            told=self._count, position=position, velocity=velocity, load=load, state=controller.plant.state,
        )  # fmt: skip

    def _note(self, one: Told, servo: bool) -> None:
        self._told[self._count % MEMORY] = (one.time, one.target, servo)
        self._count += 1


def main(number: int, parent: int, joints: int, size: int) -> None:
    description, factory, settings = pickle.load(sys.stdin.buffer)  # from the process that started this one
    asked, found, rest = attached(number, wishes(size), findings(joints, size), MEMORY * TOLD.itemsize)
    controller = UrController(description, factory.make(), settings.rate)
    realtime.acquire(settings.priority)
    UrProcess(controller, asked, found, np.frombuffer(rest, TOLD)).run(parent)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
