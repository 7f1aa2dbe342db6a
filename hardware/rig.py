"""The physical rig: devices and sensors paced by a monotonic deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hardware.device import GuardedRobot
from robo_rl.clock import Deadline
from robo_rl.robot import Sensor, Stamp
from robo_rl.robots_rig import RobotsRig
from robo_rl.types import Reason


class DeviceRig(RobotsRig):
    """Devices and sensors as one rig of N = 1. A fault of one device holds them all.

    Args:
        robots: devices; their actions (1, A) lie side by side in this order.
        sensors: trackers, cameras.
        deadline: pacing; default one of the first robot's control period.
        sensor_max_age: oldest sensor data that may be acted on [s].
        now: the monotonic clock that stamps are taken on [s].
    """

    n = 1

    def __init__(
        self,
        robots: Sequence[GuardedRobot],
        sensors: Sequence[Sensor] = (),
        deadline: Deadline | None = None,
        sensor_max_age: float = 0.5,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.robots, self.sensors = tuple(robots), tuple(sensors)
        self.dt = robots[0].description.dt
        self.deadline = Deadline(self.dt) if deadline is None else deadline
        super().__init__(self.robots, self.sensors)
        self._sensor_max_age, self._now = sensor_max_age, now
        self._problems: list[Callable[[], str]] = []
        self._acting = False  # a policy's command was executed in the last tick
        self._connected = self._closed = False

    def connect(self) -> None:
        """Open every device, unless a fault of an earlier run is latched. `home` does so where nobody has."""
        if not self._connected:
            for robot in self.robots:
                if robot.latch is not None:
                    robot.latch.require_clear()
            for part in (*self.sensors, *self.robots):
                part.connect()
            self._connected = True

    def start_at(self, position: np.ndarray) -> None:
        """Before `connect`: `home` goes to `position` (J,) [rad], all robots' joints side by side."""
        for robot, part in zip(self.robots, np.split(position, self._ends), strict=True):
            robot.start_at(part)

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self.connect()
        return self._homed(np.logical_and.reduce([robot.home(where) for robot in self.robots]))

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        return super().write(action, live & (self.condition == Reason.RUNNING))

    def tick(self, live: np.ndarray) -> None:
        self.deadline.wait()
        self._acting = bool(live.any())
        if self._acting:
            for robot in self.robots:
                robot.guard.missed(self.deadline.misses_in_a_row)

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        readings = [robot.read() for robot in self.robots]
        for robot, (_, times) in zip(self.robots, readings, strict=True):
            robot.guard.stale(self._age(times), what="joint state")
        obs, stamps = self._joined(readings)
        for sensor in self.sensors:
            values, times = sensor.read()
            self._watch(sensor, times)
            obs.update(values)
            stamps.update(times)
        for text in filter(None, (problem() for problem in self._problems)):
            for robot in self.robots:
                robot.guard.fault(np.ones(1, bool), text)
        return obs, stamps

    @property
    def condition(self) -> np.ndarray:
        fault = any(robot.guard.faults.any() for robot in self.robots)
        return np.array([Reason.FAULT if fault else Reason.RUNNING], np.uint8)

    @property
    def messages(self) -> Sequence[str]:
        faulty = [(robot.description, robot.guard) for robot in self.robots if robot.guard.faults.any()]
        return ["; ".join(f"{who.prefix}{who.name}: {guard.reasons[0]}" for who, guard in faulty)]

    def watch(self, problem: Callable[[], str]) -> None:
        """From now on, what `problem` says ("" where nothing is wrong) is a fault."""
        self._problems.append(problem)

    def rest(self) -> None:
        for robot in self.robots:
            robot.rest()

    @property
    def drivers(self) -> dict[str, Mapping[str, Any]]:
        """How the robots' drivers did, by the names of the robots."""
        reports = {robot.description.prefix + robot.description.name: robot.report for robot in self.robots}
        return {name: report for name, report in reports.items() if report}

    def clear(self) -> None:
        """Forget latched faults. Only a person, or a command a person gave, calls this."""
        for robot in self.robots:
            robot.clear()

    def close(self) -> None:
        if not self._closed:
            for part in (*self.robots, *self.sensors):
                part.close()
            self._closed = True

    def _watch(self, sensor: Sensor, times: Stamp) -> None:
        """A sensor whose oldest key is too old is a fault, which says what the sensor knows of it. Between episodes it
        is none: a person's hands may be before the camera."""
        if not self._acting:
            return
        limit = self._sensor_max_age if sensor.max_age is None else sensor.max_age
        what = ", ".join(times) + (f" ({sensor.problem})" if sensor.problem else "")
        for robot in self.robots:
            robot.guard.stale(self._age(times), limit, what)

    def _age(self, times: Stamp) -> np.ndarray:
        """Age of the oldest key [s], (1,)."""
        return self._now() - np.min(list(times.values()), axis=0)
