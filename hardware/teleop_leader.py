"""A leader arm as a teleoperator: a second arm, limp in a person's hand, whose joints the robot follows."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from hardware.device import GuardedRobot
from hardware.keys import Keys
from hardware.teleop_keyboard import STOP, SWITCH
from robo_rl.robot import RobotDescription
from robo_rl.teleop import LOST, Hand, Teleoperator


class Leader(Teleoperator):
    """Follows the joints of `arm`, which is read and never commanded: its motors stay as they were, switched off after
    power-on. The tab key takes over and hands back, the space bar stops.

    Args:
        description: of the robot that follows; its limits clamp what the leader says.
        arm: the leader, with the same joints in the same order.
        keys: of the terminal.
        max_age: [s] that a reading may be old.
        now: the monotonic clock of the readings' stamps [s].
    """

    mirrors = True

    def __init__(
        self,
        description: RobotDescription,
        arm: GuardedRobot,
        keys: Keys,
        max_age: float = LOST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if arm.description.names != description.names:
            raise ValueError(f"leader: joints {arm.description.names}, the robot has {description.names}")
        self._arm, self._keys, self._max_age, self._now = arm, keys, max_age, now
        self._low, self._high = description.array("low"), description.array("high")
        self._stamp, self._stopped = now(), False

    def connect(self) -> None:
        self._arm.connect()
        self._keys.open()
        self._keys.forget((SWITCH, STOP))
        self._stamp = self._now()

    def read(self, applied: np.ndarray) -> Hand:
        obs, stamps = self._arm.read()
        self._stamp = float(stamps["joint_position"][0])
        typed = self._keys.take((SWITCH, STOP))
        self._stopped |= STOP in typed
        target = np.clip(obs["joint_position"][0], self._low, self._high).astype(np.float32)
        return Hand(target, typed.count(SWITCH) % 2 == 1)

    @property
    def problem(self) -> str:
        if self._stopped:
            return f"stop: {STOP} was pressed"
        if self._arm.guard.faults.any():
            return f"the leader arm: {self._arm.guard.reasons[0]}"
        age = self._now() - self._stamp
        return f"the leader arm was silent for {age:.3f} s, limit {self._max_age:.3f} s" if age > self._max_age else ""

    def close(self) -> None:
        self._arm.close()
        self._keys.close()
