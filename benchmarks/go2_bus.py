"""An emulated Go2 as the kill table knows emulated buses: what its motors were told, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hardware.emulators.emulated_go2 import EmulatedGo2
from hardware.emulators.go2_plant import MotorsFactory
from hardware.emulators.plant import SecondOrder
from hardware.emulators.servo_bus import Observed
from robo_rl.robot import RobotDescription


class Go2Bus:
    """Motors without weight that begin where `plant` is.

    The robot is safe when no motor pulls towards a position any more: it damps. That is what a "torque" means here.
    """

    def __init__(self, description: RobotDescription, plant: SecondOrder, priority: int) -> None:
        del priority  # a process of its own, with a priority of its own
        self._robot = EmulatedGo2(description, MotorsFactory(description, tuple(plant.position.tolist())))
        self.wiring: Mapping[str, int] = {"domain": self._robot.settings.domain}

    @property
    def observed(self) -> Sequence[Observed]:
        """The last moment at which a motor pulled, and what came after it."""
        found = self._robot.found
        pulling, limp = np.ones(len(found["q"]), bool), np.zeros(len(found["q"]), bool)
        if found["active"]:
            return [Observed(float(found["time"]), found["q"], pulling)]
        until = float(found["active_until"])
        return [Observed(until, found["q"], pulling), Observed(until, found["q"], limp)]

    def close(self) -> None:
        self._robot.close()
