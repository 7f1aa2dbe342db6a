"""Learning from pictures: what the eyes see, who trains them, and that something is learned that only they show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.actors import Critic, Features, ResidualHead
from policies.networks import Inputs, Normalise
from policies.vision import Eyes
from robo_rl.data.replay import Batch
from robo_rl.errors import UserError
from robo_rl.learn.augment import random_shift
from robo_rl.learn.residual import ResidualConfig, ResidualLearner
from robo_rl.spec import Feature, Spec

SIZE, A = 16, 1
KEY = "camera/front"


def make(config: ResidualConfig) -> ResidualLearner:
    torch.manual_seed(0)
    inputs = Inputs(torch.zeros(1), torch.ones(1), torch.zeros((0, 2), dtype=torch.long))
    features = Features(inputs, Normalise(torch.zeros(A), torch.ones(A)), eyes=Eyes([KEY], SIZE, SIZE, 16))
    size = features.size(2 * A + 1)
    head = ResidualHead(size, [32], torch.ones(A), -torch.ones(A), torch.ones(A))
    critic = Critic(size, A, [32], 2, torch.Generator().manual_seed(1))
    return ResidualLearner(features, head, critic, config, 2, "cpu")


def shown(goal: np.ndarray) -> np.ndarray:
    """Pictures (B, 1, 16, 16, 3) in which a bright bar stands at the goals (B,) in -1..1."""
    column = np.round((goal + 1) / 2 * (SIZE - 1))
    bar = np.abs(np.arange(SIZE) - column[:, None]) <= 2
    return np.where(bar[:, None, None, :, None], 220, 20).astype(np.uint8).repeat(SIZE, 2).repeat(3, 4)


def bandit(rng: np.random.Generator, n: int = 64) -> Batch:
    """One step: the action (around a base that does nothing) pays where it is near the goal that a picture shows."""
    goal, action = rng.uniform(-0.8, 0.8, n), rng.uniform(-1, 1, (n, A)).astype(np.float32)
    reward = (1 - np.abs(action[:, 0] - goal)).clip(0).astype(np.float32)
    zeros, pictures = np.zeros((n, 1), np.float32), shown(goal)
    extra = np.zeros((n, 2 * A + 1), np.float32)
    return Batch(zeros, extra, action, reward, zeros[:, 0], zeros, extra, reward, pictures, pictures)


def weights(learner: ResidualLearner) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in learner.features.eyes.parameters()])


def test_the_critic_alone_trains_the_eyes() -> None:
    learner, batch = make(ResidualConfig(actor_every=1)), bandit(np.random.default_rng(0))
    learner.actor_enabled = True
    before, rows = weights(learner).clone(), learner._tensors(batch)
    learner._update_actor(rows)
    assert torch.equal(weights(learner), before)
    learner.update(batch)
    assert not torch.equal(weights(learner), before)


def test_frozen_eyes_stay_as_they_are() -> None:
    learner = make(ResidualConfig(eyes_frozen=True))
    before = weights(learner).clone()
    learner.update(bandit(np.random.default_rng(0)))
    assert torch.equal(weights(learner), before) and "eyes" not in learner.state()


def test_a_learner_goes_on_as_if_it_had_not_been_saved() -> None:
    one, rng = make(ResidualConfig()), np.random.default_rng(0)
    batches = [bandit(rng, 16) for _ in range(6)]
    for batch in batches[:3]:
        one.update(batch)
    two = make(ResidualConfig())
    two.load(one.state())
    for learner in (one, two):
        for batch in batches[3:]:
            learner.update(batch)
    assert torch.equal(weights(one), weights(two))


def test_what_pictures_alone_show_is_learned() -> None:
    config = ResidualConfig(critic_lr=1e-3, eyes_lr=1e-3, actor_lr=1e-3, shift=0, average=0.9, penalty=0.0)
    learner, rng = make(config), np.random.default_rng(0)
    for update in range(400):
        learner.actor_enabled = update >= 150
        learner.update(bandit(rng))
    goal = np.linspace(-0.7, 0.7, 15)
    test = bandit(rng, 15)
    rows = learner._tensors(Batch(**{name: getattr(test, name) for name in Batch.__slots__ if name != "pictures"},
                                  pictures=shown(goal)))  # fmt: skip
    with torch.no_grad():
        asked = learner.head.executed(rows["base"], learner.head(rows["features"]))[:, 0].numpy()
    assert np.corrcoef(asked, goal)[0, 1] > 0.9


def test_a_shift_moves_whole_pictures() -> None:
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (30, 2, 20, 18, 3), np.uint8))
    moved = random_shift(pictures, 3, torch.Generator().manual_seed(0))
    padded = torch.from_numpy(np.pad(pictures.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3), (0, 0)), "edge"))
    places = set()
    for row, each in enumerate(moved):
        for camera, picture in enumerate(each):
            crops = {(y, x): padded[row, camera, y : y + 20, x : x + 18] for y in range(7) for x in range(7)}
            found = [place for place, crop in crops.items() if torch.equal(crop, picture)]
            assert len(found) == 1
            places.add(found[0])
    assert len(places) > 20
    assert random_shift(pictures, 0, torch.Generator()) is pictures


def test_eyes_need_pictures_of_one_size() -> None:
    def camera(size: int) -> Feature:
        return Feature((size, size, 3), "uint8", 0, 255)

    spec = Spec({"x": Feature((1,)), "camera/a": camera(84), "camera/b": camera(64), "camera/c": camera(8)})
    eyes = Eyes.of(spec, ["a"], "cameras")
    assert eyes is not None and eyes.keys == ("camera/a",) and eyes.size == 64 and Eyes.of(spec, [], "cameras") is None
    assert eyes(torch.zeros(5, 1, 84, 84, 3, dtype=torch.uint8)).shape == (5, 64)
    with pytest.raises(UserError, match=r"learner.cameras=d: not in the observation; valid choices: a, b, c"):
        Eyes.of(spec, ["d"], "learner.cameras")
    for names in (["a", "b"], ["c"]):
        with pytest.raises(UserError, match="one size, 16 px at least"):
            Eyes.of(spec, names, "cameras")
