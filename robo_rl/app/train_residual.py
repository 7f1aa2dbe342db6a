"""`robo-rl train learner=residual`: make a frozen base reliable by a learned correction."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from policies.bundle import Bundle, load_bundle, write_folder
from policies.compose import HeldNoise
from policies.networks import Critic, Features, ResidualHead
from robo_rl.app.context import Context, action_range, require_successes
from robo_rl.app.runs import write_json, write_spec
from robo_rl.data.dataset import load_dataset
from robo_rl.data.episode import Episode
from robo_rl.data.replay import Replay, replay_of
from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.learn.online import OnlineConfig, OnlineTraining, Progress
from robo_rl.learn.residual import ResidualConfig, ResidualLearner
from robo_rl.log.recorder import Recorder
from robo_rl.loop import Observer
from robo_rl.policy import Policy
from robo_rl.seeds import Role, seed_of


def train(
    context: Context,
    policy: Any,
    rows: int,
    eval_rows: int,
    hidden: list[int],
    heads: int,
    scale: float,
    noise: float,
    capacity: int,
    config: ResidualConfig,
    online: OnlineConfig,
) -> dict[str, Any]:
    """Train, confirm the best checkpoint against the base, save it as a bundle; returns the result."""
    if not context.base:
        raise UserError("base=: learner=residual needs the run or bundle folder of a base policy (learner=bc)")
    bundle = load_bundle(context.base, context.device)
    env, eval_env = context.make_env(rows), context.make_env(eval_rows)
    write_spec(context.out, env)
    bundle.require(env.obs_spec, env.act_spec, f"task={context.task}")
    demos = _demonstrations(context, bundle)
    bundle = _with_head(bundle, demos, hidden, scale, context)
    learner = _learner(bundle, hidden, heads, config, context)
    explore = bundle.policy_for("residual", HeldNoise(env.act_spec.size, noise))
    greedy, width = dataclasses.replace(bundle, head=learner.averaged_head), env.act_spec.size
    training = OnlineTraining(
        env=env,
        explore=explore,
        greedy=greedy.policy_for("residual"),
        learner=learner,
        replay=Replay(bundle.obs_spec, explore.extra_spec, width, rows, capacity),
        demos=replay_of(demos, bundle.policy_for("base"), bundle.obs_spec),
        held_out=Replay(bundle.obs_spec, explore.extra_spec, width, rows, rows * 4 * 2 * _longest(env, online, rows)),
        config=online,
        seed=context.seed,
        evaluate=lambda policy, start, episodes: _success(eval_env, policy, start, episodes),
        sink=context.sink,
        interrupted=context.interrupted,
        save=lambda training: save_checkpoint(training, context.out / "checkpoint"),
    )
    if context.resume:
        load_checkpoint(training, context.out / "checkpoint")
    with _recorder(context, env, explore) as observers:
        training.observers = observers
        training.run()
    result = _finish(context, greedy, training, eval_env, noise)
    env.close()
    eval_env.close()
    return result


@contextmanager
def _recorder(context: Context, env: Env, policy: Policy) -> Iterator[tuple[Observer, ...]]:
    """Logs the stated fraction of the training episodes; a resumed run begins new files."""
    if context.log_fraction <= 0:
        yield ()
        return
    starts = len({path.name.rpartition("-row")[0] for path in (context.out / "log").glob("train-*.mcap")})
    meta = {"name": f"train-{starts:03d}", **context.scenario, "seed": context.seed}
    specs = (env.obs_spec, env.act_spec, policy.extra_spec)
    with Recorder(context.out / "log", *specs, meta, env.dt, fraction=context.log_fraction) as record:
        yield (record,)


def _longest(env: Env, online: OnlineConfig, rows: int) -> int:
    """Ticks that the gate's episodes can last, per round of collecting."""
    rounds = -(-online.held_out_episodes // rows)
    return rounds * (env.limit + 2)


def _demonstrations(context: Context, bundle: Bundle) -> list[Episode]:
    path = context.dataset or bundle.meta.get("dataset", "")
    dataset = load_dataset(path)
    bundle.require(dataset.obs_spec, dataset.act_spec, f"dataset={path}")
    return require_successes(list(dataset.episodes), path)


def _with_head(bundle: Bundle, demos: list[Episode], hidden: list[int], scale: float, context: Context) -> Bundle:
    """The bundle with a zero correction on its (frozen) base."""
    torch.manual_seed(context.seed)
    network = bundle.network.requires_grad_(False)
    features = Features(copy.deepcopy(network.observation), copy.deepcopy(network.action))
    half = torch.from_numpy(action_range(demos)[1]).float()
    low, high = (torch.from_numpy(np.array(b)) for b in (bundle.act_spec.low, bundle.act_spec.high))
    extra = bundle.policy_for("base").extra_spec.vector_size
    bound = scale * torch.clamp(half, min=0.05)
    head = ResidualHead(features.size(extra), hidden, bound, low, high)
    meta = bundle.meta | {**context.scenario, "base": context.base, "seed": context.seed}
    return dataclasses.replace(bundle, features=features, head=head, meta=meta).to(context.device)


def _learner(
    bundle: Bundle, hidden: list[int], heads: int, config: ResidualConfig, context: Context
) -> ResidualLearner:
    assert bundle.features is not None and bundle.head is not None
    generator = torch.Generator().manual_seed(context.seed + 1)
    size = bundle.features.size(bundle.policy_for("base").extra_spec.vector_size)
    critic = Critic(size, bundle.act_spec.size, hidden, heads, generator).to(context.device)
    return ResidualLearner(bundle.features, bundle.head, critic, config, context.seed + 2, context.device)


def _success(env: Env, policy: Policy, start: int, episodes: int) -> float:
    rows = evaluate(env, policy, start, episodes).rows
    return float(np.mean([row["success"] is True for row in rows]))


def _finish(context: Context, bundle: Bundle, training: OnlineTraining, env: Env, noise: float) -> dict[str, Any]:
    """Raw bundle, confirmation of the chosen checkpoint on seeds of their own, dither gap, promoted bundle."""
    assert bundle.head is not None
    progress, online = training.progress, training.config
    confirm, episodes = seed_of(Role.CONFIRM, context.seed), online.confirm_episodes
    bundle.meta |= {"env_steps_trained": progress.env_steps, "updates": progress.updates}
    bundle.save(context.out / "policy_raw")
    raw = _success(env, bundle.policy_for("residual"), confirm, episodes)
    segment = _choose(bundle, training, env, context.seed)
    chosen = _success(env, bundle.policy_for("residual"), confirm, episodes)
    noisy_policy = bundle.policy_for("residual", HeldNoise(bundle.act_spec.size, noise * online.noise_end))
    noisy = _success(env, noisy_policy, confirm, episodes)
    base = _success(env, bundle.policy_for("base"), confirm, episodes)
    promoted = "residual"
    if chosen <= base:
        promoted = "base"
        torch.nn.init.zeros_(bundle.head.gain)
    bundle.meta |= {
        "promoted": promoted,
        "segment": segment,
        "confirmed_success": max(chosen, base),
        "gate": progress.gate,
    }
    bundle.save(context.out / "policy")
    result = {
        "task": context.task, "run": str(context.out), "seed": context.seed, "promoted": promoted,
        "success_rate": max(chosen, base), "base_success": base, "raw_final_success": raw,
        "noisy_success_rate": noisy, "dither_gap": noisy - chosen, "episodes": episodes,
        "env_steps_trained": progress.env_steps, "updates": progress.updates, "utd": online.utd,
        "selection_episodes": progress.selection_episodes, "steps_to_95": steps_to(progress, 0.95),
        "wall_clock_to_95_s": steps_to(progress, 0.95, "wall_clock_s"), "gate": progress.gate,
        "wall_clock_s": progress.wall_clock_s, "history": progress.history,
    }  # fmt: skip
    write_json(context.out / "result.json", result)
    return result


def _choose(bundle: Bundle, training: OnlineTraining, env: Env, seed: int) -> int:
    """Leave the last correction in the bundle, or the best before it; returns its segment.

    The best of many evaluations was lucky, too: both run again, on fresh selection seeds, and the last one stays
    unless it does worse.
    """
    assert bundle.head is not None
    progress, episodes = training.progress, training.config.confirm_episodes
    last = progress.segment - 1
    if progress.best_segment == last:
        return last
    start = seed_of(Role.SELECT, seed, training.config.select_episodes)
    final = _success(env, bundle.policy_for("residual"), start, episodes)
    final_head = {key: value.clone() for key, value in bundle.head.state_dict().items()}
    bundle.head.load_state_dict(training.best_head)
    best = _success(env, bundle.policy_for("residual"), start, episodes)
    progress.selection_episodes += 2 * episodes
    if best > final:
        return progress.best_segment
    bundle.head.load_state_dict(final_head)
    return last


def steps_to(progress: Progress, success: float, unit: str = "env_steps") -> float | None:
    """Environment steps (or another column of the history) at the first evaluation that reached `success`."""
    return next((record[unit] for record in progress.history if record["success"] >= success), None)


def save_checkpoint(training: OnlineTraining, folder: Path) -> None:
    """Everything a resumed run needs, replaced atomically."""
    tensors = {f"learner.{key}": value for key, value in training.learner.state().items()}
    tensors |= {f"best.{key}": value for key, value in training.best_head.items()}
    for name, replay in (("replay", training.replay), ("held_out", training.held_out)):
        tensors |= {f"{name}.{key}": torch.from_numpy(value) for key, value in replay.state().items()}
    progress = json.dumps(dataclasses.asdict(training.progress)).encode()
    flat = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    write_folder(folder, {"tensors.safetensors": save(flat), "progress.json": progress})


def load_checkpoint(training: OnlineTraining, folder: Path) -> None:
    """Continue from a checkpoint; a fresh start where none was written yet."""
    place = next((p for p in (folder, folder.with_name(folder.name + ".old")) if (p / "progress.json").exists()), None)
    if place is None:
        return
    tensors = load_file(place / "tensors.safetensors")

    def part(name: str) -> dict[str, Any]:
        return {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)}

    training.learner.load(part("learner."))
    training.best_head = part("best.")
    for name, replay in (("replay.", training.replay), ("held_out.", training.held_out)):
        replay.load({key: value.numpy() for key, value in part(name).items()})
    training.progress = Progress(**json.loads((place / "progress.json").read_text()))
