"""Cameras and trackers as sensors: the latest picture of a process that waits for it, with the time it was taken."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from hardware.camera_process import CameraJob
from hardware.frames import Frames
from robo_rl.child import Child
from robo_rl.errors import UserError
from robo_rl.robot import Sensor, Stamp
from robo_rl.tracking import pose_key
from robo_rl.types import Obs

LOOK = 0.01  # [s] between two looks at whether the first picture is there
END = 1.0  # [s] that the process may take to end; a device that hangs is left to the kernel


class CameraSensor(Sensor):
    """One camera in a process of its own. Reading it takes what lies there and never waits.

    An object that was not seen yet is at the origin, stamped with the time of `connect`.

    Args:
        name: of the camera, for messages.
        job: what its process does.
        patience: [s] that the first picture may take.
        max_age: [s] that a picture or a pose may be old; None: what the rig says.
    """

    def __init__(self, name: str, job: CameraJob, patience: float = 30.0, max_age: float | None = None) -> None:
        self.name, self.job, self.obs_spec, self.max_age = name, job, job.spec, max_age
        self._patience = patience
        self._child: Child | None = None
        self._latest: Mapping[str, Any] = {}
        self._since = 0.0

    def connect(self) -> None:
        if self._child is not None:
            return
        self._child = Child("hardware.camera_process", Frames.size(self.job.record))
        self._frames = Frames(self._child.memory, self.job.record)
        self._child.tell(pickle.dumps(self.job))
        self._since = time.monotonic()
        while not self._latest:
            late = time.monotonic() - self._since > self._patience
            problem = self.problem or (f"no picture within {self._patience:.0f} s" if late else "")
            if problem:
                self.close()
                raise UserError(f"camera {self.name}: {problem}")
            time.sleep(LOOK)
            self._latest = self._frames.read() or {}

    def read(self) -> tuple[Obs, Stamp]:
        if self._child is None:
            raise RuntimeError(f"camera {self.name} is not connected")
        self._latest = latest = self._frames.read() or self._latest
        obs, stamps = {}, {}
        if (camera := self.job.camera) is not None:
            obs[camera.key], stamps[camera.key] = latest["picture"][None].copy(), np.array([latest["stamp"]])
        for name in () if self.job.tracker is None else self.job.tracker.names:
            seen = float(latest[f"seen/{name}"]) or self._since
            obs[pose_key(name)], stamps[pose_key(name)] = latest[f"pose/{name}"][None].copy(), np.array([seen])
        return obs, stamps

    @property
    def problem(self) -> str:
        """Why no picture comes, "" where nothing is wrong with the camera."""
        if self._child is not None and not self._child.running:
            return f"its process {self._child.ended or 'ended'}"
        status = None if self._child is None else self._frames.status.read()
        return "" if status is None else status["problem"].decode(errors="replace")

    @property
    def reopened(self) -> int:
        """How often it was lost."""
        status = None if self._child is None else self._frames.status.read()
        return 0 if status is None else int(status["reopened"])

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._child is not None
        return self._child.pid

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            if not self._child.wait(END):
                self._child.kill()
            self._child = None
            self._latest = {}
