"""Comparing two policies while episodes come in, and stopping as soon as it is clear: valid at every look.

Episodes come in pairs, one of each policy on the same scene. The test is a product of E-variables (R. J. Turner, A. Ly,
P. D. Gruenwald: "Generic E-variables for exact sequential k-sample tests that allow for optional stopping", JSPI 2024):
for a pair (x, y) of outcomes and any guess a < b of the two success rates, made before the pair is seen,

    E = f_a(x) f_b(y) / (f_c(x) f_c(y)),   c = (a + b) / 2,   f_p(1) = p, f_p(0) = 1 - p

has an expectation of at most 1 wherever the second policy is not better, scene by scene. So the product reaches
2 / alpha with a probability of at most alpha / 2, however often one looks (Ville), and the same with the policies
swapped. The guess is the posterior mean of (a, b), a < b, on a grid.

The interval of the difference is a confidence sequence for the mean of bounded numbers by betting (I. Waudby-Smith,
A. Ramdas, JRSS B 2024): it covers the mean difference at all times at once with 95 % probability.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GRID = np.arange(1, 20) / 20  # guesses of a success rate
A, B = (side.ravel() for side in np.meshgrid(GRID, GRID, indexing="ij"))
A, B = A[A < B], B[A < B]
LOGS = np.log(np.stack([A, 1 - A, B, 1 - B]))  # (4, G)
MEANS = np.linspace(-1.0, 1.0, 401)  # differences that an interval may hold
MOST = 0.75  # of what may be bet without risking everything
UNDECIDED, FIRST, SECOND = "undecided", "first", "second"


def next_guess(successes: np.ndarray, failures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of the rates a < b, (R,) each, from counts (R, 2) of two policies."""
    counts = np.stack([successes[:, 0], failures[:, 0], successes[:, 1], failures[:, 1]], axis=1)
    likelihood = counts @ LOGS
    weight = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return weight @ A, weight @ B


def log_e(outcomes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Logarithm of the E-variable (R,) of pairs (R, 2) bool for guesses `low` < `high` of the two policies' rates."""
    middle = (low + high) / 2
    first = np.where(outcomes[:, 0], low / middle, (1 - low) / (1 - middle))
    second = np.where(outcomes[:, 1], high / middle, (1 - high) / (1 - middle))
    return np.log(first) + np.log(second)


class PairedTest:
    """R comparisons side by side (1 on a robot). `add` takes a pair each; nothing depends on when one stops.

    Args:
        alpha: probability of calling either policy better when it is not, over the whole comparison.
        runs: R.
    """

    def __init__(self, alpha: float = 0.05, runs: int = 1) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha={alpha}: must lie between 0 and 1")
        self.alpha, self.pairs = alpha, 0
        self._successes, self._failures = np.zeros((runs, 2)), np.zeros((runs, 2))
        self._log_e = np.zeros((runs, 2))  # evidence that the first, and that the second policy is better
        self._verdict = np.zeros(runs, np.int64)

    def add(self, outcomes: np.ndarray) -> None:
        """One pair a run, (R, 2) bool: success of the first and of the second policy."""
        outcomes = np.asarray(outcomes, bool)
        for better, order in ((1, [0, 1]), (0, [1, 0])):
            guess = next_guess(self._successes[:, order], self._failures[:, order])
            self._log_e[:, better] += log_e(outcomes[:, order], *guess)
        self._successes += outcomes
        self._failures += ~outcomes
        self.pairs += 1
        decided = self._log_e >= np.log(2 / self.alpha)
        fresh = np.where(decided[:, 0], 1, np.where(decided[:, 1], 2, 0))
        self._verdict = np.where(self._verdict == 0, fresh, self._verdict)

    @property
    def decided(self) -> np.ndarray:
        """(R,) 0 undecided, 1 the first policy is better, 2 the second; a verdict stays."""
        return self._verdict

    @property
    def verdict(self) -> str:
        """Of the only run."""
        return (UNDECIDED, FIRST, SECOND)[int(self._verdict[0])]

    @property
    def evidence(self) -> tuple[float, float]:
        """E-values of the only run: for the first, and for the second policy being better; 2 / alpha decides."""
        first, second = np.exp(np.minimum(self._log_e[0], 700.0)).tolist()
        return first, second


def difference_interval(pairs: Sequence[tuple[bool, bool]], alpha: float = 0.05) -> tuple[float, float]:
    """Interval of the success rate of the second policy minus the first's, valid whenever one stopped.

    It holds zero a little longer than the test is undecided. Half of a capital bets that the mean difference is above
    each candidate, half that it is below; candidates at which the capital grew beyond 1 / alpha are out. The bets
    follow from the pairs before.
    """
    gains = np.zeros((2, len(MEANS)))
    total, squares, count = 0.0, 1.0, 1.0
    kept = np.ones(len(MEANS), bool)
    for first, second in pairs:
        difference = float(second) - float(first)
        centre, spread = total / count, squares / count
        size = np.sqrt(2 * np.log(2 / alpha) / (spread * count * np.log(count + 1)))
        up, down = MOST / (1 + MEANS + 1e-9), MOST / (1 - MEANS + 1e-9)
        gains[0] += np.log1p(np.minimum(size, up) * (difference - MEANS))
        gains[1] += np.log1p(-np.minimum(size, down) * (difference - MEANS))
        kept &= np.logaddexp(*gains) - np.log(2) < np.log(1 / alpha)
        total, count = total + difference, count + 1
        squares += (difference - centre) ** 2
    inside = MEANS[kept] if kept.any() else np.array([total / count])
    return float(inside[0]), float(inside[-1])


def error_rates(first: float, second: float, pairs: int, alpha: float, runs: int, seed: int = 0) -> dict[str, float]:
    """What the test does when the policies succeed at these rates: shares of `runs` simulated comparisons of at most
    `pairs` pairs that end with each verdict, and the mean number of pairs until then."""
    rng = np.random.default_rng(seed)
    test, stopped = PairedTest(alpha, runs), np.full(runs, pairs)
    for pair in range(pairs):
        before = test.decided
        test.add(rng.random((runs, 2)) < [first, second])
        stopped[(before == 0) & (test.decided > 0)] = pair + 1
    shares = {name: float((test.decided == code).mean()) for code, name in enumerate((UNDECIDED, FIRST, SECOND))}
    return {**shares, "pairs_mean": float(stopped.mean())}
