"""`robo-rl train learner=bc`: clone a chunked base policy from demonstrations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from policies.bundle import Bundle
from policies.networks import ChunkNet, Normalise
from robo_rl.app.context import (
    Context,
    action_range,
    observation_statistics,
    require_successes,
    stopwatch,
    write_json,
)
from robo_rl.data.dataset import Dataset, load_dataset
from robo_rl.data.episode import Episode
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import Outcomes, evaluate
from robo_rl.learn.bc import BCConfig, BehaviourCloning, ChunkDataset
from robo_rl.seeds import Role, seed_of

OPEN_LOOP = 0.3  # [s], the longest a chunk may be executed without looking


def train(
    context: Context,
    policy: Mapping[str, Any],
    config: BCConfig,
    checkpoints: int,
    episodes: int,
    failures: bool,
    rows: int,
) -> dict[str, Any]:
    """Train, evaluate `checkpoints` times on selection seeds, save the best as a bundle; returns the result."""
    elapsed = stopwatch()
    if not context.dataset:
        raise UserError("dataset=: learner=bc needs a folder of demonstrations (made by robo-rl record)")
    dataset = load_dataset(context.dataset)
    env = context.make_env(rows)
    chosen = list(dataset.episodes) if failures else require_successes(list(dataset.episodes), context.dataset)
    bundle = new_bundle(context, dataset, chosen, policy)
    bundle.require(env.obs_spec, env.act_spec, f"task={context.task}")
    if policy["execute"] * env.dt > OPEN_LOOP + 1e-9:
        raise UserError(
            f"policy.execute={policy['execute']}: {policy['execute'] * env.dt:.2f} s open loop; at most {OPEN_LOOP} s"
        )
    learner = BehaviourCloning(bundle.network, config, context.device)
    frames = ChunkDataset(chosen, bundle.obs_spec, policy["horizon"])
    rng = np.random.default_rng(context.seed)
    best: Outcomes | None = None
    weights = copy.deepcopy(learner.state())
    for update in range(1, config.updates + 1):
        metrics = learner.update(frames.sample(config.batch, rng))
        if update % 100 == 0:
            context.sink.write(update, {key: float(value) for key, value in metrics.items()})
        if update % max(1, config.updates // checkpoints) == 0:
            outcomes = evaluate(env, bundle.policy_for("base"), seed_of(Role.SELECT, context.seed), episodes)
            context.sink.write(update, {"success": _rate(outcomes)})
            if best is None or _rate(outcomes) > _rate(best):
                best, weights = outcomes, copy.deepcopy(learner.state())
    assert best is not None
    learner.load(weights)
    env.close()
    result = best.summary(
        context.task, str(context.out), seed_of(Role.SELECT, context.seed), demonstrations=len(chosen), frames=len(frames)
    )
    result["wall_clock_s"] = elapsed()
    bundle.meta |= {"selection_success": result["success_rate"], "env_steps_trained": 0}
    bundle.save(context.out / "policy")
    write_json(context.out / "result.json", result)
    return result


def new_bundle(context: Context, dataset: Dataset, episodes: list[Episode], policy: Mapping[str, Any]) -> Bundle:
    """An untrained base with the demonstrations' normalisation."""
    torch.manual_seed(context.seed)
    mean, std = observation_statistics(episodes, dataset.obs_spec, floor=0.1)
    centre, half = action_range(episodes)
    network = ChunkNet(
        Normalise(torch.from_numpy(mean), torch.from_numpy(std)),
        Normalise(torch.from_numpy(centre), torch.from_numpy(np.maximum(half, 1e-3))),
        policy["horizon"],
        policy["hidden"],
        policy["dropout"],
    )
    meta = {"task": context.task, "robot": context.robot, "seed": context.seed, "dataset": context.dataset}
    return Bundle(dataset.obs_spec, dataset.act_spec, network, policy["execute"], meta=meta)


def _rate(outcomes: Outcomes) -> float:
    return float(np.mean([row["success"] is True for row in outcomes.rows]))
