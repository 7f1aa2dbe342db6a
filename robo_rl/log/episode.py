"""One episode as arrays: what a log is read into, what a dataset is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robo_rl.types import Kind, Success


@dataclass(frozen=True)
class Episode:
    """Ticks 0..T-1 of one row. At index t: the step (`obs`, and `reward`, `discount`, `applied`, `success`, `reason`
    that answer the action of t - 1) and the action given there (`action`, `extra`), which the step at t + 1 answers."""

    obs: Mapping[str, np.ndarray]  # key -> (T, *shape)
    action: np.ndarray  # (T, A) commanded
    extra: Mapping[str, np.ndarray]  # key -> (T, *shape), e.g. base_action
    applied: np.ndarray  # (T, A)
    reward: np.ndarray  # (T,)
    discount: np.ndarray  # (T,)
    kind: np.ndarray  # (T,)
    success: np.ndarray  # (T,)
    reason: np.ndarray  # (T,)
    seed: int
    row: int = 0
    stamp: Mapping[str, np.ndarray] = field(default_factory=dict)  # key -> (T,)
    time: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (T,) log time [s]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def complete(self) -> bool:
        """Whether it was recorded to its LAST step."""
        return len(self) > 0 and bool(self.kind[-1] == Kind.LAST)

    @property
    def succeeded(self) -> bool:
        return self.complete and bool(self.success[-1] == Success.YES)
