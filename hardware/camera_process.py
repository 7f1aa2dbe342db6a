"""A camera's own process: it waits for pictures, so that nobody else has to.

It opens the camera again when it is lost, brings pictures to the size that policies see, and looks for tracked objects
in them at their full size.
"""

from __future__ import annotations

import pickle
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from hardware.camera_sources import Source, SourceLost
from hardware.frames import TEXT, Frames, frame_record
from robo_rl.cameras import Camera
from robo_rl.child import left_alone, shared
from robo_rl.errors import UserError
from robo_rl.spec import Spec
from robo_rl.tracking import IDENTITY

if TYPE_CHECKING:
    from hardware.aruco import MarkerTracker  # its imports take long, and most cameras track nothing


@dataclass(frozen=True)
class CameraJob:
    """What one camera's process does.

    Args:
        source: where its pictures come from.
        camera: what a policy sees of them; None: nothing.
        tracker: looks for objects in them.
        retry: [s] between two tries to open a lost source.
    """

    source: Source
    camera: Camera | None = None
    tracker: MarkerTracker | None = None
    retry: float = 0.5

    @property
    def spec(self) -> Spec:
        seen = Spec({}) if self.camera is None else self.camera.spec
        return seen if self.tracker is None else seen | self.tracker.obs_spec

    @property
    def record(self) -> np.dtype:
        size = None if self.camera is None else (self.camera.height, self.camera.width)
        return frame_record(size, () if self.tracker is None else self.tracker.names)


class CameraWorker:
    """Runs a job until the process that started this one is gone."""

    def __init__(self, job: CameraJob, frames: Frames, parent: int) -> None:
        self._job, self._frames, self._parent = job, frames, parent
        self._open, self._number, self._lost = False, 0, False
        self._poses: dict[str, Any] = {}
        for name in () if job.tracker is None else job.tracker.names:
            self._poses |= {f"pose/{name}": IDENTITY, f"seen/{name}": 0.0}

    def run(self) -> None:
        wait = 0.0
        while not left_alone(self._parent, wait):
            try:
                self._next()
                wait = 0.0
            except (SourceLost, UserError) as error:
                self._trouble(str(error))
                wait = self._job.retry
        self._job.source.close()

    def _next(self) -> None:
        source = self._job.source
        if not self._open:
            source.open()
            self._open = True
        picture, stamp = source.read()
        self._number += 1
        fields: dict[str, Any] = {"number": self._number, "stamp": stamp}
        if self._job.camera is not None:
            fields["picture"] = cv2.cvtColor(self._job.camera.resize(picture), cv2.COLOR_BGR2RGB)
        if self._job.tracker is not None:
            for name, pose in self._job.tracker.look(picture).items():
                self._poses |= {f"pose/{name}": pose, f"seen/{name}": stamp}
        self._frames.write(**fields, **self._poses)
        if self._lost:
            self._frames.status.write(problem=b"")
            self._lost = False

    def _trouble(self, text: str) -> None:
        """Say what is wrong, and begin anew."""
        status = self._frames.status.read() or {"reopened": 0}
        self._job.source.close()
        self._open, self._lost = False, True
        self._frames.status.write(problem=text.encode()[:TEXT], reopened=int(status["reopened"]) + 1)


def main(number: int, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the policy's process says when it is over
    job = pickle.load(sys.stdin.buffer)  # from the process that started this one, as multiprocessing does
    cv2.setNumThreads(1)
    CameraWorker(job, Frames(shared(number, Frames.size(job.record)), job.record), parent).run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
