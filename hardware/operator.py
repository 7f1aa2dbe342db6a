"""A task on a physical robot: a person prepares every episode, and says how it went."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hardware.keys import Keys
from robo_rl.errors import UserError
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Obs, Reason, Success

READY, YES, NO = "enter", "y", "n"


class OperatorTask(Task):
    """Begins when Enter is pressed; ends with y (it did the job) or n (it did not). An episode that nobody ends is a
    failure when its time is over.

    Args:
        name: of the task.
        limit: longest episode [s].
        keys: of the person's terminal.
        tell: shows a line to that person.

    Raises:
        UserError: from `begin`, when the terminal is gone.
    """

    obs_spec = Spec({})

    def __init__(self, name: str, limit: float, keys: Keys, tell: Callable[[str], None] = print) -> None:
        self.name, self.limit = name, limit
        self._keys, self._tell = keys, tell
        self._asked = False

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        if not self._asked:
            self._keys.forget((READY, YES, NO))
            self._tell(f"{self.name}: prepare the next episode, then press Enter; during it, {YES}: done, {NO}: failed")
            self._asked = True
        if self._keys.ended:
            raise UserError(f"task={self.name}: nobody can say when an episode begins; run it in a terminal")
        ready = READY in self._keys.take((READY,))
        self._asked = not ready
        return where & ready

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        said = () if self._asked else self._keys.take((YES, NO))
        success, ended = YES in said[:1], bool(said)
        reason = Reason.SUCCESS if success else Reason.FAILURE if ended else Reason.RUNNING
        return Verdict(
            np.array([success], np.float32),
            np.array([ended]),
            np.array([Success.YES if success else Success.NO], np.int8),
            np.array([reason], np.uint8),
        )
