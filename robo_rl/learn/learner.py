"""What every learner is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

Metrics = dict[str, Any]
"""Scalars by name: floats, or tensors of one element that are turned into floats when they are logged."""

BatchT = TypeVar("BatchT")


class Learner(ABC, Generic[BatchT]):
    """One gradient step at a time; everything it needs to go on is in `state`."""

    @abstractmethod
    def update(self, batch: BatchT) -> Metrics:
        """One update from a batch; returns scalars to log."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Weights, optimiser moments and random state, as tensors."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
