"""Flows: they sample what they were shown, both ways of it; the base and the actor that are made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.actors import Critic
from policies.chunk_actor import Beside, BestOf, ChunkActor, ChunkFeatures, Proposals
from policies.compose import Chunked
from policies.flow import Flow, FlowHead, FlowNet, FlowPlanner
from policies.networks import Inputs, Normalise, like_pairs
from robo_rl.errors import UserError
from robo_rl.policy import Planner, Policy
from robo_rl.spec import Feature, Spec
from tests.contract.policy import PolicyContract
from tests.policies.test_compose import GoalPlanner

OBS = Spec({"applied": Feature((2,), unit="m", names=("x", "y")), "goal": Feature((2,), unit="m", names=("x", "y"))})
ACT = Feature((2,), "float32", -1.0, 1.0, "rad", ("a", "b"))
H = 3


def inputs() -> Inputs:
    pairs = like_pairs(OBS)
    return Inputs(torch.zeros(4 + len(pairs)), torch.ones(4 + len(pairs)), pairs)


def unit(size: int = 2) -> Normalise:
    return Normalise(torch.zeros(size), torch.ones(size))


def net() -> FlowNet:
    torch.manual_seed(0)
    return FlowNet(inputs(), unit(), H, [16], relative_to=0)


def actor(samples: int = 4) -> ChunkActor:
    torch.manual_seed(0)
    features = ChunkFeatures(inputs(), unit(), torch.zeros(2 * H), 0)
    head = FlowHead(features.size(0), [16], 0.3 * torch.ones(2 * H), -torch.ones(2 * H), torch.ones(2 * H))
    critic = Critic(features.size(0), 2 * H, [16], 2, torch.Generator().manual_seed(0), own=True)
    return ChunkActor(features, head, critic, samples)


def test_a_flow_learns_both_ways_of_doing_it() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    flow = Flow(1, 1, [64, 64], steps=10)
    optimiser = torch.optim.Adam(flow.parameters(), lr=3e-3)
    for _ in range(300):
        side = torch.randint(0, 2, (256, 1), generator=generator) * 2.0 - 1.0
        condition = torch.rand((256, 1), generator=generator)
        loss = flow.loss(condition, side * (1 + condition), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    condition = torch.full((2000, 1), 0.5)
    with torch.no_grad():
        found = flow(condition, torch.randn((2000, 1), generator=generator))
    assert (found.abs() - 1.5).abs().median() < 0.15  # at either side, not at the mean
    assert 0.4 < (found > 0).float().mean() < 0.6


class TestFlowBase(PolicyContract):
    obs_spec, act_spec, row_tolerance = OBS, ACT, 1e-6

    def make(self, n: int) -> Policy:
        return Chunked(FlowPlanner(net(), OBS), H, ACT)


class TestBestOfProposals(PolicyContract):
    obs_spec, act_spec, row_tolerance = OBS, ACT, 1e-6

    def make(self, n: int) -> Policy:
        made = actor()
        best = BestOf(Proposals(made, OBS), made, OBS, made.samples)
        return Beside(Chunked(best, H, ACT), Chunked(FlowPlanner(net(), OBS), 2, ACT))


def plan(planner: Planner, samples: int, seeds: tuple[int, ...] = (3, 4)) -> np.ndarray:
    obs = OBS.sample(2, np.random.default_rng(1))
    return planner.plan(obs, np.arange(2), samples, np.array(seeds))


def test_samples_differ_and_repeat_with_the_seed() -> None:
    planner = FlowPlanner(net(), OBS)
    chunks = plan(planner, 3)
    assert chunks.shape == (2, 3, H, 2)
    assert np.abs(chunks[:, 0] - chunks[:, 1]).min() > 0
    np.testing.assert_array_equal(chunks, plan(planner, 3))
    assert not np.array_equal(chunks, plan(planner, 3, (5, 6)))


def test_what_the_critic_prefers_is_executed() -> None:
    made = actor(samples=6)
    proposals, obs = Proposals(made, OBS), OBS.sample(2, np.random.default_rng(1))
    best = BestOf(proposals, made, OBS, 6)
    chunks = plan(proposals, 6)
    packed = torch.from_numpy(np.repeat(OBS.pack(obs), 6, axis=0))
    with torch.no_grad():
        value = made.value(packed, torch.from_numpy(chunks.reshape(12, -1))).numpy().reshape(2, 6)
    np.testing.assert_array_equal(plan(best, 1)[:, 0], chunks[np.arange(2), value.argmax(1)])
    assert value.std(1).min() > 0


def test_a_base_that_proposes_one_chunk_cannot_be_steered() -> None:
    with pytest.raises(UserError, match="policy=flow"):
        BestOf(GoalPlanner(), actor(), OBS, 4)


def test_chunks_shorter_than_those_that_were_valued_are_refused() -> None:
    short = FlowPlanner(FlowNet(inputs(), unit(), H - 1, [16], relative_to=0), OBS)
    with pytest.raises(UserError, match="chunks of 2 actions; the value is of chunks of 3"):
        BestOf(short, actor(), OBS, 4)
