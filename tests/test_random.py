"""Counter-based random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from robo_rl import random

SEEDS = np.arange(20_000)


def test_uniform_is_uniform() -> None:
    draw = random.uniform(SEEDS, 0, random.stream("a"), 5)
    assert draw.min() >= 0 and draw.max() < 1
    assert stats.kstest(draw.ravel(), "uniform").pvalue > 1e-3


def test_normal_is_normal() -> None:
    draw = random.normal(SEEDS, 3, random.stream("a"), 5)
    assert draw.shape == (20_000, 5) and np.isfinite(draw).all()
    assert stats.kstest(draw.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(draw.T) - np.eye(5)).max() < 0.03


@pytest.mark.parametrize("vary", ["seed", "tick", "stream", "element"])
def test_neighbours_are_independent(vary: str) -> None:
    seeds, ticks = SEEDS, np.zeros(len(SEEDS), np.int64)
    a = random.normal(seeds, ticks, 1, 2)
    other = {
        "seed": lambda: random.normal(seeds + 1, ticks, 1, 2),
        "tick": lambda: random.normal(seeds, ticks + 1, 1, 2),
        "stream": lambda: random.normal(seeds, ticks, 2, 2),
        "element": lambda: a[:, ::-1],
    }[vary]()
    assert abs(np.corrcoef(a[:, 0], other[:, 0])[0, 1]) < 0.03


def test_consecutive_ticks_of_one_seed_are_uniform() -> None:
    draw = random.uniform(np.full(20_000, 7), np.arange(20_000), 1, 1)[:, 0]
    assert stats.kstest(draw, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draw[1:], draw[:-1])[0, 1]) < 0.03


def test_a_row_is_a_function_of_its_own_seed_and_tick() -> None:
    seeds, ticks = np.array([3, 10**12, 5]), np.array([0, 4, 9])
    together = random.normal(seeds, ticks, 1, 3)
    for row in range(3):
        assert np.array_equal(random.normal(seeds[row : row + 1], ticks[row : row + 1], 1, 3)[0], together[row])


def test_numbers_never_change() -> None:
    """Logs and audits of years to come depend on these."""
    assert random.bits(np.array([1]), 2, 3, 1).tolist() == [[12451297828766480691]]


def test_mixed_seeds_are_valid_seeds() -> None:
    mixed = random.mix(SEEDS, 5)
    assert mixed.dtype == np.int64 and (mixed >= 0).all() and len(np.unique(mixed)) == len(SEEDS)
