"""Success rates with intervals, alone and compared."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np


def wilson(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a success rate (E. B. Wilson, JASA 22, 1927); (0, 1) without episodes."""
    if episodes == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, spread = successes / episodes, z * z / episodes
    centre = (rate + spread / 2) / (1 + spread)
    half = sqrt(spread * rate * (1 - rate) + spread * spread / 4) / (1 + spread)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == episodes else centre + half
    return low, high


@dataclass(frozen=True)
class Difference:
    """A mean difference with its confidence interval."""

    mean: float
    ci_low: float
    ci_high: float

    def to_json(self) -> dict[str, float]:
        return {"mean": self.mean, "ci_low": self.ci_low, "ci_high": self.ci_high}


def paired_difference(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Difference:
    """Success rate of `second` minus that of `first`, on the same episodes.

    The interval is Newcombe's square-and-add score interval for paired proportions (R. G. Newcombe, Statistics in
    Medicine 17, 1998, 2635-2650, method 10): Wilson's limits of both rates, joined with their correlation phi.

    Args:
        first, second: (E,) bool, success of the two policies, episode by episode.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired_difference: shapes {first.shape} and {second.shape}; episodes must pair up")
    episodes = len(first)
    if episodes == 0:
        return Difference(0.0, -1.0, 1.0)
    one, two = first.mean(), second.mean()
    low_one, high_one = wilson(int(first.sum()), episodes, confidence)
    low_two, high_two = wilson(int(second.sum()), episodes, confidence)
    phi = _correlation(first, second)
    below = _join(two - low_two, high_one - one, phi)
    above = _join(high_two - two, one - low_one, phi)
    mean = float(two - one)
    return Difference(mean, max(-1.0, mean - below), min(1.0, mean + above))


def _join(a: float, b: float, phi: float) -> float:
    return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Newcombe's phi: with a continuity correction when positive, 0 where a margin is empty."""
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_one, only_two = int((first & ~second).sum()), int((~first & second).sum())
    margins = (both + only_one) * (only_two + neither) * (both + only_two) * (only_one + neither)
    if margins == 0:
        return 0.0
    excess = both * neither - only_one * only_two
    if excess > 0:
        excess = max(excess - len(first) / 2, 0)
    return excess / sqrt(margins)


def paired_by_seed(first: list[dict], second: list[dict], confidence: float = 0.95) -> Difference:
    """`paired_difference` of the result rows (`seed`, `success`) of two evaluations, over the seeds both have."""
    one = {row["seed"]: bool(row["success"]) for row in first}
    two = {row["seed"]: bool(row["success"]) for row in second}
    seeds = sorted(one.keys() & two.keys())
    return paired_difference(
        np.array([one[seed] for seed in seeds], bool), np.array([two[seed] for seed in seeds], bool), confidence
    )
