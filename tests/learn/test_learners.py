"""What the learners beside the residual promise: which action is backed up and executed, and that they learn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.actors import Actor, Critic, Features, GaussianHead, Head, OwnFeatures, ResidualHead
from policies.networks import Inputs, Normalise
from robo_rl.data.replay import Batch
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.diagnose import dead_units, effective_rank, warnings
from robo_rl.learn.expo import EXPOConfig, EXPOLearner
from robo_rl.learn.ibrl import IBRLConfig, IBRLLearner
from robo_rl.learn.rlpd import RLPDConfig, RLPDLearner
from robo_rl.learn.sac import SACConfig, SACLearner
from robo_rl.learn.td3 import TD3Config, TD3Learner

A, OBS, EXTRA, ROWS = 2, 4, 5, 64
Make = Callable[[], ActorCritic]


def inputs() -> Inputs:
    return Inputs(torch.zeros(OBS), torch.ones(OBS), torch.zeros((0, 2), dtype=torch.long))


def parts(head: type[Head], own: bool, dropout: float = 0.0) -> tuple[Any, Any, Critic]:
    torch.manual_seed(0)
    unit, one = Normalise(torch.zeros(A), torch.ones(A)), torch.ones(A)
    features = OwnFeatures(inputs(), unit, 0.1 * one, 0) if own else Features(inputs(), unit)
    size = features.size(EXTRA)
    made = head(size, [16], 0.5 * one, -one, one, dropout=dropout).eval()
    critic = Critic(size, A, [16, 16], 3, torch.Generator().manual_seed(1), own=own)
    return features, made, critic


def make(name: str, **config: Any) -> ActorCritic:
    makers: dict[str, Make] = {
        "td3": lambda: TD3Learner(*parts(ResidualHead, True), TD3Config(**config), 2, "cpu"),
        "sac": lambda: SACLearner(*parts(GaussianHead, True), SACConfig(**config), 2, "cpu"),
        "rlpd": lambda: RLPDLearner(*parts(GaussianHead, True), RLPDConfig(**config), 2, "cpu"),
        "ibrl": lambda: IBRLLearner(*parts(ResidualHead, True, 0.5), IBRLConfig(**config), 2, "cpu"),
        "expo": lambda: EXPOLearner(*parts(GaussianHead, False), EXPOConfig(**config), 2, "cpu"),
    }
    learner = makers[name]()
    learner.actor_enabled = True
    return learner


def bandit(seed: int) -> Batch:
    """One-step episodes: reward 1 for executed actions near the reference plus 0.3, else less."""
    rng = np.random.default_rng(seed)
    obs = rng.uniform(-0.3, 0.3, (ROWS, OBS)).astype(np.float32)
    extra = np.concatenate([obs[:, :A], rng.uniform(-1, 1, (ROWS, EXTRA - A))], 1).astype(np.float32)
    action = (obs[:, :A] + rng.uniform(-0.5, 0.5, (ROWS, A))).astype(np.float32)
    reward = np.exp(-8 * np.square(action - obs[:, :A] - 0.3).sum(1)).astype(np.float32)
    return Batch(obs, extra, action, reward, np.zeros(ROWS, np.float32), obs, extra, reward)


@pytest.mark.parametrize("name", ["td3", "sac", "rlpd", "ibrl", "expo"])
def test_it_finds_the_better_action(name: str) -> None:
    learner = make(name, critic_lr=3e-3, actor_lr=3e-3, **({} if name in ("td3", "ibrl") else {"temperature": 0.01}))
    for i in range(400):
        learner.update(bandit(i))
    rows = learner._tensors(bandit(1000))
    with torch.no_grad():
        action = learner.head.executed(rows["reference"], learner.head(rows["features"]))
    away = (action - rows["obs"][:, :A] - 0.3).abs().mean().item()
    assert away < 0.12  # it begins 0.2 (own) or 0.3 (on the base) away


@pytest.mark.parametrize("name", ["sac", "ibrl", "expo"])
def test_state_resumes_bit_for_bit(name: str) -> None:
    learner, other = make(name), make(name)
    torch.manual_seed(5)
    for i in range(4):
        learner.update(bandit(i))
    other.load({key: value.clone() for key, value in learner.state().items()})
    for one in (learner, other):
        torch.manual_seed(6)  # dropout draws from the global generator
        for i in range(4, 8):
            one.update(bandit(i))
    assert all(torch.equal(value, other.state()[key]) for key, value in learner.state().items())


@pytest.mark.parametrize("name", ["ibrl", "expo"])
def test_the_better_of_two_actions_is_backed_up_and_executed(name: str) -> None:
    learner = make(name)
    rows = learner._tensors(bandit(0))
    good, bad = rows["next_base"], rows["next_base"] + 0.5

    def value(_: Any, action: Tensor, relative: Tensor, heads: Tensor | None = None) -> Tensor:
        return -(action - good).abs().sum(1).expand(2, -1)

    learner.target_critic = type("Fake", (), {"embed": lambda *_: None, "__call__": staticmethod(value)})()
    both = learner._target_value(rows, bad, good)
    assert torch.equal(both, learner._target_value(rows, good)) and (both > learner._target_value(rows, bad)).all()


def test_an_actor_with_a_critic_executes_what_the_critic_prefers() -> None:
    features, head, critic = parts(ResidualHead, False)
    torch.nn.init.constant_(head.body[-1].bias, 3.0)  # a correction of nearly the whole bound
    extra = torch.from_numpy(bandit(0).extra)
    obs, silence = torch.from_numpy(bandit(0).obs), torch.zeros(ROWS, A)
    alone = Actor(features, head)(obs, extra, silence)
    chosen = Actor(features, head, critic)(obs, extra, silence)
    embedded = critic.embed(features(obs, extra))

    def worth(action: Tensor) -> Tensor:
        return critic(embedded, features.action(action), head.relative(extra[:, :A], action)).mean(0)

    better = worth(alone) > worth(extra[:, :A])
    assert torch.equal(chosen, torch.where(better[:, None], alone, extra[:, :A]))


def test_without_entropy_backup_the_density_does_not_enter_the_target() -> None:
    batch = dataclasses.replace(bandit(0), discount=np.full(ROWS, 0.9, np.float32))
    values = {}
    for backup in (True, False):
        learner = make("sac", entropy_backup=backup, temperature=10.0, value_low=-1e9, value_high=1e9)
        values[backup] = learner._next_value(learner._tensors(batch)).detach()
    with torch.no_grad():
        learner = make("sac")
        _, density = learner.head.sample(learner._tensors(batch)["next_features"], learner._noise(torch.zeros(ROWS, A)))
    torch.testing.assert_close(values[False] - values[True], 10.0 * density, atol=1e-3, rtol=1e-4)


def test_diagnostics_of_made_up_activations() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 32))
    assert effective_rank(low) == 3 and effective_rank(rng.normal(size=(2000, 32))) >= 30
    hidden = np.abs(rng.normal(size=(2, 50, 8)))
    hidden[0, :, :4] = 0.0
    assert dead_units(hidden) == 0.25
    assert warnings({"saturated_share": 0.05}) == []
    assert "scale too small" in warnings({"saturated_share": 0.4})[0]
