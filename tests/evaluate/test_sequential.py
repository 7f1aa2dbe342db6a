"""The sequential comparison: its error rates by simulation, its power, its interval, and that looking costs nothing."""

from __future__ import annotations

import numpy as np
import pytest

from robo_rl.evaluate.sequential import (
    MEANS,
    PairedTest,
    difference_interval,
    error_rates,
    log_e,
    next_guess,
)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8, 0.95])
def test_equal_policies_are_rarely_told_apart(rate: float) -> None:
    """At 1000 comparisons of up to 60 pairs, looked at after every pair; three standard errors above alpha."""
    found = error_rates(rate, rate, 60, 0.1, 1000)
    assert found["first"] + found["second"] <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 1000)


def test_scenes_of_unequal_difficulty_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    test = PairedTest(0.1, 1000)
    for _ in range(60):
        hard = rng.random((1000, 1)) < 0.5
        test.add(rng.random((1000, 2)) < np.where(hard, 0.1, 0.95))
    assert (test.decided > 0).mean() <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 1000)


def test_a_better_policy_is_found_and_never_the_other_one() -> None:
    found = error_rates(0.6, 0.95, 80, 0.05, 500)
    assert found["second"] > 0.9 and found["first"] < 0.01 and found["pairs_mean"] < 35
    swapped = error_rates(0.95, 0.6, 80, 0.05, 500)
    assert swapped["first"] > 0.9 and swapped["second"] < 0.01


@pytest.mark.parametrize("rate", np.linspace(0.02, 0.98, 9))
def test_the_e_variable_is_one_at_most_where_the_second_is_not_better(rate: float) -> None:
    """Summed over all four outcomes, for guesses all over the triangle, and every smaller rate of the second policy."""
    low, high = (side.ravel() for side in np.meshgrid(*[np.linspace(0.03, 0.97, 15)] * 2))
    low, high = low[low < high], high[low < high]
    for second in np.linspace(0.0, rate, 5):
        expected = np.zeros(len(low))
        for x, p in ((True, rate), (False, 1 - rate)):
            for y, q in ((True, second), (False, 1 - second)):
                expected += p * q * np.exp(log_e(np.tile([x, y], (len(low), 1)), low, high))
        assert expected.max() <= 1 + 1e-9


def test_guesses_follow_what_was_seen() -> None:
    low, high = next_guess(np.array([[0.0, 0.0], [30.0, 57.0]]), np.array([[0.0, 0.0], [30.0, 3.0]]))
    assert (low < high).all() and low[0] == pytest.approx(1 - high[0])
    assert (low[1], high[1]) == pytest.approx((0.5, 0.94), abs=0.03)


def test_a_verdict_stays() -> None:
    test = PairedTest()
    while test.verdict == "undecided":
        test.add(np.array([[False, True]]))
    assert test.verdict == "second" and test.pairs < 12 and test.evidence[1] >= 40
    for _ in range(50):
        test.add(np.array([[True, False]]))
    assert test.verdict == "second"


def test_the_interval_covers_at_every_look() -> None:
    rng, missed, step = np.random.default_rng(2), 0, MEANS[1] - MEANS[0]
    for _ in range(100):
        pairs = [tuple(pair) for pair in rng.random((60, 2)) < [0.5, 0.8]]
        low, high = difference_interval(pairs)  # what it let go once does not come back: the end tells of every look
        missed += not (low <= 0.3 + step and high >= 0.3 - step)
    assert missed <= 10


def test_the_interval_narrows_around_the_difference() -> None:
    rng = np.random.default_rng(3)
    pairs = [tuple(pair) for pair in rng.random((300, 2)) < [0.4, 0.9]]
    short, long = difference_interval(pairs[:30]), difference_interval(pairs)
    assert long[0] <= 0.5 <= long[1] and long[1] - long[0] < 0.35 < short[1] - short[0]
    assert difference_interval([]) == (-1.0, 1.0)


def test_alpha_has_to_be_a_probability() -> None:
    with pytest.raises(ValueError, match=r"alpha=1\.5"):
        PairedTest(1.5)
