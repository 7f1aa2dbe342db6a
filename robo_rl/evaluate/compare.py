"""Two policies compared: paired where they ran on equal seeds, unpaired elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import asin, sqrt
from typing import Any

import numpy as np
from scipy import stats

from robo_rl.evaluate.statistics import Difference, paired_difference, wilson

Rows = Sequence[dict[str, Any]]
NUMBERS = ("length", "return", "time_to_success_s", "smoothness", "guarded_share", "intervention_share", "energy_j")


def unpaired_difference(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Difference:
    """Success rate of `second` minus that of `first`, on different episodes (E1,) and (E2,) bool.

    Newcombe's square-and-add score interval (R. G. Newcombe, Statistics in Medicine 17, 1998, 873-890, method 10).
    """
    if len(first) == 0 or len(second) == 0:
        return Difference(0.0, -1.0, 1.0)
    one, two = float(np.mean(first)), float(np.mean(second))
    low_one, high_one = wilson(int(np.sum(first)), len(first), confidence)
    low_two, high_two = wilson(int(np.sum(second)), len(second), confidence)
    below, above = (
        sqrt((two - low_two) ** 2 + (high_one - one) ** 2),
        sqrt((high_two - two) ** 2 + (one - low_one) ** 2),
    )
    return Difference(two - one, two - one - below, two - one + above)


def cohens_h(first: float, second: float) -> float:
    """Effect size of two rates, the difference of their arcsine transforms (J. Cohen, 1988): 0.2 small, 0.8 large."""
    return 2 * asin(sqrt(second)) - 2 * asin(sqrt(first))


def compare(first: Rows, second: Rows) -> dict[str, Any] | None:
    """`second` against `first`, two evaluations' rows; None where one of them has no labelled episode.

    Paired over the seeds that both ran where these are at least half of the smaller evaluation. Numbers besides
    success are compared by their mean, with Student's or Welch's interval.
    """
    one, two = _labelled(first), _labelled(second)
    if not one or not two:
        return None
    shared = sorted(one.keys() & two.keys())
    paired = 2 * len(shared) >= min(len(one), len(two))
    if paired:
        one, two = ({seed: rows[seed] for seed in shared} for rows in (one, two))
    left, right = (np.array([bool(row["success"]) for row in rows.values()]) for rows in (one, two))
    difference = paired_difference(left, right) if paired else unpaired_difference(left, right)
    return {
        "paired": paired,
        "episodes": [len(left), len(right)],
        "success_rate": [float(left.mean()), float(right.mean())],
        "difference": difference.to_json(),
        "effect_size_cohens_h": cohens_h(float(left.mean()), float(right.mean())),
        "numbers": {key: _numbers(one, two, key, paired) for key in NUMBERS},
    }


def _labelled(rows: Rows) -> dict[int, dict[str, Any]]:
    """Rows by seed; of several with one seed the first."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row.get("success") is not None:
            found.setdefault(row["seed"], row)
    return found


def _numbers(one: dict[int, Any], two: dict[int, Any], key: str, paired: bool) -> dict[str, Any] | None:
    """Mean difference with its 95 % interval; None where fewer than two episodes of each have the number."""
    have = [{seed: row[key] for seed, row in rows.items() if row.get(key) is not None} for rows in (one, two)]
    if paired:
        both = sorted(have[0].keys() & have[1].keys())
        have = [{seed: values[seed] for seed in both} for values in have]
    left, right = (np.array(list(values.values()), float) for values in have)
    if min(len(left), len(right)) < 2:
        return None
    mean = float(right.mean() - left.mean())
    if max(np.ptp(part) for part in ([right - left] if paired else [right, left])) == 0:
        low = high = mean  # no spread, no test
    else:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # of a side that hardly spreads: its interval is that narrow
            test = stats.ttest_rel(right, left) if paired else stats.ttest_ind(right, left, equal_var=False)
        low, high = test.confidence_interval(0.95)
    return {"episodes": [len(left), len(right)], **Difference(mean, float(low), float(high)).to_json()}
