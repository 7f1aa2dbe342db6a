"""What a training program is given: folders, environments, data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robo_rl.data.episode import Episode
from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.log.metrics import Metrics
from robo_rl.spec import Spec


@dataclass(frozen=True)
class Context:
    """One training run. `make_env(n)` builds the run's environment with n rows; `scenario` says where (task, robot)."""

    config: Mapping[str, Any]
    out: Path
    make_env: Callable[[int], Env]
    scenario: Mapping[str, Any]
    dataset: str | list[str]
    base: str
    seed: int
    device: str
    resume: bool
    log_fraction: float
    sink: Metrics
    interrupted: Callable[[], bool]  # whether Ctrl-C was pressed; asked between two ticks

    @property
    def task(self) -> str:
        return self.scenario["task"]


def require_successes(episodes: list[Episode], where: object) -> list[Episode]:
    """The successful episodes; a `UserError` when there is none."""
    good = [episode for episode in episodes if episode.succeeded]
    if not good:
        raise UserError(f"dataset={where}: none of its {len(episodes)} episodes succeeded; nothing to learn from")
    return good


def action_range(episodes: list[Episode]) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half range of the executed actions, (A,) each."""
    applied = np.concatenate([episode.applied[1:] for episode in episodes])
    low, high = applied.min(0), applied.max(0)
    return (low + high) / 2, (high - low) / 2


def packed_observations(episodes: list[Episode], spec: Spec, floor: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """All packed observations (F, D), and the least scale of each (D,): `floor` times the largest of its key."""
    packed = np.concatenate([spec.pack({key: episode.obs[key] for key in spec}) for episode in episodes])
    scale, offset = packed.std(0), 0
    for key in spec.vector_keys:
        part = slice(offset, offset := offset + spec[key].size)
        scale[part] = max(1e-6, floor * float(scale[part].max(initial=0.0)))
    return packed, scale


def stopwatch() -> Callable[[], float]:
    """Seconds since now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start
