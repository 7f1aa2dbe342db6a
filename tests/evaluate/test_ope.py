"""Rates of policies that never ran: intervals cover the truth, own episodes move them, and the numbers they rest on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from robo_rl.evaluate.ope import Estimate, Ran, compared, distance, foresee, from_heads, quality


def ran(rng: np.random.Generator, policies: int = 20, episodes: int = 30) -> tuple[Ran, np.ndarray]:
    """Policies whose logit is a line through x with normal scatter (not the model's own Beta), and their true rates."""
    x = rng.uniform(-1, 1, policies)
    truth = expit(-0.5 - 2 * x + 0.3 * rng.normal(size=policies))
    return Ran(x, rng.binomial(episodes, truth), np.full(policies, episodes)), truth


def without(data: Ran, place: int) -> Ran:
    return Ran(*(np.delete(part, place) for part in (data.x, data.successes, data.episodes)))


@pytest.mark.parametrize("own", [0, 10])
def test_intervals_cover_the_truth_of_policies_left_out(own):
    rng, found, truths = np.random.default_rng(own), [], []
    for _ in range(6):
        data, truth = ran(rng)
        for place in range(0, 20, 4):
            successes = rng.binomial(own, truth[place])
            found.append(foresee(without(data, place), data.x[place], successes, own)[0])
            truths.append(truth[place])
    good = quality(found, np.array(truths))
    assert good["coverage"] >= 0.85 and good["width"] < 0.45
    assert good["rank_correlation"] > 0.8 and good["mean_absolute_error"] < 0.1


def test_a_covariate_that_says_nothing_leaves_a_wide_interval():
    rng = np.random.default_rng(0)
    data, _ = ran(rng)
    blind = Ran(rng.uniform(-1, 1, 20), data.successes, data.episodes)
    (told, worth), (untold, little) = foresee(data, 0.9), foresee(blind, 0.9)
    assert untold.ci_high - untold.ci_low > 2 * (told.ci_high - told.ci_low)
    assert worth > 3 * little
    assert told.success_rate < 0.2 < untold.success_rate


def test_own_episodes_outweigh_the_comparison_in_the_end():
    data, _ = ran(np.random.default_rng(1))
    foreseen = foresee(data, 0.9)[0]
    assert foreseen.ci_high < 0.5
    assert foresee(data, 0.9, 4, 5)[0].success_rate == pytest.approx(0.25, abs=0.2)
    many = foresee(data, 0.9, 800, 1000)[0]
    assert many.success_rate == pytest.approx(0.8, abs=0.03) and many.ci_low > 0.75


def test_many_policies_that_all_ended_alike():
    alike = Ran(np.linspace(0, 1, 100), np.full(100, 30), np.full(100, 30))
    found = foresee(alike, 0.5)[0]
    assert found.success_rate > 0.97 and found.ci_low > 0.9 and found.ci_high <= 1
    same = foresee(Ran(np.zeros(6), np.full(6, 15), np.full(6, 30)), 0.0)[0]
    assert same.success_rate == pytest.approx(0.5, abs=0.05)


def test_distance_is_a_mean_over_an_episode():
    action, wanted = np.zeros((3, 2, 2)), np.zeros((3, 2, 2))
    wanted[0], wanted[1, 0, 0], wanted[2] = 1.0, 2.0, -3.0
    assert distance(action, wanted, np.array([0, 0, 1]), 2) == pytest.approx([0.75, 3.0])


def test_neither_own_nor_judged_nor_failed_episodes_are_compared_with():
    apart = np.array([[9.0, 2.0, 4.0, 9.0, 1.0], [9.0, 9.0, 3.0, 9.0, 5.0], [9.0, 8.0, 9.0, 9.0, 2.0]])
    who, success = np.array([0, 1, 2, 2, -1]), np.array([True, True, True, False, True])
    found = compared(apart, who, success, judged=0)
    assert np.exp(found) == pytest.approx([(2 + 4 + 1) / 3, (3 + 5) / 2, (8 + 2) / 2])
    assert np.isnan(compared(apart, who, success & (who == 0), judged=0)).all()


def test_heads_that_disagree_are_less_sure():
    agreeing = from_heads(np.full((4, 10), 0.5) + 0.001 * np.arange(4)[:, None])
    quarrelling = from_heads(np.full((4, 10), 0.5) + 0.1 * np.arange(4)[:, None] - 0.15)
    assert agreeing.success_rate == pytest.approx(0.5015) and quarrelling.success_rate == pytest.approx(0.5)
    assert quarrelling.ci_high - quarrelling.ci_low > 10 * (agreeing.ci_high - agreeing.ci_low)
    assert 0 <= quarrelling.ci_low <= quarrelling.ci_high <= 1


def test_quality_of_a_wrong_order():
    found = quality([Estimate(0.9, 0.8, 1.0), Estimate(0.1, 0.0, 0.2)], np.array([0.2, 0.7]))
    assert found["rank_correlation"] == pytest.approx(-1) and found["regret_at_1"] == pytest.approx(0.5)
    assert found["coverage"] == 0 and found["mean_absolute_error"] == pytest.approx(0.65)
    assert found["width"] == pytest.approx(0.2)
