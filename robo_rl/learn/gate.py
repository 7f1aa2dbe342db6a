"""The critic gate: the actor does not move before the critic explains episodes it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class GateConfig:
    auc: float = 0.75  # of Q for success, on held-out transitions
    bias: float = 0.2  # |mean(Q - return)|
    agreement: float = 0.2  # mean cosine between the heads' dQ/da


@dataclass(frozen=True)
class GateReading:
    auc: float
    bias: float
    agreement: float

    def passes(self, config: GateConfig) -> bool:
        good = self.auc >= config.auc and abs(self.bias) <= config.bias
        return good and self.agreement >= config.agreement

    def __str__(self) -> str:
        return f"auc {self.auc:.2f}, bias {self.bias:+.3f}, head agreement {self.agreement:.2f}"


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """Area under the ROC curve of scores (B,) for labels (B,) bool; NaN with one class only (Mann-Whitney U)."""
    positive, negative = int(label.sum()), int((~label).sum())
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(score)[label].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def agreement(gradients: np.ndarray) -> float:
    """Mean pairwise cosine between the heads' action gradients, (K, B, A) -> scalar in [-1, 1]."""
    unit = gradients / (np.linalg.norm(gradients, axis=-1, keepdims=True) + 1e-12)
    heads = len(unit)
    total = np.square(unit.sum(0)).sum(-1) - np.square(unit).sum((0, 2))
    return float(total.mean() / (heads * (heads - 1)))
