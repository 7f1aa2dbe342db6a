"""The physical rig: devices and sensors paced by a monotonic deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hardware.device import GuardedRobot
from robo_rl.clock import Deadline
from robo_rl.joined import joined_feature, joined_readings, joined_spec
from robo_rl.robot import Rig, Sensor, Stamp
from robo_rl.types import Reason


class DeviceRig(Rig):
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
        self.obs_spec = joined_spec([robot.obs_spec for robot in robots])
        for sensor in self.sensors:
            self.obs_spec = self.obs_spec | sensor.obs_spec
        self.act_spec = joined_feature([robot.act_spec for robot in robots])
        self._columns = np.cumsum([robot.act_spec.size for robot in robots])[:-1]
        self._sensor_max_age, self._now = sensor_max_age, now
        self._connected = self._closed = False

    def connect(self) -> None:
        """Open every device. `home` does so where nobody has."""
        if not self._connected:
            for robot in self.robots:
                robot.connect()
            self._connected = True

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self.connect()
        return np.logical_and.reduce([robot.home(where) for robot in self.robots])

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        live = live & (self.condition == Reason.RUNNING)
        parts = np.split(action, self._columns, axis=1)
        return np.concatenate([robot.write(part, live) for robot, part in zip(self.robots, parts, strict=True)], axis=1)

    def tick(self, live: np.ndarray) -> None:
        self.deadline.wait()
        if live.any():
            for robot in self.robots:
                robot.guard.missed(self.deadline.misses_in_a_row)

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        readings = [robot.read() for robot in self.robots]
        for robot, (_, times) in zip(self.robots, readings, strict=True):
            robot.guard.stale(self._age(times), what="joint state")
        obs, stamps = joined_readings(readings)
        for sensor in self.sensors:
            values, times = sensor.read()
            what = ", ".join(times)
            for robot in self.robots:
                robot.guard.stale(self._age(times), self._sensor_max_age, what)
            obs.update(values)
            stamps.update(times)
        return obs, stamps

    @property
    def condition(self) -> np.ndarray:
        fault = any(robot.guard.faults.any() for robot in self.robots)
        return np.array([Reason.FAULT if fault else Reason.RUNNING], np.uint8)

    @property
    def messages(self) -> Sequence[str]:
        faulty = [(robot.description, robot.guard) for robot in self.robots if robot.guard.faults.any()]
        return ["; ".join(f"{who.prefix}{who.name}: {guard.reasons[0]}" for who, guard in faulty)]

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
            for robot in self.robots:
                robot.close()
            self._closed = True

    def _age(self, times: Stamp) -> np.ndarray:
        """Age of the oldest key [s], (1,)."""
        return self._now() - np.min(list(times.values()), axis=0)
