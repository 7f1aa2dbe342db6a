"""Videos of a run: states are kept while it runs and rendered afterwards, so that filming does not slow a tick."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.types import NO_SEED, Action, Step

LONGEST = 120.0  # [s]
WIDEST = 480  # [px], of a video in a page


class Film:
    """Observer that keeps the simulation state of row 0."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.states: list[np.ndarray] = []

    def __call__(self, step: Step, action: Action) -> None:
        if step.seed[0] != NO_SEED and len(self.states) * self.env.dt < LONGEST and isinstance(self.env, RigEnv):
            state = self.env.rig.save_state(np.zeros(1, int))
            if state is not None:
                self.states.append(state[0].copy())

    def write(self, camera: Any, path: Path) -> None:
        """Render with `camera`, see `render`."""
        if not self.states:
            raise UserError("video=true: nothing to film: the world is real, or nothing ran")
        render(self.states, camera, self.env.dt, path)


def render(states: Iterable[np.ndarray], camera: Any, dt: float, path: Path) -> None:
    """Simulation states (S,) of a period dt [s], seen by `camera` (`states((K, S)) -> (K, H, W, 3)`, `close()`), as an
    MP4; it appears when it is whole."""
    writer, partial = None, path.with_name(f".{path.name}")
    try:
        for state in states:
            picture = camera.states(state[None])[0]
            if writer is None:
                writer = _writer(partial, dt, picture.shape[1::-1])
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
        camera.close()
        if writer is not None:
            writer.release()
    if writer is not None:
        partial.rename(path)


def _writer(path: Path, dt: float, size: tuple[int, ...]) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 1 / dt, size)
    if not writer.isOpened():
        raise UserError("video=true: OpenCV has no MP4 encoder here; install opencv-python from PyPI")
    return writer


def data_uri(path: Path) -> str:
    """A video as a data URI that browsers play: VP8 in WebM, at most 480 pixels wide; "" where it cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "video.webm"
        if not _convert(path, target):
            return ""
        return f"data:video/webm;base64,{base64.b64encode(target.read_bytes()).decode()}"


def _convert(source: Path, target: Path) -> bool:
    """Whether there was a frame to convert."""
    capture, writer = cv2.VideoCapture(str(source)), None
    try:
        while (read := capture.read())[0]:
            scale = min(1.0, WIDEST / read[1].shape[1])
            frame = cv2.resize(read[1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            if writer is None:
                rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
                writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"VP80"), rate, frame.shape[1::-1])
            writer.write(frame)
        return writer is not None and writer.isOpened()
    finally:
        capture.release()
        if writer is not None:
            writer.release()
