"""What a learner's networks look like from outside, once a segment."""

from __future__ import annotations

import numpy as np

from robo_rl.data.replay import Replay
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.gate import auc

ROWS, RECENT = 1024, 20_000
SATURATED, BINDS = 0.95, 0.2


def diagnose(learner: ActorCritic, replay: Replay, seed: int) -> dict[str, float]:
    """Numbers by name, on recent transitions whose episode has ended.

    q_bias: mean of Q minus the Monte-Carlo return that followed (with exploration, so it is a lower bound's bias);
    q_auc: of Q for success; effective_rank, dead_units: see there; saturated_share: of the head's outputs, beyond 0.95
    of the bound. Nothing where no episode has ended.
    """
    replay.label_returns(learner.config.gamma)
    index = replay.labelled()[-RECENT:]
    if not len(index):
        return {}
    batch = replay.gather(np.random.default_rng(seed).choice(index, ROWS), actions=learner.config.actions)
    value, hidden, u = learner.inspect(batch)
    return {
        "q_bias": float(np.mean(value - batch.to_go)),
        "q_auc": auc(value, batch.to_go > 0),
        "effective_rank": effective_rank(hidden[0]),
        "dead_units": dead_units(hidden),
        "saturated_share": float(np.mean(np.abs(u) > SATURATED)),
    }


def warnings(record: dict[str, float]) -> list[str]:
    """What a person should look at, in words."""
    if record.get("saturated_share", 0.0) > BINDS:
        share = round(100 * record["saturated_share"])
        return [f"scale too small: {share} % of the corrections lie at their bound; try a larger learner.scale"]
    return []


def effective_rank(hidden: np.ndarray, share: float = 0.99) -> float:
    """Singular values that make up `share` of the sum, of (B, W) activations (Kumar et al. 2021, arXiv 2010.14498)."""
    values = np.linalg.svd(hidden, compute_uv=False)
    return float(np.searchsorted(np.cumsum(values), share * values.sum()) + 1)


def dead_units(hidden: np.ndarray) -> float:
    """Share of units that no row activates; hidden (K, B, W) after a ReLU."""
    return float(np.mean(hidden.max(1) <= 0))
