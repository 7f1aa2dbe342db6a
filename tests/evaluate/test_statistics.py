"""Intervals against SciPy, published examples, and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from robo_rl.evaluate.statistics import paired_by_seed, paired_difference, wilson


@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95, 0.99])
)
def test_wilson_is_scipys(counts: tuple[int, int], confidence: float) -> None:
    expected = binomtest(*counts).proportion_ci(confidence, "wilson")
    assert wilson(*counts, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_episodes_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def pairs(both: int, one: int, two: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of two policies: both succeed, only the first, only the second, neither."""
    counts = [both, one, two, neither]
    return np.repeat([1, 1, 0, 0], counts).astype(bool), np.repeat([1, 0, 1, 0], counts).astype(bool)


@pytest.mark.parametrize(
    ("table", "interval"),
    [
        ((14, 5, 0, 22), (0.011, 0.226)),  # Altman et al., Statistics with Confidence, 2000, table 6.2
        ((1, 1, 7, 12), (-0.507, -0.026)),  # Fagerland et al., Statistical Analysis of Contingency Tables, 2017, ch. 8
        ((20, 12, 2, 16), (0.0562, 0.3292)),  # Newcombe, Statistics in Medicine 17, 1998, method 10
    ],
)
def test_paired_difference_is_newcombes(table: tuple[int, int, int, int], interval: tuple[float, float]) -> None:
    first, second = pairs(*table)
    difference = paired_difference(second, first)
    assert (difference.ci_low, difference.ci_high) == pytest.approx(interval, abs=6e-4)
    assert difference.mean == pytest.approx(first.mean() - second.mean())
    mirrored = paired_difference(first, second)
    assert (-mirrored.ci_high, -mirrored.ci_low) == pytest.approx((difference.ci_low, difference.ci_high))


def test_paired_difference_of_equals_contains_zero() -> None:
    outcome = np.arange(50) % 3 == 0
    difference = paired_difference(outcome, outcome)
    assert difference.mean == 0 and difference.ci_low < 0 < difference.ci_high


@pytest.mark.parametrize("rates", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_paired_difference_at_the_edges(rates: tuple[float, float]) -> None:
    first, second = (np.full(20, bool(rate)) for rate in rates)
    difference = paired_difference(first, second)
    assert -1 <= difference.ci_low <= difference.mean <= difference.ci_high <= 1
    assert difference.ci_high > difference.ci_low


def test_paired_difference_covers() -> None:
    """Two policies that share most of their luck, 60 episodes, 2000 repetitions."""
    rng = np.random.default_rng(0)
    luck = rng.random((2000, 60))
    first, second = luck < 0.5, (luck + 0.1 * rng.standard_normal(luck.shape)) < 0.7
    truth = second.mean() - first.mean()
    covered = [
        d.ci_low <= truth <= d.ci_high for d in (paired_difference(a, b) for a, b in zip(first, second, strict=True))
    ]
    assert 0.93 < np.mean(covered) < 0.985


def test_episodes_must_pair_up() -> None:
    with pytest.raises(ValueError, match="must pair up"):
        paired_difference(np.ones(3, bool), np.ones(4, bool))


def test_rows_pair_up_by_seed() -> None:
    one = [{"seed": seed, "success": seed % 2 == 0} for seed in range(10)]
    two = [{"seed": seed, "success": True} for seed in reversed(range(4, 14))]
    assert paired_by_seed(one, two).mean == pytest.approx(0.5)
