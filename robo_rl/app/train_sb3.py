"""`robo-rl train learner=sb3 algo=sac|td3|ppo`: Stable-Baselines3 on the same tasks, inputs, actions and prior data.

What it learns becomes a bundle like any other. SB3's own checkpoints are pickles, so a run cannot be resumed.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from policies import agents
from policies.actors import Actor
from policies.bundle import Bundle
from policies.compose import HeldNoise, Residual, UniformNoise, WhiteNoise
from robo_rl.adapt.sb3 import FramedVecEnv
from robo_rl.app.context import Context
from robo_rl.app.promote import finish, score
from robo_rl.app.runs import write_spec
from robo_rl.app.train_online import seen_by, start_from, still_actor
from robo_rl.data.replay import Batch, Replay
from robo_rl.env import Env
from robo_rl.errors import UnknownName, UserError
from robo_rl.learn.online import OnlineConfig, Progress
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Role, Seeds, seed_of

ALGORITHMS = {"sac": stable_baselines3.SAC, "td3": stable_baselines3.TD3, "ppo": stable_baselines3.PPO}
ROLLOUT = 2048  # PPO's environment steps between updates
HEAD = {"sac": "gaussian", "td3": "deterministic", "ppo": "linear"}


def train(
    context: Context, policy: Any, algo: str, rows: int, eval_rows: int, hidden: list[int], scale: float, noise: float,
    capacity: int, arguments: dict[str, Any], online: OnlineConfig,
) -> dict[str, Any]:  # fmt: skip
    """Prior data into its replay, segments of `learn` and evaluation, then the same end as every run."""
    if algo not in ALGORITHMS:
        raise UnknownName("learner.algo", algo, ALGORITHMS)
    valid = inspect.signature(ALGORITHMS[algo]).parameters.keys() - {"policy", "env", "_init_setup_model"}
    if unknown := sorted(arguments.keys() - valid):
        raise UnknownName("learner.arguments", unknown[0], valid)
    env, eval_env = context.make_env(rows), context.make_env(eval_rows)
    write_spec(context.out, env)
    bundle, demos = start_from(context, env, [])
    seen, shape = seen_by(bundle, demos), agents.Shape(hidden, 1, norm=False, cameras=())
    agent = agents.own(bundle, *seen, shape, scale, context.seed, HEAD[algo])
    actor = Actor(agent.features, agent.head)
    meta = bundle.meta | {**context.scenario, "base": context.base, "seed": context.seed}
    deployed = dataclasses.replace(bundle, actor=actor, meta=meta)
    model = _model(algo, _framed(env, actor, context), hidden, capacity, arguments, online, context)
    training = Sb3Training(model, algo, actor, online, context, deployed, eval_env)
    still = still_actor(bundle, seen, shape, context, None)
    if isinstance(model, OffPolicyAlgorithm):
        training.fill(env, demos, _prior(bundle, still, noise, context), capacity)
    training.run()
    exploration = WhiteNoise(env.act_spec.size, 1.0 if algo == "sac" else noise)
    result = finish(context, deployed, training, eval_env, exploration, still if context.base else None)
    env.close()
    eval_env.close()
    return result


def _framed(env: Env, actor: Actor, context: Context) -> FramedVecEnv:
    def inputs(obs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return actor.features.observation(torch.from_numpy(obs)).numpy()

    def executed(obs: np.ndarray, u: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            reference = actor.features.reference(torch.from_numpy(obs), torch.zeros(u.shape))
            return actor.head.executed(reference, torch.from_numpy(u)).numpy()

    return FramedVecEnv(env, seed_of(Role.TRAIN, context.seed), inputs, executed, actor.features.size(0))


def _model(
    algo: str, env: FramedVecEnv, hidden: list[int], capacity: int, arguments: dict[str, Any], online: OnlineConfig,
    context: Context,
) -> Any:  # fmt: skip
    given: dict[str, Any] = {"seed": context.seed, "device": context.device, "batch_size": online.batch}
    given["policy_kwargs"] = {"net_arch": list(hidden), "activation_fn": nn.ReLU}
    if algo != "ppo":
        updates = max(1, round(online.utd * env.num_envs))  # a step of all rows
        given |= {"buffer_size": capacity, "learning_starts": 0, "train_freq": 1, "gradient_steps": updates}
    else:
        given["n_steps"] = max(16, ROLLOUT // env.num_envs)
    try:
        return ALGORITHMS[algo]("MlpPolicy", env, **{**given, **arguments})
    except (TypeError, ValueError, AssertionError) as error:
        if not arguments:
            raise
        raise UserError(f"learner.arguments={arguments}: {algo} does not take them: {error}".splitlines()[0]) from error


def _prior(bundle: Bundle, still: Actor, noise: float, context: Context) -> Policy:
    size = bundle.act_spec.size
    ladder = HeldNoise(size, noise) if context.base else UniformNoise(size, 1.0)
    return Residual(bundle.policy_for("base"), still, bundle.obs_spec, ladder)


class Sb3Training:
    """Segments of `learn`; after each, SB3's actor is copied into ours and evaluated."""

    def __init__(
        self, model: Any, algo: str, actor: Actor, config: OnlineConfig, context: Context, bundle: Bundle, eval_env: Env
    ) -> None:
        self.model, self.algo, self.actor, self.config, self.context = model, algo, actor, config, context
        self.greedy, self.eval_env = bundle.policy_for("residual"), eval_env
        self.progress = Progress(gate="none")
        self.best = self.deployed_copy()
        self._started, self._started_cpu = time.monotonic(), time.process_time()

    def fill(self, env: Env, demos: Replay | None, prior: Policy, capacity: int) -> None:
        """Episodes of the base with the noise ladder, and the demonstrations, into SB3's replay."""
        extra, width = prior.extra_spec, env.act_spec.size
        replay = Replay(env.obs_spec, extra, width, env.n, capacity)
        start = seed_of(Role.TRAIN, self.context.seed)
        run(env, prior, lambda step: step.exhausted, Seeds(start, self.config.warmup_episodes), [replay.add])
        self.progress.env_steps = self.progress.warmup_steps = replay.steps
        for source in (replay, *([demos] if demos else [])):
            _into(self.model.replay_buffer, source.gather(source.starts(), 1, 1.0), self.actor)

    def run(self) -> None:
        progress, config = self.progress, self.config
        self._finish_segment()
        while progress.env_steps < config.steps:
            steps = min(config.segment, config.steps - progress.env_steps)
            callback = _Stop(self.context.interrupted)
            self.model.learn(steps, callback=callback, reset_num_timesteps=False, log_interval=None)
            if self.context.interrupted():
                raise KeyboardInterrupt
            progress.env_steps = progress.warmup_steps + self.model.num_timesteps
            progress.updates = self.model._n_updates
            self._finish_segment()

    def _finish_segment(self) -> None:
        progress, config = self.progress, self.config
        _copy(self.model, self.algo, self.actor)
        seed = seed_of(Role.SELECT, self.context.seed)
        success = score(self.eval_env, self.greedy, seed, config.select_episodes)
        progress.selection_episodes += config.select_episodes
        if success > progress.best:
            progress.best, progress.best_segment, self.best = success, progress.segment, self.deployed_copy()
        progress.segment += 1
        progress.wall_clock_s = time.monotonic() - self._started
        progress.cpu_s = time.process_time() - self._started_cpu
        record = {
            "env_steps": progress.env_steps,
            "updates": progress.updates,
            "success": success,
            "wall_clock_s": progress.wall_clock_s,
            "cpu_s": progress.cpu_s,
        }
        progress.history.append(record)
        self.context.sink.write(progress.env_steps, record)

    def deployed_copy(self) -> dict[str, torch.Tensor]:
        return {key: value.clone() for key, value in self.actor.head.state_dict().items()}

    def deploy(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.actor.head.load_state_dict(dict(weights))


class _Stop(BaseCallback):
    """Ends `learn` between two steps when somebody pressed Ctrl-C."""

    def __init__(self, asked: Any) -> None:
        super().__init__()
        self._asked = asked

    def _on_step(self) -> bool:
        return not self._asked()


def _into(buffer: Any, batch: Batch, actor: Actor) -> None:
    """Transitions into SB3's replay, in rows of its environments; what does not fill a row is left out."""
    with torch.inference_mode():
        obs, following = (torch.from_numpy(x) for x in (batch.obs, batch.next_obs))
        reference = actor.features.reference(obs, torch.from_numpy(batch.extra))
        u = actor.head.relative(reference, torch.from_numpy(batch.action)).clamp(-1, 1).numpy()
        now, then = (actor.features.observation(x).numpy() for x in (obs, following))
    done, n = (batch.discount == 0).astype(np.float32), buffer.n_envs
    for i in range(0, len(u) - n + 1, n):
        part = slice(i, i + n)
        buffer.add(now[part], then[part], u[part], batch.reward[part], done[part], [{} for _ in range(n)])


def _copy(model: Any, algo: str, actor: Actor) -> None:
    """SB3's actor into ours."""
    if algo == "sac":
        last = [torch.cat([getattr(model.actor.mu, k), getattr(model.actor.log_std, k)]) for k in ("weight", "bias")]
        bodies = [model.actor.latent_pi]
    elif algo == "td3":
        last, bodies = None, [model.actor.mu]
    else:
        last, bodies = None, [model.policy.mlp_extractor.policy_net, model.policy.action_net]
    layers = [layer for body in bodies for layer in body.modules() if isinstance(layer, nn.Linear)]
    values = [(layer.weight, layer.bias) for layer in layers] + ([(last[0], last[1])] if last else [])
    mine = [layer for layer in actor.head.body if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for (weight, bias), layer in zip(values, mine, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
