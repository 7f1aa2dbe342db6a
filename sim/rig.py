"""A simulated rig: robots, sensors and the world that moves them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robo_rl.clock import Deadline
from robo_rl.robot import Sensor
from robo_rl.robots_rig import RobotsRig
from robo_rl.spec import Spec
from robo_rl.types import Reason
from sim.randomisation import Randomiser
from sim.robot import SimRobot
from sim.world import World

# An enum's member takes NumPy several times as long as a plain number.
_FAULT, _DIVERGED = int(Reason.FAULT), int(Reason.DIVERGED)


class SimRig(RobotsRig):
    """Robots and sensors in N simulations.

    Args:
        world: owner of the physics.
        robots: simulated robots; their actions (N, A) lie side by side in this order.
        sensors: what the physical rig has, too.
        privileged: sensors under the privileged prefix, outside `obs_spec`.
        realtime: pace `tick` to the wall clock, as on hardware.
        randomiser: draws every episode's physics, and shows it under the privileged prefix.
    """

    def __init__(
        self,
        world: World,
        robots: Sequence[SimRobot],
        sensors: Sequence[Sensor] = (),
        privileged: Sequence[Sensor] = (),
        realtime: bool = False,
        randomiser: Randomiser | None = None,
    ) -> None:
        self.world, self.robots, self.sensors = world, tuple(robots), tuple(sensors)
        self.dt, self.n = world.dt, world.n
        super().__init__(self.robots, self.sensors)
        self._randomiser = randomiser
        self.privileged_sensors = (*privileged, *(() if randomiser is None else (randomiser,)))
        self._servos = [robot.servos for robot in self.robots if robot.servos is not None]
        self._guards = tuple(robot.guard for robot in robots if robot.guard is not None)
        self.deadline = Deadline(self.dt) if realtime else None

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Reset the rows' worlds; every robot is at its home pose at once."""
        self.world.reset(where, seeds)
        if self._randomiser is not None:
            self._randomiser.redraw(where, seeds)
        for robot in self.robots:
            robot.home(where)
        return self._homed(where)

    def tick(self, live: np.ndarray) -> None:
        if self._servos:
            self._substeps(live)
        else:
            self.world.step(live)
        if self.deadline is not None:
            self.deadline.wait()

    def _substeps(self, live: np.ndarray) -> None:
        """One tick in which servo models act at every substep."""
        for substep in range(self.world.substeps):
            for robot in self.robots:
                robot.drive(substep)
            self.world.advance(live, 1)
        self.world.count(live)

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        obs, stamp = self._joined([robot.read() for robot in self.robots])
        for sensor in (*self.sensors, *self.privileged_sensors):
            values, times = sensor.read()
            obs.update(values)
            stamp.update(times)
        for guard in self._guards:
            guard.sense(obs, stamp)
        return obs, stamp

    @property
    def condition(self) -> np.ndarray:
        condition = np.zeros(self.n, np.uint8)  # Reason.RUNNING
        if (faults := self._faults()).any():
            condition[faults] = _FAULT
        if self.world.diverged.any():
            condition[self.world.diverged] = _DIVERGED
        return condition

    @property
    def messages(self) -> list[str]:
        texts = ["the simulation diverged" if row else "" for row in self.world.diverged]
        for guard in self._guards:
            texts = [text or reason for text, reason in zip(texts, guard.reasons, strict=True)]
        return texts

    def _faults(self) -> np.ndarray:
        faults = np.zeros(self.n, bool)
        for guard in self._guards:
            faults |= guard.faults
        return faults

    @property
    def randomised(self) -> bool:
        """Whether every episode draws its own physics."""
        return self._randomiser is not None

    def model_servos(self) -> None:
        """Give robots without a servo model an ideal one, so that its numbers can be set."""
        for robot in self.robots:
            robot.model_servos()
        self._servos = [robot.servos for robot in self.robots if robot.servos is not None]

    def privileged(self) -> Spec:
        spec = Spec({})
        for sensor in self.privileged_sensors:
            spec = spec | sensor.obs_spec
        return spec

    def save_state(self, rows: np.ndarray) -> np.ndarray:
        """The world's state, then that of servo models and the randomised numbers, where there are any."""
        parts = [self.world.save_state(rows), *(servos.save_state(rows) for servos in self._servos)]
        if self._randomiser is not None:
            parts.append(self._randomiser.values[rows])
        return np.concatenate(parts, axis=1)

    def load_state(self, rows: np.ndarray, state: np.ndarray) -> None:
        sizes = [self.world.save_state(rows).shape[1], *(servos.save_state(rows).shape[1] for servos in self._servos)]
        world, *servo_states, rest = np.split(state, np.cumsum(sizes), axis=1)
        self.world.load_state(rows, world)
        for servos, part in zip(self._servos, servo_states, strict=True):
            servos.load_state(rows, part)
        if self._randomiser is not None:
            order = np.argsort(rows)
            where = np.isin(np.arange(self.n), rows)
            self._randomiser.give(where, rest[order])

    def close(self) -> None:
        for robot in self.robots:
            robot.close()
