"""What the benchmarks run on: the default task, and policies and learners of the default sizes, untrained."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import DictConfig

from policies import agents
from policies.actors import Actor, Critic, Features, ResidualHead
from policies.bundle import Bundle
from policies.networks import ChunkNet, Inputs, Normalise, like_pairs
from robo_rl.app.build import make_env, scenario
from robo_rl.app.compose import compose
from robo_rl.data.replay import Replay
from robo_rl.env import RigEnv
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.residual import ResidualConfig, ResidualLearner
from robo_rl.learn.sac import SACConfig, SACLearner
from robo_rl.learn.td3 import TD3Config, TD3Learner
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Reason, Step, Success

TASK = "so101/insert_peg"  # the command line's default
HORIZON, EXECUTE = 16, 8  # configs/policy/mlp.yaml
PLANNER = (256, 256, 256)
HIDDEN = (256, 256)  # configs/learner/residual.yaml
HOME = (0.0, -0.75, 0.45, 1.55, 0.0, 0.5)  # [rad], near the home pose
LENGTH = 150  # [ticks] of a made-up episode
ALIKE: dict[str, tuple[str, Any, Any]] = {
    "TD3": ("deterministic", TD3Learner, TD3Config()),
    "SAC": ("gaussian", SACLearner, SACConfig()),
}
"""Head, learner and numbers."""


@functools.cache
def config(task: str = TASK) -> DictConfig:
    """The command line's defaults for a task on its own robot."""
    return compose("evaluate", [f"task={task}"])


def task_env(n: int, task: str = TASK) -> RigEnv:
    """N rows of a task."""
    env = make_env(config(task).task, config(task).robot, n)
    assert isinstance(env, RigEnv)
    return env


@functools.cache
def specs() -> tuple[Spec, Feature]:
    """Observation and action spec of the default task."""
    env = task_env(1)
    env.close()
    return env.obs_spec, env.act_spec


def make_bundle(seed: int = 0) -> Bundle:
    """An untrained policy of the default size that stays near the home pose."""
    torch.manual_seed(seed)
    obs_spec, act_spec = specs()
    actions = act_spec.size
    around = Normalise(torch.tensor(HOME), torch.full((actions,), 0.05))
    network = ChunkNet(_inputs(obs_spec), around, HORIZON, PLANNER).requires_grad_(False)
    bundle = Bundle(obs_spec, act_spec, network, EXECUTE, meta=scenario(config()) | {"env_steps_trained": 0})
    features = Features(_inputs(obs_spec), Normalise(torch.zeros(actions), torch.ones(actions)))
    low, high = (torch.from_numpy(np.array(bound)) for bound in (act_spec.low, act_spec.high))
    size = features.size(bundle.policy_for("base").extra_spec.vector_size)
    bundle.actor = Actor(features, ResidualHead(size, HIDDEN, torch.full((actions,), 0.05), low, high))
    return bundle


def feature_size(bundle: Bundle) -> int:
    """Width of what critic and correction see."""
    assert bundle.actor is not None
    return bundle.actor.features.size(bundle.policy_for("base").extra_spec.vector_size)


def save_bundle(folder: Path) -> Path:
    """A run folder with that policy."""
    make_bundle().save(folder / "policy")
    return folder


def make_learner(heads: int) -> ResidualLearner:
    """A residual learner of the default size whose actor learns."""
    bundle = make_bundle()
    assert bundle.actor is not None
    features, head = bundle.actor.features, cast(Any, bundle.actor.head)
    critic = Critic(feature_size(bundle), bundle.act_spec.size, HIDDEN, heads, torch.Generator().manual_seed(1))
    learner = ResidualLearner(features, head, critic, ResidualConfig(), 2, "cpu")
    learner.actor_enabled = True
    return learner


def make_alike(algorithm: str, heads: int) -> ActorCritic:
    """TD3's or SAC's learner with what Stable-Baselines3's has: no LayerNorm, the same sizes."""
    bundle, (obs_spec, act_spec), rng = make_bundle(), specs(), np.random.default_rng(0)
    obs, action = (rng.standard_normal((2, size), np.float32) for size in (obs_spec.vector_size, act_spec.size))
    shape, (head, learner, rule) = agents.Shape(list(HIDDEN), heads, norm=False, cameras=()), ALIKE[algorithm]
    agent = agents.own(bundle, obs, action, shape, 0.0, 1, head)
    made = learner(agent.features, agent.head, agent.critic, rule, 2, "cpu")
    made.actor_enabled = True
    return made


def fill_replay(steps: int, rows: int = 32) -> Replay:
    """A replay full of made-up episodes of the default task."""
    obs_spec, act_spec = specs()
    extra_spec = make_bundle().policy_for("base").extra_spec
    replay, rng = Replay(obs_spec, extra_spec, act_spec.size, rows, steps), np.random.default_rng(0)
    for tick in range(replay.length):
        value = act_spec.clip(rng.standard_normal((rows, act_spec.size)))
        replay.add(_made_up(obs_spec, tick, rows, value, rng), Action(value, extra_spec.sample(rows, rng)))
    return replay


def _made_up(obs_spec: Spec, tick: int, rows: int, applied: np.ndarray, rng: np.random.Generator) -> Step:
    place = (tick + np.arange(rows) * 5) % LENGTH
    last = place == LENGTH - 1
    return Step(
        obs=obs_spec.sample(rows, rng),
        reward=last.astype(np.float32),
        discount=np.where(last, 0, 1).astype(np.float32),
        kind=np.where(last, Kind.LAST, np.where(place == 0, Kind.FIRST, Kind.MID)).astype(np.uint8),
        applied=applied,
        success=np.full(rows, Success.NO, np.int8),
        reason=np.full(rows, Reason.RUNNING, np.uint8),
        seed=np.arange(rows),
    )


def _inputs(obs_spec: Spec) -> Inputs:
    """Unit statistics."""
    pairs = like_pairs(obs_spec)
    size = obs_spec.vector_size + len(pairs)
    return Inputs(torch.zeros(size), torch.ones(size), pairs)
