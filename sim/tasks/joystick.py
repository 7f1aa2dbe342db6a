"""go2/joystick: follow velocity commands on a level floor.

A command is drawn when the episode begins and every 2.5 s after: forward -0.5 to 1.0 m/s, to the left +-0.3 m/s, turn
+-1.0 rad/s, each uniform; one command in five is to stand. It follows from the episode's seed and the tick alone. From
1 s after a draw until the next one, a tick counts; it is tracked when the trunk's velocity, low-pass filtered with
0.25 s, is within 0.2 m/s and 0.3 rad/s of the command. Success: after 10 s the robot has not fallen, and at least 80 %
of the ticks that count were tracked.

How episodes begin and end, and the reward: `sim/tasks/legged.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robo_rl import random
from sim.tasks.legged import LeggedConfig, LeggedTask
from sim.world import World


@dataclass(frozen=True)
class JoystickConfig(LeggedConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    low: tuple[float, float, float] = (-0.5, -0.3, -1.0)  # forward, left [m/s], turn [rad/s]
    high: tuple[float, float, float] = (1.0, 0.3, 1.0)
    stand: float = 0.2  # share of commands to stand
    period: float = 2.5  # of a command [s]
    grace: float = 1.0  # after a draw in which nothing counts [s]
    near: tuple[float, float] = (0.2, 0.3)  # that counts as tracked [m/s] [rad/s]
    share: float = 0.8  # of the ticks that must be tracked

    name: ClassVar[str] = "go2/joystick"


class Joystick(LeggedTask):
    """The task on a world that holds the robot (see the module's docstring)."""

    weights: Mapping[str, float] = {"velocity": 0.01, "turn": 0.005, "upright": 0.005}

    def __init__(self, world: World, config: JoystickConfig = JoystickConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        self._period, self._grace = (round(seconds / world.dt) for seconds in (config.period, config.grace))
        self._low, self._width = np.array(config.low), np.array(config.high) - config.low
        self._counted, self._tracked = np.zeros(world.n, np.int64), np.zeros(world.n, np.int64)
        self._commands = np.zeros((world.n, 3))
        self._drawn = np.full(world.n, -1), np.full(world.n, -1)  # seed and number of the command

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self._counted[where] = self._tracked[where] = 0
        return super().begin(where, seeds)

    def command(self) -> np.ndarray:
        seed, number = self.world.seed, self.world.tick // self._period
        if (seed != self._drawn[0]).any() or (number != self._drawn[1]).any():
            draw = random.uniform(seed, 1 + number, self._stream, 4)
            moving = draw[:, 3:] >= self.config.stand
            self._commands, self._drawn = moving * (self._low + self._width * draw[:, :3]), (seed.copy(), number)
        return self._commands

    def watch(self) -> None:
        counts = self.world.tick % self._period >= self._grace
        away = self.velocity - self.command()
        speed, turn = self.config.near
        tracked = (np.hypot(away[:, 0], away[:, 1]) < speed) & (np.abs(away[:, 2]) < turn)
        self._counted += counts
        self._tracked += counts & tracked

    def solved(self) -> np.ndarray:
        return self._tracked >= self.config.share * np.maximum(self._counted, 1)

    def terms(self) -> dict[str, np.ndarray]:
        """How near the filtered velocity is to the command; how upright the trunk is."""
        away = self.velocity - self.command()
        speed, turn = self.config.near
        return {
            "velocity": np.exp(-(away[:, 0] ** 2 + away[:, 1] ** 2) / (2 * speed**2)),
            "turn": np.exp(-(away[:, 2] ** 2) / (2 * turn**2)),
            "upright": np.clip(self.trunk.upright, 0.0, 1.0),
        }
