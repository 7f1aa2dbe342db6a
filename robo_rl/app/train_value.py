"""`robo-rl train learner=value`: from logs, the value of chunks of actions; `steer=` chooses by it among what a base
proposes (V-GPS, arXiv 2410.13816), the base itself is not touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from policies import agents
from policies.bundle import Bundle, load_bundle
from policies.chunk_actor import ChunkActor, Steering
from robo_rl.app.context import Context, stopwatch
from robo_rl.app.promote import score
from robo_rl.app.runs import write_json, write_spec
from robo_rl.app.train_online import seen_by
from robo_rl.data.dataset import load_dataset
from robo_rl.data.replay import Batch, Replay, replay_of
from robo_rl.errors import UserError
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.gate import auc
from robo_rl.learn.qchunk import QChunkConfig, QChunkLearner
from robo_rl.policy import Policy
from robo_rl.seeds import Role, seed_of


def train(
    context: Context, policy: Any, hidden: list[int], heads: int, norm: bool, scale: float, candidates: int, rows: int,
    updates: int, batch: int, held_out: float, episodes: int, config: QChunkConfig,
) -> dict[str, Any]:  # fmt: skip
    """Monte-Carlo returns first, then TD, each `updates` times; the success of the base with and without steering.

    Saves the base's bundle with the value in it: `steer=` takes it for this base and for every other one that sees and
    does the same.
    """
    if not 0 < held_out <= 0.5:
        raise UserError(f"learner.held_out={held_out}: expected a number above 0, 0.5 at most")
    elapsed = stopwatch()
    bundle = load_bundle(context.base, context.device, "base")
    env = context.make_env(rows)
    bundle.require(env.obs_spec, env.act_spec, f"task={context.task}")
    write_spec(context.out, env)
    seen, unseen, known = _replays(context, bundle, config, held_out)
    agent = agents.chunks(bundle, *seen_by(bundle, seen, config.actions), agents.Shape(hidden, heads, norm, cameras=()),
                          scale, context.seed)  # fmt: skip
    parts = [part.to(context.device) for part in (agent.features, agent.head, agent.critic)]
    learner = QChunkLearner(*parts, config, context.seed + 2, context.device)  # type: ignore[arg-type]
    _fit(learner, seen, updates, batch, context)
    learned = _auc(learner, unseen)
    actor = ChunkActor(learner.features, learner.head, learner.target_critic, candidates)  # type: ignore[arg-type]
    valued = dataclasses.replace(bundle, actor=actor, meta=bundle.meta | {**context.scenario, "base": context.base})
    valued.save(context.out / "policy")
    rates = _compare(bundle, actor, candidates, env, seed_of(Role.SELECT, context.seed), episodes)
    env.close()
    result = {"task": context.task, "run": str(context.out), "seed": context.seed, "updates": 2 * updates,
              "held_out_auc": learned, "episodes": episodes, **known, **rates, "wall_clock_s": elapsed()}  # fmt: skip
    write_json(context.out / "result.json", result)
    return result


def _replays(
    context: Context, bundle: Bundle, config: QChunkConfig, held_out: float
) -> tuple[Replay, Replay, dict[str, int]]:
    """Learned from, kept apart (every so-many-th episode), and how many there are of each outcome."""
    dataset = load_dataset(context.dataset)
    bundle.require(dataset.obs_spec, dataset.act_spec, f"dataset={context.dataset}")
    every, good = list(dataset.episodes), dataset.successes
    if not 0 < good < len(every):
        raise UserError(
            f"dataset={context.dataset}: {good} of {len(every)} episodes succeeded; a value is learned from both kinds"
        )
    stride = max(2, round(1 / held_out))
    split = [every[:0], every[:0]]
    for kind in (True, False):  # both outcomes on both sides
        for place, episode in enumerate([one for one in every if one.succeeded is kind]):
            split[place % stride == stride - 1].append(episode)
    if not split[1]:
        raise UserError(f"dataset={context.dataset}: {len(every)} episodes are too few to keep some apart")
    seen, unseen = (replay_of(part, bundle.policy_for("base"), bundle.obs_spec) for part in split)
    for replay in (seen, unseen):
        replay.label_returns(config.gamma)
    return seen, unseen, {"successes": good, "failures": len(every) - good}


def _fit(learner: ActorCritic, replay: Replay, updates: int, batch: int, context: Context) -> None:
    rng, rule, labelled = np.random.default_rng(context.seed), learner.config, replay.labelled()
    learner.actor_enabled = True

    def batches() -> Iterator[tuple[str, Batch]]:
        for _ in range(updates):
            yield "regress", replay.gather(rng.choice(labelled, batch), actions=rule.actions)
        for _ in range(updates):
            yield "update", replay.sample(batch, rng, rule.n_step, rule.gamma, rule.actions)

    for done, (how, rows) in enumerate(batches(), 1):
        if context.interrupted():
            raise KeyboardInterrupt
        metrics = getattr(learner, how)(rows)
        if done % 200 == 0:
            context.sink.write(done, {key: float(value) for key, value in metrics.items()})


def _auc(learner: ActorCritic, replay: Replay) -> float:
    """Of the value for success, on episodes that were kept apart."""
    batch = replay.gather(replay.labelled(), actions=learner.config.actions)
    return auc(learner.inspect(batch)[0], batch.to_go > 0)


def _compare(
    bundle: Bundle, actor: ChunkActor, candidates: int, env: Any, start: int, episodes: int
) -> dict[str, float | None]:
    """Success of the base as it is and steered; None where it proposes one chunk only."""
    base = score(env, bundle.policy_for("base"), start, episodes)
    try:
        steered: Policy = dataclasses.replace(bundle, steering=Steering(actor, candidates)).policy_for("base")
    except UserError:
        return {"base_success": base, "success_rate": None}
    with torch.inference_mode():
        return {"base_success": base, "success_rate": score(env, steered, start, episodes)}
