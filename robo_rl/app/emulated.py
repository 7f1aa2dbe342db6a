"""A simulated world under an emulated bus: the one place where simulation and hardware meet.

The bus's thread moves the world in real time; sensors and the task look at it and arrange it from the control loop's
thread. All of them do so under the bus's lock. Where the bus is a process of its own, the world is a copy (`mirror`).
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from hardware.device import GuardedRobot
from hardware.rig import DeviceRig
from robo_rl.app.world_plant import WorldPlant
from robo_rl.robot import Sensor, Stamp
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Obs
from sim.rig import SimRig
from sim.world import World


class EmulatedBus(Protocol):
    """What a rig needs of the emulated device that moves its world."""

    lock: AbstractContextManager

    def close(self) -> None: ...


class SharedSensor(Sensor):
    """A simulated sensor read from another thread; its stamps become those of the monotonic clock."""

    def __init__(self, sensor: Sensor, world: World, lock: AbstractContextManager) -> None:
        self.obs_spec = sensor.obs_spec
        self._sensor, self._world, self._lock = sensor, world, lock

    def read(self) -> tuple[Obs, Stamp]:
        with self._lock:
            obs, stamps = self._sensor.read()
            now = self._world.tick * self._world.dt
        return obs, {key: time.monotonic() - (now - stamp) for key, stamp in stamps.items()}


class SharedTask(Task):
    """A task that works on a simulated world in another thread."""

    def __init__(self, task: Task, lock: AbstractContextManager) -> None:
        self.name, self.obs_spec, self.limit = task.name, task.obs_spec, task.limit
        self._task, self._lock = task, lock

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        with self._lock:
            return self._task.begin(where, seeds)

    def observe(self) -> dict[str, np.ndarray]:
        with self._lock:
            return self._task.observe()

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        with self._lock:
            return self._task.judge(obs, applied)


class EmulatedRig(DeviceRig):
    """A device on an emulated bus whose servos move a simulated world; that world's sensors see it.

    Attributes:
        world: the world; its owner is who holds the bus's lock.
        bus: the emulated bus.
    """

    def __init__(self, device: GuardedRobot, simulated: SimRig, plant: WorldPlant, bus: EmulatedBus) -> None:
        self.world, self.bus, self._plant = simulated.world, bus, plant
        super().__init__([device], [SharedSensor(sensor, self.world, bus.lock) for sensor in simulated.sensors])
        self._truth = [SharedSensor(sensor, self.world, bus.lock) for sensor in simulated.privileged_sensors]
        self._hidden = simulated.privileged()

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        arrived = super().home(where, seeds)
        if arrived.any():
            with self.bus.lock:
                self._plant.renew(seeds)
        return arrived

    def tick(self, live: np.ndarray) -> None:
        super().tick(live)
        with self.bus.lock:
            self.world.count(live)

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        obs, stamps = super().read()
        for sensor in self._truth:
            values, times = sensor.read()
            obs.update(values)
            stamps.update(times)
        return obs, stamps

    def privileged(self) -> Spec:
        return self._hidden

    def save_state(self, rows: np.ndarray) -> np.ndarray:
        with self.bus.lock:
            return self.world.save_state(rows)

    def close(self) -> None:
        super().close()
        self.bus.close()
