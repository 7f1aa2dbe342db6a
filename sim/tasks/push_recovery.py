"""go2/push_recovery: stay up when pushed.

Three times in an episode a horizontal force pushes the trunk at its centre of mass for 0.2 s: 100 to 125 N (20 to
25 N.s on 15 kg) from any direction, beginning 1 to 3, 4 to 6 and 7 to 9 s after the episode does, each uniform. The
command is to stand, all the time. Success: after 10 s the robot has not fallen, its trunk is 0.2 m above the floor or
more, tilts by 0.3 rad at most, and moves by 0.3 m/s at most (low-pass filtered with 0.25 s).

The pushes were 50 to 90 N at first. A robot that held its home pose withstood those; the range was raised before any
policy was trained, among ranges at which the scripted expert's success had been seen (98 % here, 81 % at 140 N before
its gain was raised).

Observations and commands are those of go2/joystick, so that one policy can do both. How episodes begin and end, and the
reward: `sim/tasks/legged.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robo_rl import random
from sim.models.go2 import TRUNK
from sim.tasks.legged import LeggedConfig, LeggedTask
from sim.world import World


@dataclass(frozen=True)
class PushRecoveryConfig(LeggedConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    pushes: tuple[tuple[float, float], ...] = ((1.0, 3.0), (4.0, 6.0), (7.0, 9.0))  # when each begins [s]
    force: tuple[float, float] = (100.0, 125.0)  # [N]
    duration: float = 0.2  # of a push [s]
    height: float = 0.2  # of the trunk at the end, at least [m]
    level: float = 0.3  # tilt of the trunk at the end, at most [rad]
    speed: float = 0.3  # of the trunk at the end, at most [m/s]

    name: ClassVar[str] = "go2/push_recovery"


class PushRecovery(LeggedTask):
    """The task on a world that holds the robot (see the module's docstring)."""

    weights: Mapping[str, float] = {"still": 0.01, "upright": 0.01}

    def __init__(self, world: World, config: PushRecoveryConfig = PushRecoveryConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        count = len(config.pushes)
        self._start = np.zeros((world.n, count), np.int64)  # [ticks]
        self._force = np.zeros((world.n, count, 2))  # [N]
        self._duration = round(config.duration / world.dt)
        self._applied = world.batch.bind("xfrc_applied")[:, world.model.body(TRUNK).id, :2]
        self._still = np.zeros((world.n, 3))

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Draw the pushes, too."""
        c, count = self.config, len(self.config.pushes)
        draw = random.uniform(seeds[where], 1, self._stream, 3 * count).reshape(-1, 3, count)
        early, late = np.array(c.pushes).T
        self._start[where] = np.round((early + draw[:, 0] * (late - early)) / self.world.dt)
        size, angle = c.force[0] + draw[:, 1] * (c.force[1] - c.force[0]), 2 * np.pi * draw[:, 2]
        self._force[where] = size[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return super().begin(where, seeds)

    def command(self) -> np.ndarray:
        return self._still

    def watch(self) -> None:
        """Push in the tick to come."""
        since = self.world.tick[:, None] - self._start
        pushed = (since >= 0) & (since < self._duration)
        self._applied[:] = np.where(pushed[..., None], self._force, 0.0).sum(axis=1)

    def solved(self) -> np.ndarray:
        c, trunk = self.config, self.trunk
        steady = np.hypot(self.velocity[:, 0], self.velocity[:, 1]) <= c.speed
        return steady & (trunk.height >= c.height) & (trunk.upright >= np.cos(c.level))

    def terms(self) -> dict[str, np.ndarray]:
        """How still the trunk is (filtered); how upright."""
        square = self.velocity[:, 0] ** 2 + self.velocity[:, 1] ** 2
        still = np.exp(-square / (2 * self.config.speed**2))
        return {"still": still, "upright": np.clip(self.trunk.upright, 0.0, 1.0)}
