"""Emulated devices for dry runs and tests: no simulator, no bus, the same contracts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hardware.device import Device
from hardware.guard import Guard
from robo_rl.robot import RobotDescription, Sensor, Stamp
from robo_rl.tracking import pose_key, tracker_spec
from robo_rl.types import Obs


class ServoArm(Device):
    """Joints that follow their setpoints like critically damped second-order servos:

        q'' = w^2 (setpoint - q) - 2 w q'

    integrated exactly for as long as `now` says has passed. Fault injection: `stuck = True` freezes what is read,
    with its old stamp; `broken = True` reads not-a-number. `received` holds what reached the motors, newest last.

    Args:
        description: the arm.
        guard: default a `Guard` of that description.
        bandwidth: w [rad/s].
        start: joint position at power-on (A,) [rad]; default the home pose.
        now: monotonic clock [s].
    """

    def __init__(
        self,
        description: RobotDescription,
        guard: Guard | None = None,
        bandwidth: float = 30.0,
        start: Sequence[float] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(description, guard)
        self.writes, self.received = 0, deque[np.ndarray](maxlen=10_000)
        self.stuck = self.broken = self.closed = False
        self._bandwidth, self._now = bandwidth, now
        self._position = np.array(description.array("home") if start is None else start, np.float64)
        self._velocity = np.zeros_like(self._position)
        self._setpoint = self._position.copy()
        self._time = now()
        self._last = (self._position, self._velocity, self._time)

    def connect(self) -> None:
        self._setpoint = self._position.copy()
        self._time = self._now()

    def stop(self) -> None:
        """Hold: the servos keep their last setpoint."""

    def close(self) -> None:
        self.stop()
        self.closed = True

    def _send(self, setpoint: np.ndarray) -> None:
        self._advance()
        self.writes += 1
        self.received.append(setpoint.copy())
        self._setpoint = setpoint.astype(np.float64)

    def _measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        if not self.stuck:
            self._advance()
            nan = np.full_like(self._position, np.nan)
            self._last = (nan if self.broken else self._position, self._velocity, self._time)
        return self._last

    def _advance(self) -> None:
        now = self._now()
        w, t = self._bandwidth, now - self._time
        error = self._position - self._setpoint
        slope, decay = self._velocity + w * error, np.exp(-w * t)
        self._position = self._setpoint + (error + slope * t) * decay
        self._velocity = (self._velocity - w * slope * t) * decay
        self._time = now


class EmulatedTracker(Sensor):
    """Reports poses that stay where they are put.

    Args:
        poses: object name -> (7,) x y z [m], quaternion w x y z with w >= 0.
        now: monotonic clock [s].
    """

    def __init__(self, poses: Mapping[str, Sequence[float]], now: Callable[[], float] = time.monotonic) -> None:
        self.obs_spec = tracker_spec(tuple(poses))
        self._now = now
        self._poses = {name: np.array([pose], np.float32) for name, pose in poses.items()}

    def place(self, name: str, pose: Sequence[float]) -> None:
        """Put an object somewhere else, (7,)."""
        self._poses[name] = np.array([pose], np.float32)

    def read(self) -> tuple[Obs, Stamp]:
        obs = {pose_key(name): pose.copy() for name, pose in self._poses.items()}
        return obs, dict.fromkeys(obs, np.array([self._now()]))
