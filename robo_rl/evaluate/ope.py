"""Off-policy evaluation: how often a policy would succeed, from how it compares with policies that ran.

Every policy j that ran has s_j successes in n_j episodes, and a number x_j that can be had without running it: how far
its commands are from those of the others' successful episodes, in these episodes' own states (`distance`). Its rate is

    p_j ~ Beta(phi mu_j, phi (1 - mu_j)),   logit mu_j = a + b x_j,   s_j ~ Binomial(n_j, p_j)

A policy that never ran gets its rate from its x alone, which is worth phi episodes; each episode of its own moves it
(Beta and binomial are conjugate). a, b and phi are integrated over, so that few or scattered policies give a wide
interval. Shrinkage towards what a covariate says is Fay and Herriot's (JASA 74, 1979).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, expit
from scipy.stats import spearmanr, t

LEVEL = 0.95
LEAST = 5  # policies that ran, below which a line through them says nothing
DRAWS = 8000
_PRIOR = np.array([[0.0, 0.0, np.log(20.0)], [3.0, 2.0, 1.0]])  # mean and deviation of a, b, log phi; x standardised


@dataclass(frozen=True)
class Estimate:
    """A success rate with its 95 % interval."""

    success_rate: float
    ci_low: float
    ci_high: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Ran:
    """What P policies did: successes and episodes (P,), and their x (P,)."""

    x: np.ndarray
    successes: np.ndarray
    episodes: np.ndarray


def distance(action: np.ndarray, wanted: np.ndarray, number: np.ndarray, episodes: int) -> np.ndarray:
    """How far a policy's commands are from the logged ones, in each of E episodes (E,).

    Args:
        action, wanted: (M, T, A) logged commands in M stretches of T ticks, and the policy's; in comparable units.
        number: (M,) the stretch's episode, 0..E-1; every episode has one.
    """
    apart = np.abs(wanted - action).mean(axis=(1, 2))
    return np.bincount(number, apart, episodes) / np.bincount(number, minlength=episodes)


def compared(apart: np.ndarray, who: np.ndarray, success: np.ndarray, judged: int) -> np.ndarray:
    """x (P,) of every policy: the logarithm of its mean distance to the successful episodes of others. Neither its own
    episodes count nor those of the policy that is judged. NaN where none is left.

    Args:
        apart: (P, E) distances.
        who: (E,) which policy ran an episode; -1 where it is none of the P.
        success: (E,) bool.
    """
    count = len(apart)
    use = success & (who != judged) & (who != np.arange(count)[:, None])
    total = np.where(use, apart, 0.0).sum(1)
    return np.log(np.where(use.any(1), total / np.maximum(use.sum(1), 1), np.nan))


def foresee(ran: Ran, x: float, successes: int = 0, episodes: int = 0) -> tuple[Estimate, float]:
    """Rate of a policy with covariate `x` and perhaps `episodes` of its own; and how many own episodes x is worth."""
    mean, scale = ran.x.mean(), max(float(ran.x.std()), 1e-9)
    known = replace(ran, x=(ran.x - mean) / scale)
    points = _grid(known)
    weight = _log_posterior(points, known)
    phi, own = np.exp(points[2]), _centre(points, np.array([(x - mean) / scale]))[..., 0]
    weight = weight + _evidence(own, phi, np.asarray(successes), np.asarray(episodes))
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    one, other = own * phi + successes, (1 - own) * phi + episodes - successes
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(weight), DRAWS, p=weight)
    low, high = np.quantile(rng.beta(one[drawn], other[drawn]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    best = float((weight * one / (one + other)).sum())
    return Estimate(best, float(low), float(high)), float(np.exp((weight * points[2]).sum()))


def _grid(ran: Ran) -> np.ndarray:
    """Points (3, G) of a, b and log phi, around where they are most probable and as far as they are probable at all."""
    mode = minimize(lambda point: -float(_log_posterior(point[:, None], ran)[0]), _PRIOR[0], method="Nelder-Mead").x
    steps = 0.05 * np.eye(3)
    shifted = [mode + i * one + j * other for one in steps for other in steps for i in (1, -1) for j in (1, -1)]
    around = _log_posterior(np.array(shifted).T, ran).reshape(3, 3, 4)
    bend = (around @ np.array([1.0, -1.0, -1.0, 1.0])) / (4 * 0.05**2)  # second derivatives
    variance = np.diag(np.linalg.pinv(-bend))
    spread = np.sqrt(np.where(variance > 0, np.minimum(variance, _PRIOR[1] ** 2), _PRIOR[1] ** 2))
    axes = [centre + width * np.linspace(-4, 4, 21) for centre, width in zip(mode, spread, strict=True)]
    return np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")])


def _centre(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """mu (G, P) of points (3, G) at covariates (P,)."""
    return expit(points[0, :, None] + points[1, :, None] * x)


def _log_posterior(points: np.ndarray, ran: Ran) -> np.ndarray:
    """(G,) at points (3, G), up to a constant."""
    prior = -0.5 * (((points - _PRIOR[0][:, None]) / _PRIOR[1][:, None]) ** 2).sum(0)
    mu, phi = _centre(points, ran.x), np.exp(points[2])[:, None]
    return prior + _evidence(mu, phi, ran.successes, ran.episodes).sum(1)


def _evidence(mu: np.ndarray, phi: np.ndarray, successes: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """Log probability of the successes, up to what does not depend on mu and phi."""
    mu = np.clip(mu, 1e-4, 1 - 1e-4)
    one, other = mu * phi, (1 - mu) * phi
    return betaln(one + successes, other + episodes - successes) - betaln(one, other)


def from_heads(values: np.ndarray) -> Estimate:
    """From values (H, E) of bootstrapped critics at the beginnings of E episodes. The interval knows of chance in the
    logs and of the beginnings, not of what a critic cannot see."""
    heads, episodes = values.shape
    spread = np.sqrt(values.mean(1).var(ddof=1) + values.mean(0).var(ddof=1) / episodes)
    centre, half = float(values.mean()), float(t.ppf((1 + LEVEL) / 2, heads - 1) * spread)
    return Estimate(centre, max(0.0, centre - half), min(1.0, centre + half))


def quality(estimates: list[Estimate], truth: np.ndarray) -> dict[str, Any]:
    """How good estimates of several policies are, given their true success rates (P,)."""
    rates = np.array([estimate.success_rate for estimate in estimates])
    low = np.array([estimate.ci_low for estimate in estimates])
    high = np.array([estimate.ci_high for estimate in estimates])
    return {
        "rank_correlation": float(np.asarray(spearmanr(rates, truth))[0]),
        "regret_at_1": float(truth.max() - truth[rates.argmax()]),
        "mean_absolute_error": float(np.abs(rates - truth).mean()),
        "coverage": float(np.mean((low <= truth) & (truth <= high))),
        "width": float(np.mean(high - low)),
    }
