"""SAC and TD3 against Stable-Baselines3: from the same weights, batches and noise, updates give the same weights."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor, nn

from policies.actors import Critic, GaussianHead, Head, OwnFeatures, ResidualHead
from policies.networks import Inputs, Normalise
from robo_rl.data.replay import Batch
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.sac import SACConfig, SACLearner
from robo_rl.learn.td3 import TD3Config, TD3Learner

OBS, A, ROWS, HIDDEN = 3, 1, 32, [16, 16]
ENDLESS = {"clip": 1e9, "actor_clip": 1e9, "value_low": -1e9, "value_high": 1e9}


def batch_of(seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    obs, following = (rng.normal(size=(ROWS, OBS)).astype(np.float32) for _ in range(2))
    action = rng.uniform(-1, 1, (ROWS, A)).astype(np.float32)
    reward = rng.normal(size=ROWS).astype(np.float32)
    ended = rng.uniform(size=ROWS) < 0.2
    discount = np.where(ended, 0, 0.99).astype(np.float32)
    extra = np.zeros((ROWS, A), np.float32)
    return Batch(obs, extra, action, reward, discount, following, extra, reward)


def give_sb3(model: Any, batch: Batch) -> None:
    """Let its replay return this batch."""
    obs, action, following = (torch.from_numpy(x) for x in (batch.obs, batch.action, batch.next_obs))
    done, reward = (torch.from_numpy(x)[:, None] for x in (1 - batch.discount / 0.99, batch.reward))
    samples = ReplayBufferSamples(obs, action, following, done, reward)
    model.replay_buffer.sample = lambda *_, **__: samples


def sb3(kind: type, **more: Any) -> Any:
    env = gymnasium.make("Pendulum-v1")  # only its spaces are used
    env.action_space = gymnasium.spaces.Box(-1.0, 1.0, (A,), np.float32)
    torch.manual_seed(3)
    model = kind("MlpPolicy", env, batch_size=ROWS, policy_kwargs={"net_arch": HIDDEN}, seed=3, device="cpu", **more)
    model.set_logger(Logger(None, []))
    return model


def copy_linear(source: nn.Linear, target: nn.Linear) -> None:
    target.weight.data.copy_(source.weight.data)
    target.bias.data.copy_(source.bias.data)


def layers(body: nn.Module) -> list[nn.Linear]:
    return [layer for layer in body.modules() if isinstance(layer, nn.Linear)]


def copy_critic(source: Any, target: Critic) -> None:
    for k, net in enumerate(source.q_networks):
        for i, layer in enumerate(layers(net)):
            weight = layer.weight.data.T
            if i == 0:
                target.net.late.data[k], weight = weight[OBS:], weight[:OBS]
            getattr(target.net, f"weight{i}").data[k] = weight
            getattr(target.net, f"bias{i}").data[k, 0] = layer.bias.data


def networks(head: type[Head], model: Any) -> tuple[OwnFeatures, Head, Critic]:
    identity = torch.zeros((0, 2), dtype=torch.long)
    features = OwnFeatures(
        Inputs(torch.zeros(OBS), torch.ones(OBS), identity),
        Normalise(torch.zeros(A), torch.ones(A)),
        torch.zeros(A),
        None,
    )
    one = torch.ones(A)
    actor = head(OBS, HIDDEN, one, -one, one, norm=False)
    critic = Critic(OBS, A, HIDDEN, 2, torch.Generator(), norm=False, own=True)
    copy_critic(model.critic, critic)
    mine = layers(actor.body)
    if head is GaussianHead:
        theirs = layers(model.actor.latent_pi)
        with torch.no_grad():
            for place, part in ((slice(None, A), model.actor.mu), (slice(A, None), model.actor.log_std)):
                mine[-1].weight[place], mine[-1].bias[place] = part.weight, part.bias
    else:
        theirs = layers(model.actor.mu)
    for source, target in zip(theirs, mine, strict=False):
        copy_linear(source, target)
    return features, actor, critic


def critic_weights(model: Any, critic: Any) -> tuple[Tensor, Tensor]:
    twin = Critic(OBS, A, HIDDEN, 2, torch.Generator(), norm=False, own=True)
    copy_critic(model, twin)
    return nn.utils.parameters_to_vector(twin.parameters()), nn.utils.parameters_to_vector(critic.parameters())


def assert_equal(model: Any, learner: ActorCritic, batch: Batch) -> None:
    for theirs, mine in ((model.critic, learner.critic), (model.critic_target, learner.target_critic)):
        a, b = critic_weights(theirs, mine)
        torch.testing.assert_close(a, b, atol=3e-6, rtol=1e-4)
    obs = torch.from_numpy(batch.obs)
    with torch.no_grad():
        torch.testing.assert_close(model.actor(obs, True) if isinstance(model, SAC) else model.actor(obs),
                                   learner.head(obs), atol=3e-6, rtol=1e-4)  # fmt: skip


def with_noise(learner: ActorCritic, *draws: Tensor) -> None:
    """The noise of its next draws, in that order."""
    queue = list(draws)
    learner._noise = lambda like: queue.pop(0)  # type: ignore[method-assign]


def test_sac_updates_equal_sb3s() -> None:
    model = sb3(SAC, ent_coef="auto_0.5", target_entropy=-float(A))
    config = SACConfig(temperature=0.5, **ENDLESS)
    learner = SACLearner(*networks(GaussianHead, model), config, 0, "cpu")
    learner.actor_enabled = True
    for i in range(5):
        batch = batch_of(i)
        give_sb3(model, batch)
        torch.manual_seed(100 + i)
        acting, following = (torch.empty(ROWS, A).normal_() for _ in range(2))  # the order in which SB3 draws
        torch.manual_seed(100 + i)
        model.train(1, ROWS)
        with_noise(learner, following, acting)
        learner.update(batch)
        assert_equal(model, learner, batch)
        assert learner.log_temperature.item() == pytest.approx(model.log_ent_coef.item(), abs=1e-6)


def test_td3_updates_equal_sb3s() -> None:
    """SB3's actor climbs the first critic, ours the mean: with twins of one critic these are the same. SB3 moves its
    target critic with the actor: a delay of one."""
    model = sb3(TD3, policy_delay=1, target_policy_noise=0.2, target_noise_clip=0.5, learning_rate=3e-4)
    for critics in (model.critic, model.critic_target):
        critics.q_networks[1].load_state_dict(critics.q_networks[0].state_dict())
    learner = TD3Learner(*networks(ResidualHead, model), TD3Config(actor_every=1, **ENDLESS), 0, "cpu")
    learner.actor_enabled = True
    for i in range(5):
        batch = batch_of(i)
        give_sb3(model, batch)
        torch.manual_seed(200 + i)
        noise = torch.empty(ROWS, A).normal_()
        torch.manual_seed(200 + i)
        model.train(1, ROWS)
        with_noise(learner, noise)
        learner.update(batch)
        assert_equal(model, learner, batch)
