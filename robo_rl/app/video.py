"""Videos of a run: states are kept while it runs and rendered afterwards, so that filming does not slow a tick."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.types import NO_SEED, Action, Step

LONGEST = 120.0  # [s]
WIDEST = 480  # [px], of a video in a page
SEEN_RATE = 30.0  # frames/s at most of what cameras saw, in a page


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
    try:
        write((camera.states(state[None])[0] for state in states), dt, path)
    finally:
        camera.close()


def write(pictures: Iterable[np.ndarray], dt: float, path: Path) -> None:
    """Pictures (H, W, 3) of a period dt [s] as an MP4; it appears when it is whole."""
    writer, partial = None, path.with_name(f".{path.name}")
    try:
        for picture in pictures:
            if writer is None:
                writer = _writer(partial, dt, picture.shape[1::-1])
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
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
    """A video as a data URI that browsers play, see `webm`; "" where it cannot be read."""
    capture = cv2.VideoCapture(str(path))
    try:
        return webm(_frames(capture), capture.get(cv2.CAP_PROP_FPS) or 30.0)
    finally:
        capture.release()


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while (read := capture.read())[0]:
        yield read[1]


def webm(frames: Iterable[np.ndarray], rate: float) -> str:
    """Frames (H, W, 3), blue green red, at a rate [1/s] as a data URI: VP8 in WebM, at most 480 pixels wide; "" where
    there is none."""
    with tempfile.TemporaryDirectory() as folder:
        target, writer = Path(folder) / "video.webm", None
        for picture in frames:
            scale = min(1.0, WIDEST / picture.shape[1])
            frame = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            if writer is None:
                writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"VP80"), rate, frame.shape[1::-1])
            writer.write(frame)
        if writer is None:
            return ""
        writer.release()
        return f"data:video/webm;base64,{base64.b64encode(target.read_bytes()).decode()}"


def seen(episode: Episode, dt: float) -> str:
    """What an episode's cameras saw, side by side, as a data URI; "" where it has no pictures. dt is its period [s]."""
    cameras = [value for value in episode.obs.values() if value.dtype == np.uint8 and value.shape[3:] == (3,)]
    every = max(1, round(1 / (SEEN_RATE * dt)))
    ticks = range(0, len(episode) if cameras else 0, every)
    return webm((beside([camera[tick] for camera in cameras]) for tick in ticks), 1 / (dt * every))


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """RGB pictures (H, W, 3) scaled to one height and put side by side, blue green red."""
    height = max(picture.shape[0] for picture in pictures)
    scaled = [cv2.resize(one, (round(one.shape[1] * height / one.shape[0]), height)) for one in pictures]
    return cv2.cvtColor(np.concatenate(scaled, axis=1), cv2.COLOR_RGB2BGR)
