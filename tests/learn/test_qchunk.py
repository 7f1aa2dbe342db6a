"""Q-chunking: the best proposal is backed up, and executing the best of some beats imitating all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.actors import Critic
from policies.chunk_actor import ChunkActor, ChunkFeatures
from policies.flow import FlowHead
from policies.networks import Inputs, Normalise
from robo_rl.data.replay import Batch
from robo_rl.errors import UserError
from robo_rl.learn.qchunk import QChunkConfig, QChunkLearner
from tests.learn.test_learners import make as make_other

A, H, OBS, ROWS = 2, 3, 4, 256


def parts() -> tuple[ChunkFeatures, FlowHead, Critic]:
    torch.manual_seed(0)
    inputs = Inputs(torch.zeros(OBS), torch.ones(OBS), torch.zeros((0, 2), dtype=torch.long))
    features = ChunkFeatures(inputs, Normalise(torch.zeros(A), torch.ones(A)), torch.zeros(A * H), 0)
    one = torch.ones(A * H)
    head = FlowHead(OBS, [64, 64], one, -2 * one, 2 * one)
    return features, head, Critic(OBS, A * H, [32, 32], 2, torch.Generator().manual_seed(1), own=True)


def learner() -> QChunkLearner:
    made = QChunkLearner(*parts(), QChunkConfig(actions=H, n_step=H, critic_lr=3e-3, actor_lr=3e-3), 2, "cpu")
    made.actor_enabled = True
    return made


def both_ways(seed: int) -> Batch:
    """Chunks 0.6 to either side of the setpoint, half of them each; those to the right earn 1."""
    rng = np.random.default_rng(seed)
    obs = rng.uniform(-0.2, 0.2, (ROWS, OBS)).astype(np.float32)
    right = rng.uniform(size=(ROWS, 1)) < 0.5
    away = np.where(right, 0.6, -0.6) + 0.05 * rng.normal(size=(ROWS, A * H))
    action = (np.tile(obs[:, :A], H) + away).astype(np.float32)
    zero = np.zeros(ROWS, np.float32)
    return Batch(obs, obs[:, :A], action, right[:, 0].astype(np.float32), zero, obs, obs[:, :A], zero)


def test_the_best_of_its_proposals_is_the_rewarded_way_of_both() -> None:
    made = learner()
    for i in range(250):
        made.update(both_ways(i))
    actor, batch = ChunkActor(made.features, made.head, made.target_critic), both_ways(1000)
    obs = torch.from_numpy(np.repeat(batch.obs, 8, axis=0))
    with torch.no_grad():
        chunks = actor.propose(obs, torch.randn((len(obs), A * H), generator=torch.Generator().manual_seed(0)))
        best = actor.value(obs, chunks).reshape(ROWS, 8).argmax(1)
    away = (chunks - obs[:, :A].repeat(1, H)).mean(1).reshape(ROWS, 8)
    assert 0.35 < (away > 0).float().mean() < 0.65  # it imitates both ways
    assert (away[torch.arange(ROWS), best] > 0.4).float().mean() > 0.95


def test_a_next_state_is_worth_its_best_proposal() -> None:
    made = learner()
    rows = made._tensors(both_ways(0))
    values = []

    def value(_: object, action: torch.Tensor, relative: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        values.append(relative.mean(1))
        return relative.mean(1).expand(2, -1)

    embed = made.target_critic.embed
    made.target_critic = type("Fake", (), {"embed": staticmethod(embed), "__call__": staticmethod(value)})()
    with torch.no_grad():
        found = made._next_value(rows)
    assert torch.equal(found, values[0].reshape(ROWS, made.config.samples).amax(1))


def test_a_head_that_does_not_imitate_says_so() -> None:
    with pytest.raises(UserError, match="imitation_updates"):
        make_other("td3").imitate(both_ways(0))
