"""`robo-rl train learner=residual|rlpd|ibrl|...`: learn online, on top of a frozen base or beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from policies import agents
from policies.actors import Actor
from policies.bundle import Bundle, load_bundle
from policies.chunk_actor import Beside, ChunkActor
from policies.compose import HeldNoise, Noise, Residual, UniformNoise
from robo_rl.app.context import Context, require_successes
from robo_rl.app.promote import finish, score
from robo_rl.app.runs import write_spec
from robo_rl.cameras import camera_keys
from robo_rl.data.dataset import load_dataset
from robo_rl.data.episode import Episode
from robo_rl.data.replay import Replay, replay_of
from robo_rl.env import Env
from robo_rl.errors import CorruptFile, UserError
from robo_rl.folders import whole, write_folder
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.online import OnlineConfig, OnlineTraining, Progress
from robo_rl.log.recorder import Recorder
from robo_rl.loop import Observer
from robo_rl.policy import Policy
from robo_rl.starts import DemonstrationStarts, StartsConfig

PRIOR_SCALE = 0.08  # bound of the warm-up's noise where no correction says how far to go, as a share of the range


@dataclass(frozen=True)
class Plan:
    """What a learner's configuration builds. The factories come from its yaml."""

    algorithm: Callable[..., ActorCritic]
    agent: Callable[..., agents.Agent]
    actor: Callable[..., Actor | ChunkActor]  # of (features, head, critic or None)
    exploration: Callable[..., Noise]  # of (action size, standard deviation)
    choose: bool  # act with the better of base and learned action
    shape: agents.Shape
    scale: float
    noise: float
    config: Any
    online: OnlineConfig


def train(
    context: Context, policy: Any, rows: int, eval_rows: int, hidden: list[int], heads: int, norm: bool, dropout: float,
    scale: float, noise: float, capacity: int, bootstrap_timeouts: bool, algorithm: Any, agent: Any, actor: Any,
    exploration: Any, choose: bool, config: Any, online: OnlineConfig, starts: StartsConfig,
    cameras: list[str] | None, eyes: str,
) -> dict[str, Any]:  # fmt: skip
    """Train, confirm the best checkpoint against the base, save it as a bundle; returns the result."""
    if config.eyes_frozen and eyes != "base":
        raise UserError(f"learner.config.eyes_frozen=true: needs learner.eyes=base, not {eyes}: fresh ones see nothing")
    shape = agents.Shape(hidden, heads, norm, dropout, cameras, eyes)
    plan = Plan(algorithm, agent, actor, exploration, choose, shape, scale, noise, config, online)
    env, eval_env = context.make_env(rows), context.make_env(eval_rows)
    write_spec(context.out, env)
    bundle, demos = start_from(context, env, cameras)
    env, begin = _with_starts(context, env, bundle, starts)
    corrects = getattr(plan.agent, "func", plan.agent) is agents.residual
    blind = dataclasses.replace(shape, cameras=())
    still = still_actor(bundle, seen_by(bundle, demos), blind, context, scale if corrects else None)
    learner = _learner(plan, bundle, seen_by(bundle, demos, config.actions), context)
    ladder = HeldNoise(env.act_spec.size, noise) if context.base else UniformNoise(env.act_spec.size, 1.0)
    extra, width = bundle.policy_for("base").extra_spec, env.act_spec.size
    made, pictures = (bundle.obs_spec, extra, width), keys_of(bundle, cameras)
    held_out = _held_out_steps(env, online, rows) if online.warmup_rounds else rows * 2
    training = OnlineTraining(
        env=env,
        prior=Residual(bundle.policy_for("base"), still, bundle.obs_spec, ladder),
        explore=_explore(plan, bundle, learner),
        greedy=_deployed(plan, bundle, learner, context).policy_for("residual"),
        learner=learner,
        replay=Replay(*made, rows, capacity, bootstrap_timeouts, pictures),
        demos=demos or Replay(*made, 1, 2),
        held_out=Replay(*made, rows, held_out, bootstrap_timeouts, pictures),
        config=online,
        seed=context.seed,
        evaluate=lambda policy, start, episodes: score(eval_env, policy, start, episodes),
        sink=context.sink,
        interrupted=context.interrupted,
        save=lambda training: save_checkpoint(training, context.out / "checkpoint"),
        begin=begin,
    )
    if context.resume:
        load_checkpoint(training, context.out / "checkpoint")
    with _recorder(context, env, training.explore) as observers:
        training.observers = observers
        training.run()
    exploration = plan.exploration(env.act_spec.size, noise * online.noise_end)
    deployed = _deployed(plan, bundle, learner, context)
    result = finish(context, deployed, training, eval_env, exploration, still if context.base else None)
    env.close()
    eval_env.close()
    return result


def _with_starts(context: Context, env: Env, bundle: Bundle, starts: StartsConfig) -> tuple[Env, Callable[[int], None]]:
    """The environment whose episodes begin in demonstrations as often as `starts` says, and what tells it how far
    training has come."""
    if not starts.share:
        return env, lambda steps: None
    if not context.base:
        raise UserError(f"learner.starts.share={starts.share}: needs demonstrations, and with them base=")
    if context.log_fraction:
        raise UserError(f"log_fraction={context.log_fraction}: no log can tell where an episode of starts.share began")
    started = DemonstrationStarts(env, _demonstrations(context, bundle), starts.furthest)

    def begin(steps: int) -> None:
        started.share = starts.share * max(0.0, 1 - steps / starts.until)

    return started, begin


def start_from(context: Context, env: Env, cameras: list[str] | None = None) -> tuple[Bundle, Replay | None]:
    """The base and its demonstrations, with pictures of these cameras (default those that the base sees); a base that
    does nothing, and none, for learning from nothing."""
    if not context.base:
        return agents.no_base(env.obs_spec, env.act_spec).to(context.device), None
    bundle = load_bundle(context.base, context.device, "base")
    bundle.require(env.obs_spec, env.act_spec, f"task={context.task}")
    bundle.network.requires_grad_(False)
    demonstrations, base = _demonstrations(context, bundle), bundle.policy_for("base")
    return bundle, replay_of(demonstrations, base, bundle.obs_spec, keys_of(bundle, cameras))


def keys_of(bundle: Bundle, cameras: list[str] | None) -> tuple[str, ...]:
    """Observation keys of the pictures that a learner on the bundle keeps."""
    return camera_keys(bundle.obs_spec, bundle.cameras if cameras is None else cameras, "learner.cameras")


def _demonstrations(context: Context, bundle: Bundle) -> list[Episode]:
    path = context.dataset or bundle.meta.get("dataset", "")
    dataset = load_dataset(path)
    bundle.require(dataset.obs_spec, dataset.act_spec, f"dataset={path}")
    return require_successes(list(dataset.episodes), path)


def seen_by(bundle: Bundle, demos: Replay | None, actions: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Packed observations (F, D) and what was executed from there on, (F, actions * A), in the demonstrations; the
    action range where there are none."""
    if demos is not None:
        batch = demos.gather(demos.starts(), actions=actions, pictures=False)
        return batch.obs, batch.action
    bounds = [np.broadcast_to(bound, bundle.act_spec.shape) for bound in (bundle.act_spec.low, bundle.act_spec.high)]
    return np.zeros((2, bundle.obs_spec.vector_size), np.float32), np.tile(np.stack(bounds), actions).astype(np.float32)


def _learner(plan: Plan, bundle: Bundle, seen: tuple[np.ndarray, np.ndarray], context: Context) -> ActorCritic:
    agent = plan.agent(bundle, *seen, plan.shape, plan.scale, context.seed)
    parts = [part.to(context.device) for part in (agent.features, agent.head, agent.critic)]
    return plan.algorithm(*parts, plan.config, context.seed + 2, context.device)


def still_actor(
    bundle: Bundle, seen: tuple[np.ndarray, np.ndarray], shape: agents.Shape, context: Context, scale: float | None
) -> Actor:
    """An actor that leaves the base as it is; without a base, one that rests in the middle of its range.

    `scale` is the correction's, where the learner learns one.
    """
    if not context.base:
        agent = agents.own(bundle, *seen, shape, 0.0, context.seed, head="deterministic")
    else:
        agent = agents.residual(bundle, *seen, shape, PRIOR_SCALE if scale is None else scale, context.seed)
    return Actor(agent.features, agent.head).to(context.device)


def _explore(plan: Plan, bundle: Bundle, learner: ActorCritic) -> Residual | Beside:
    """The learner's actor, with exploration."""
    critic = learner.target_critic if plan.choose else None
    actor = plan.actor(learner.features, learner.head, critic)
    return bundle.acting(actor, plan.exploration(bundle.act_spec.size, plan.noise))


def _deployed(plan: Plan, bundle: Bundle, learner: ActorCritic, context: Context) -> Bundle:
    """The bundle with what the learner deploys; it follows as the learner goes on."""
    actor = plan.actor(learner.features, **learner.deployed)
    meta = bundle.meta | {**context.scenario, "base": context.base, "seed": context.seed}
    return dataclasses.replace(bundle, actor=actor, meta=meta)


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


def _held_out_steps(env: Env, online: OnlineConfig, rows: int) -> int:
    """Steps that the gate's episodes can take, in as many rounds of collecting as there can be."""
    rounds = -(-online.held_out_episodes // rows)
    return rows * 4 * 2 * rounds * (env.limit + 2)


def save_checkpoint(training: OnlineTraining, folder: Path) -> None:
    """Everything a resumed run needs, replaced atomically."""
    tensors = {f"learner.{key}": value for key, value in training.learner.state().items()}
    tensors |= {f"best.{key}": value for key, value in training.best.items()}
    for name, replay in (("replay", training.replay), ("held_out", training.held_out)):
        tensors |= {f"{name}.{key}": torch.from_numpy(value) for key, value in replay.state().items()}
    write_checkpoint(folder, tensors, dataclasses.asdict(training.progress))


def load_checkpoint(training: OnlineTraining, folder: Path) -> None:
    """Continue from a checkpoint; a fresh start where none was written yet. Raises `CorruptFile`."""
    with read_checkpoint(folder) as found:
        if found is None:
            return
        part, progress = found
        training.learner.load(part("learner."))
        training.best = part("best.")
        for name, replay in (("replay.", training.replay), ("held_out.", training.held_out)):
            replay.load({key: value.numpy() for key, value in part(name).items()})
        training.progress = Progress(**progress)


@contextmanager
def read_checkpoint(folder: Path) -> Iterator[tuple[Callable[[str], dict[str, Any]], dict[str, Any]] | None]:
    """What gives the tensors of a prefix, and the progress; None where no checkpoint is yet. What goes wrong while
    they are put to use is the file's fault, too: a `CorruptFile`."""
    if (place := whole(folder, "progress.json")) is None:
        yield None
        return
    try:
        tensors = load_file(place / "tensors.safetensors")

        def part(name: str) -> dict[str, Any]:
            return {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)}

        yield part, json.loads((place / "progress.json").read_text())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        why = (str(error).splitlines() or [""])[0]
        raise CorruptFile(f"resume=true: {place} cannot be read ({type(error).__name__}: {why})") from error


def write_checkpoint(folder: Path, tensors: Mapping[str, torch.Tensor], progress: Mapping[str, Any]) -> None:
    """Replace a checkpoint atomically."""
    flat = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    write_folder(folder, {"tensors.safetensors": save(flat), "progress.json": json.dumps(progress).encode()})
