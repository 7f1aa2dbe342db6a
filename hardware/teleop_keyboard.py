"""A keyboard as a teleoperator: two keys a joint, over SSH, too."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from hardware.keys import Keys
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.teleop import Hand, Teleoperator

PAIRS = ("qa", "ws", "ed", "rf", "tg", "zx", "cv")  # up and down of each joint; y and n are labels
SWITCH, STOP = "tab", "space"


class Keyboard(Teleoperator):
    """Each joint moves for `hold` seconds after its key, so that the keyboard's repetition moves it on and on.

    Args:
        description: joints, in the order of the keys.
        keys: of the terminal.
        share: speed, as a share of each joint's `max_speed`.
        hold: [s]; longer than the time between two repetitions.
        now: monotonic clock [s].

    Raises:
        UserError: there are more joints than keys.
    """

    def __init__(
        self,
        description: RobotDescription,
        keys: Keys,
        share: float = 0.15,
        hold: float = 0.15,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        joints = len(description.joints)
        if joints > len(PAIRS):
            raise UserError(f"teleop=keyboard: {description.name} has {joints} joints, there are keys for {len(PAIRS)}")
        self._keys, self._hold, self._now = keys, hold, now
        self._pairs = PAIRS[:joints]
        self._names = (*"".join(self._pairs), SWITCH, STOP)
        self._step = share * description.array("max_speed") * description.dt  # [rad] a tick
        self._way = np.zeros(joints)
        self._until = np.full(joints, -np.inf)  # [s]
        self._stopped = False

    @property
    def help(self) -> str:
        """Which keys do what, in one line."""
        return f"joints {' '.join(self._pairs)}; {SWITCH}: take over, hand back; {STOP}: stop"

    def connect(self) -> None:
        self._keys.open()
        self._keys.forget(self._names)

    def read(self, applied: np.ndarray) -> Hand:
        now, typed = self._now(), self._keys.take(self._names)
        for key in typed:
            for joint, pair in enumerate(self._pairs):
                if key in pair:
                    self._way[joint], self._until[joint] = 1.0 if key == pair[0] else -1.0, now + self._hold
        self._stopped |= STOP in typed
        moving = np.where(now < self._until, self._way, 0.0)
        return Hand((applied + moving * self._step).astype(np.float32), typed.count(SWITCH) % 2 == 1)

    @property
    def problem(self) -> str:
        if self._stopped:
            return f"stop: {STOP} was pressed"
        return "the keyboard's terminal is gone" if self._keys.ended else ""

    def close(self) -> None:
        self._keys.close()
