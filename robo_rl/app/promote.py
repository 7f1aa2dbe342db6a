"""The end of a training run: which checkpoint is promoted, confirmed on seeds of its own, against the base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from policies.actors import Actor
from policies.bundle import Bundle, Dither
from policies.compose import HeldNoise, Noise
from robo_rl.app.context import Context
from robo_rl.app.runs import write_json
from robo_rl.env import Env
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.learn.diagnose import warnings
from robo_rl.learn.online import OnlineConfig, Progress
from robo_rl.policy import Policy
from robo_rl.seeds import Role, seed_of

DITHER_GAP = 0.05  # that success must be higher with exploration for the bundle to be deployed with it


class Training(Protocol):
    """A run that has ended; what it deploys can be taken out and put back."""

    progress: Progress
    config: OnlineConfig
    best: dict[str, torch.Tensor]

    def deployed_copy(self) -> dict[str, torch.Tensor]: ...
    def deploy(self, weights: Mapping[str, torch.Tensor]) -> None: ...


def finish(
    context: Context, bundle: Bundle, training: Training, env: Env, exploration: Noise, still: Actor | None
) -> dict[str, Any]:
    """Raw bundle, confirmation of the chosen checkpoint on seeds of their own, dither gap, promoted bundle.

    A policy that does better with its exploration (in contact a little motion helps) is promoted with it.

    Args:
        bundle: with what the run deploys in it.
        exploration: of the run's end, for the dither gap.
        still: what is promoted where the learned actor is not better than the base: a correction of zero.
    """
    progress, online = training.progress, training.config
    confirm, episodes = seed_of(Role.CONFIRM, context.seed), online.confirm_episodes
    bundle.meta |= {"env_steps_trained": progress.env_steps, "updates": progress.updates}
    bundle.save(context.out / "policy_raw")
    raw = score(env, bundle.policy_for("residual"), confirm, episodes)
    segment = _choose(bundle, training, env, context.seed)
    chosen = greedy = score(env, bundle.policy_for("residual"), confirm, episodes)
    noisy = score(env, bundle.policy_for("residual", exploration), confirm, episodes)
    base = score(env, bundle.policy_for("base"), confirm, episodes)
    promoted = "residual"
    if isinstance(exploration, HeldNoise) and noisy - greedy > DITHER_GAP:
        bundle.dither, chosen = Dither(exploration.kind, exploration.std), noisy
    if still is not None and chosen <= base:
        promoted, bundle.actor, bundle.dither = "base", still, None
    success = base if promoted == "base" else chosen
    bundle.meta |= {"promoted": promoted, "segment": segment, "confirmed_success": success, "gate": progress.gate}
    bundle.save(context.out / "policy")
    result = {
        "task": context.task, "run": str(context.out), "seed": context.seed, "promoted": promoted,
        "success_rate": success, "base_success": base, "raw_final_success": raw,
        "noisy_success_rate": noisy, "dither_gap": noisy - greedy, "dithered": bundle.dither is not None,
        "episodes": episodes,
        "env_steps_trained": progress.env_steps, "updates": progress.updates, "utd": online.utd,
        "selection_episodes": progress.selection_episodes, "steps_to_95": steps_to(progress, 0.95),
        "wall_clock_to_95_s": steps_to(progress, 0.95, "wall_clock_s"),
        "cpu_to_95_s": steps_to(progress, 0.95, "cpu_s"), "cpu_s": progress.cpu_s, "gate": progress.gate,
        "wall_clock_s": progress.wall_clock_s, "warnings": warnings(progress.history[-1]), "history": progress.history,
    }  # fmt: skip
    write_json(context.out / "result.json", result)
    return result


def _choose(bundle: Bundle, training: Training, env: Env, seed: int) -> int:
    """Leave the last actor in the bundle, or the best before it; returns its segment.

    The best of many evaluations was lucky, too: both run again, on fresh selection seeds, and the last one stays
    unless it does worse.
    """
    progress, episodes = training.progress, training.config.confirm_episodes
    last = progress.segment - 1
    if progress.best_segment == last:
        return last
    start = seed_of(Role.SELECT, seed, training.config.select_episodes)
    final = score(env, bundle.policy_for("residual"), start, episodes)
    weights = training.deployed_copy()
    training.deploy(training.best)
    best = score(env, bundle.policy_for("residual"), start, episodes)
    progress.selection_episodes += 2 * episodes
    if best > final:
        return progress.best_segment
    training.deploy(weights)
    return last


def steps_to(progress: Progress, success: float, unit: str = "env_steps") -> float | None:
    """Environment steps (or another column of the history) at the first evaluation that reached `success`."""
    return next((record[unit] for record in progress.history if record["success"] >= success), None)


def score(env: Env, policy: Policy, start: int, episodes: int) -> float:
    """Success rate, or the mean return where nobody can tell success."""
    rows = evaluate(env, policy, start, episodes).rows
    if all(row["success"] is None for row in rows):
        return float(np.mean([row["return"] for row in rows]))
    return float(np.mean([row["success"] is True for row in rows]))
