"""Videos of a run: states are kept while it runs and rendered afterwards, so that filming does not slow a tick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.types import NO_SEED, Action, Step

LONGEST = 120.0  # [s]


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
        """Render with `camera` (`states((K, S)) -> (K, H, W, 3)`, `close()`) into an MP4."""
        if not self.states:
            raise UserError("video=true: nothing to film: the world is real, or nothing ran")
        writer = None
        try:
            for state in self.states:
                picture = camera.states(state[None])[0]
                if writer is None:
                    size = picture.shape[1::-1]
                    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 1 / self.env.dt, size)
                    if not writer.isOpened():
                        raise UserError("video=true: OpenCV has no MP4 encoder here; install opencv-python from PyPI")
                writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        finally:
            camera.close()
            if writer is not None:
                writer.release()
