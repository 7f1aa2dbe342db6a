"""`robo-rl train learner=bc`: clone a chunked base policy from demonstrations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from policies.bundle import BASES, Bundle
from policies.networks import Inputs, Normalise, like_pairs
from policies.vision import Eyes
from robo_rl.app.context import (
    Context,
    packed_observations,
    require_successes,
    stopwatch,
)
from robo_rl.app.runs import write_json, write_spec
from robo_rl.data.dataset import Dataset, load_dataset
from robo_rl.data.episode import Episode
from robo_rl.errors import UnknownName, UserError
from robo_rl.evaluate.outcomes import Outcomes, evaluate
from robo_rl.learn.bc import BCConfig, BehaviourCloning, ChunkDataset
from robo_rl.seeds import Role, seed_of

SETPOINT = "applied"  # key of a rig's last setpoint
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
    env = context.make_env(min(rows, episodes))
    write_spec(context.out, env)
    chosen = list(dataset.episodes) if failures else require_successes(list(dataset.episodes), context.dataset)
    bundle = new_bundle(context, dataset, chosen, policy)
    bundle.require(env.obs_spec, env.act_spec, f"task={context.task}")
    if policy["execute"] * env.dt > OPEN_LOOP + 1e-9:
        raise UserError(
            f"policy.execute={policy['execute']}: {policy['execute'] * env.dt:.2f} s open loop; at most {OPEN_LOOP} s"
        )
    learner = BehaviourCloning(bundle.network, config, context.seed, context.device)
    eyes = bundle.network.eyes
    frames = ChunkDataset(chosen, bundle.obs_spec, policy["horizon"], () if eyes is None else eyes.keys)
    rng = np.random.default_rng(context.seed)
    best: Outcomes | None = None
    weights = copy.deepcopy(learner.state())
    for update in range(1, config.updates + 1):
        if context.interrupted():
            raise KeyboardInterrupt
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
    sizes = {"demonstrations": len(chosen), "frames": len(frames)}
    result = best.summary(context.task, str(context.out), context.seed, **sizes)
    result["wall_clock_s"] = elapsed()
    bundle.meta |= {"selection_success": result["success_rate"], "env_steps_trained": 0}
    bundle.save(context.out / "policy")
    write_json(context.out / "result.json", result)
    return result


def new_bundle(context: Context, dataset: Dataset, episodes: list[Episode], policy: Mapping[str, Any]) -> Bundle:
    """An untrained base with the demonstrations' normalisation."""
    torch.manual_seed(context.seed)
    packed, scale = (torch.from_numpy(x) for x in packed_observations(episodes, dataset.obs_spec))
    offset = _offset(dataset, policy["relative_to"])
    frames = ChunkDataset(episodes, dataset.obs_spec, policy["horizon"])
    reference = 0.0 if offset is None else frames.obs[:, None, offset : offset + dataset.act_spec.size]
    targets = (frames.chunk - reference).reshape(-1, dataset.act_spec.size)
    if policy["kind"] not in BASES:
        raise UnknownName("policy.kind", policy["kind"], BASES)
    network = BASES[policy["kind"]][0](
        Inputs.fit(packed, scale, like_pairs(dataset.obs_spec)),
        Normalise(torch.from_numpy(targets.mean(0)), torch.from_numpy(np.maximum(targets.std(0), 1e-4))),
        policy["horizon"],
        policy["hidden"],
        relative_to=offset,
        eyes=Eyes.of(dataset.obs_spec, policy.get("cameras", ()), "policy.cameras"),
    )
    meta = {**context.scenario, "seed": context.seed, "dataset": context.dataset}
    return Bundle(dataset.obs_spec, dataset.act_spec, network, policy["execute"], meta=meta, dt=dataset.dt)


def _offset(dataset: Dataset, key: str | None) -> int | None:
    """Where the observation that chunks are relative to begins in the packed vector."""
    spec = dataset.obs_spec
    if key is None or (key == "auto" and SETPOINT not in spec):
        return None
    key = SETPOINT if key == "auto" else key
    fitting = [name for name in spec.vector_keys if spec[name].shape == dataset.act_spec.shape]
    if key not in fitting:
        raise UnknownName("policy.relative_to", key, [*fitting, "auto", "null"])
    before = spec.vector_keys[: spec.vector_keys.index(key)]
    return sum(spec[name].size for name in before)


def _rate(outcomes: Outcomes) -> float:
    return float(np.mean([row["success"] is True for row in outcomes.rows]))
