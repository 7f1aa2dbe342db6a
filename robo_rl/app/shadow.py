"""Shadow mode: the whole loop runs, commands are computed and logged, nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robo_rl.robot import Rig
from robo_rl.spec import Spec


class ShadowRig(Rig):
    """A rig whose robots are read and never commanded; it starts from wherever they are."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.obs_spec, self.act_spec, self.dt, self.n = rig.obs_spec, rig.act_spec, rig.dt, rig.n
        self.deadline = getattr(rig, "deadline", None)

    @property
    def drivers(self) -> Mapping[str, Any]:
        return getattr(self.rig, "drivers", {})

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self.rig.home(np.zeros_like(where), seeds)  # opens the devices, moves no row
        return where

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        return self.rig.write(action, np.zeros_like(live))

    def tick(self, live: np.ndarray) -> None:
        self.rig.tick(live)

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        return self.rig.read()

    @property
    def condition(self) -> np.ndarray:
        return self.rig.condition

    @property
    def messages(self) -> Sequence[str]:
        return self.rig.messages

    def privileged(self) -> Spec:
        return self.rig.privileged()

    def save_state(self, rows: np.ndarray) -> np.ndarray | None:
        return self.rig.save_state(rows)

    def close(self) -> None:
        self.rig.close()
