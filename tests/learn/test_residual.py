"""The residual learner: losses, targets, bounds, and that an update is what the formulas say."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from policies.actors import Critic, Features, ResidualHead
from policies.networks import Ensemble, Inputs, Normalise
from robo_rl.data.replay import Batch
from robo_rl.learn.critics import critic_loss, head_relative, td_target, two_heads
from robo_rl.learn.gate import GateConfig, GateReading, agreement, auc
from robo_rl.learn.optimise import Flat, FlatAdamW
from robo_rl.learn.residual import ResidualConfig, ResidualLearner

A, OBS, EXTRA = 2, 4, 2 + 2 + 1
NO_PAIRS = torch.zeros((0, 2), dtype=torch.long)


def make(config: ResidualConfig | None = None, heads: int = 3) -> ResidualLearner:
    torch.manual_seed(0)
    features = Features(Inputs(torch.zeros(OBS), torch.ones(OBS), NO_PAIRS), Normalise(torch.zeros(A), torch.ones(A)))
    head = ResidualHead(OBS + EXTRA, [16], torch.full((A,), 0.1), -torch.ones(A), torch.ones(A))
    critic = Critic(OBS + EXTRA, A, [16, 16], heads, torch.Generator().manual_seed(1))
    return ResidualLearner(features, head, critic, config or ResidualConfig(), 2, "cpu")


def batch_of(n: int = 32, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.uniform(-0.8, 0.8, shape).astype(np.float32)

    extra, following = draw(n, EXTRA), draw(n, EXTRA)
    action = extra[:, :A] + 0.05 * draw(n, A)
    reward = (rng.uniform(size=n) < 0.3).astype(np.float32)
    discount = (0.97 * (reward == 0)).astype(np.float32)
    return Batch(draw(n, OBS), extra, action, reward, discount, draw(n, OBS), following, reward)


def test_critic_loss_averages_the_squares() -> None:
    values, target = torch.tensor([[1.0, 4.0], [2.0, 2.0]]), torch.tensor([0.0, 2.0])
    assert critic_loss(values, target).item() == pytest.approx((1 + 4) / 2 + (4 + 0) / 2)
    assert critic_loss(values, target).item() != pytest.approx(((1 + 2) / 2) ** 2 + ((2 + 0) / 2) ** 2)


def test_target_bootstraps_by_the_discount_and_stays_reachable() -> None:
    reward, discount = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.9, 0.0, 0.9])
    assert td_target(reward, discount, torch.tensor([0.5, 9.0, 5.0]), 0.0, 1.0).tolist() == pytest.approx([0.45, 1, 1])


def test_targets_come_from_two_heads_drawn_anew() -> None:
    drawn = [tuple(sorted(two_heads(4, torch.Generator().manual_seed(i)).tolist())) for i in range(60)]
    assert set(drawn) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    ensemble, pair = Ensemble(5, 2, [7], 4, torch.Generator().manual_seed(0)), torch.tensor([2, 0])
    early, late = torch.randn(3, 5), torch.randn(3, 2)
    assert torch.equal(ensemble(ensemble.embed(early, pair), late, pair), ensemble(ensemble.embed(early), late)[[2, 0]])


def test_head_relative_cancels_the_level_of_each_head() -> None:
    reference = torch.tensor([[0.0], [5.0]])
    assert head_relative(reference + 0.2, reference, 0.7).item() == pytest.approx(0.2)
    assert head_relative(reference + torch.tensor([[0.0], [0.4]]), reference, 0.5).item() == pytest.approx(0.1)


def test_ensemble_equals_its_heads_one_by_one() -> None:
    ensemble = Ensemble(5, 2, [7, 6], 3, torch.Generator().manual_seed(0))
    early, late = torch.randn(11, 5), torch.randn(11, 2)
    for k in range(3):
        h = early @ ensemble.weight0[k] + ensemble.bias0[k] + late @ ensemble.late[k]
        for i in (1, 2):
            h = torch.relu(torch.nn.functional.layer_norm(h, h.shape[-1:]))
            h = h @ getattr(ensemble, f"weight{i}")[k] + getattr(ensemble, f"bias{i}")[k]
        assert torch.allclose(ensemble(ensemble.embed(early), late)[k], h[:, 0], atol=1e-6)


def test_flat_adamw_equals_torch_on_the_parameters_themselves() -> None:
    torch.manual_seed(0)
    mine = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    theirs = copy.deepcopy(mine)
    flat = FlatAdamW(Flat(mine), lr=1e-2, clip=0.5)
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.0)
    for i in range(20):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(i))
        for module, optimiser in ((mine, flat), (theirs, reference)):
            optimiser.zero_grad()
            module(x).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        flat.step()
        reference.step()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_critic_moves_towards_its_target_and_the_target_network_follows_slowly() -> None:
    learner, batch = make(ResidualConfig(tau=0.01)), batch_of()
    before = learner._flat["target_critic"].data.clone()
    first = float(learner.update(batch)["critic_loss"])
    moved = (learner._flat["target_critic"].data - before).abs().max() / (
        learner._critic_flat.data - before
    ).abs().max()
    for _ in range(100):
        last = float(learner.update(batch)["critic_loss"])
    assert last < 0.5 * first and moved == pytest.approx(0.01, rel=0.05)


def test_the_actor_waits_and_then_moves_by_a_bounded_amount() -> None:
    config = ResidualConfig(actor_every=1, actor_lr=0.1, movement=0.01)
    learner, batch = make(config), batch_of()
    for _ in range(5):
        learner.update(batch)
    rows = learner._tensors(batch)
    assert (learner.head(rows["features"]) == 0).all()
    learner.actor_enabled = True
    for _ in range(5):
        before = learner.head(rows["features"]).detach()
        metrics = learner.update(batch)
        change = (learner.head(rows["features"]) - before).abs().mean().item()
        assert float(metrics["moved"]) > 0.01 and 0 < change <= 0.0125  # a step in weights, so nearly linear


def test_the_actor_climbs_the_critic() -> None:
    config = ResidualConfig(actor_every=1, actor_lr=1e-2, penalty=0.0, spread=0.0, critic_lr=0.0)
    learner, batch = make(config), batch_of(256)
    learner.actor_enabled = True
    gains = [float(learner.update(batch)["gain"]) for _ in range(150)]
    assert gains[0] == 0.0 and gains[-1] > 0.005 and gains[-1] > 2 * gains[20]


def test_smoothness_makes_the_correction_change_less_with_its_inputs() -> None:
    rough, smooth = (make(ResidualConfig(actor_every=1, actor_lr=3e-3, movement=1.0, smoothness=w)) for w in (0, 30))
    changes = []
    for learner in (rough, smooth):
        learner.actor_enabled = True
        for i in range(150):
            learner.update(batch_of(64, i))
        features = learner._tensors(batch_of(256, 999))["features"]
        with torch.no_grad():
            change = learner.head(features + 0.05) - learner.head(features)
        changes.append(float(change.abs().mean()))
    assert changes[1] < 0.7 * changes[0] and changes[1] > 0


def test_actor_updates_leave_no_gradient_in_the_critic() -> None:
    learner, batch = make(), batch_of()
    learner._update_actor(learner._tensors(batch))
    assert (learner._critic_flat.grad == 0).all()


def test_gate_reads_what_it_says() -> None:
    rng = np.random.default_rng(0)
    score = np.concatenate([rng.normal(0, 1, 500), rng.normal(1, 1, 500)])
    label = np.repeat([False, True], 500)
    pairs = (score[label][:, None] > score[~label][None]).mean()
    assert auc(score, label) == pytest.approx(pairs, abs=1e-9)
    assert np.isnan(auc(score, np.ones(1000, bool)))
    same = rng.normal(size=(1, 50, 3)).repeat(4, 0)
    assert agreement(same) == pytest.approx(1.0, abs=1e-6)
    assert abs(agreement(rng.normal(size=(4, 4000, 3)))) < 0.05


def test_a_critic_that_ignores_actions_does_not_pass_the_gate() -> None:
    config = GateConfig()
    assert GateReading(0.9, 0.0, 0.5).passes(config)
    assert not GateReading(0.9, 0.0, 0.05).passes(config)
    assert not GateReading(0.6, 0.0, 0.5).passes(config)
    assert not GateReading(0.9, 0.4, 0.5).passes(config)
    assert not GateReading(float("nan"), 0.0, 0.5).passes(config)


def test_state_resumes_bit_for_bit() -> None:
    learner, other = make(), make()
    learner.actor_enabled = True
    for i in range(7):
        learner.update(batch_of(seed=i))
    other.load({key: value.clone() for key, value in learner.state().items()})
    for i in range(7, 12):
        learner.update(batch_of(seed=i))
        other.update(batch_of(seed=i))
    assert all(torch.equal(value, other.state()[key]) for key, value in learner.state().items())
