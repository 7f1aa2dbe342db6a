"""Networks as NumPy calls: equal to PyTorch, and no further behind than the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from policies.actors import Actor, Critic, Features, GaussianHead, OwnFeatures, ResidualHead
from policies.lean import ROWS, Lean, Network
from policies.networks import ChunkNet, Inputs, Normalise
from robo_rl.learn.optimise import Flat

OBS, A, REST = 7, 2, 3
EXTRA = A + REST * A + 1


def chunk_net(relative_to: int | None) -> ChunkNet:
    torch.manual_seed(0)
    pairs = torch.tensor([[0, 3], [1, 4]])
    inputs = Inputs(torch.randn(OBS + 2), torch.rand(OBS + 2) + 0.1, pairs)
    return ChunkNet(inputs, Normalise(torch.randn(A), torch.rand(A) + 0.1), 4, [16, 8], relative_to)


def corrected(kind: str = "residual") -> Actor:
    torch.manual_seed(1)
    inputs = Inputs(torch.zeros(OBS), torch.ones(OBS), torch.zeros((0, 2), dtype=torch.long))
    one, action = torch.ones(A), Normalise(torch.zeros(A), torch.ones(A))
    features = Features(inputs, action) if kind != "own" else OwnFeatures(inputs, action, 0.1 * one, relative_to=2)
    size, made = features.size(EXTRA), ResidualHead if kind == "residual" else GaussianHead
    head = made(size, [16, 8], 0.3 * one, -9 * one, 9 * one, dropout=0.1 if kind == "own" else 0.0).eval()
    critic = Critic(size, A, [8, 8], 3, torch.Generator().manual_seed(0), norm=kind == "own", own=kind == "own")
    for parameter in (*head.parameters(), *critic.parameters()):
        nn.init.normal_(parameter, std=0.5)
    return Actor(features, head, None if kind == "residual" else critic)


def draw(rows: int, *sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rows)
    return [2 * rng.standard_normal((rows, size), np.float32) for size in sizes]


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("relative_to", [None, 3])
def test_a_chunk_equals_pytorchs(rows: int, relative_to: int | None) -> None:
    network, (obs,) = chunk_net(relative_to), draw(rows, OBS)
    found, expected = Lean(network)(obs), network(torch.from_numpy(obs)).detach().numpy()
    assert found.dtype == np.float32 and found.shape == (rows, 4, A)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("kind", ["residual", "edit", "own"])
def test_an_actor_equals_pytorchs(rows: int, kind: str) -> None:
    network, inputs = corrected(kind), draw(rows, OBS, EXTRA, A)
    found, expected = Lean(network)(*inputs), network(*map(torch.from_numpy, inputs)).detach().numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_it_follows_a_network_that_learns_and_one_that_is_laid_out_anew() -> None:
    network, inputs = corrected(), draw(1, OBS, EXTRA, A)
    lean = Lean(network)

    def expected() -> np.ndarray:
        return network(*map(torch.from_numpy, inputs)).detach().numpy()

    before = lean(*inputs)
    flat = Flat(network.head)
    for _ in range(2):
        flat.data.add_(0.1)
        network.head.gain.mul_(0.5)
        np.testing.assert_allclose(lean(*inputs), expected(), atol=1e-5)
    assert np.abs(before - expected()).max() > 1e-2


def test_few_rows_and_many_agree() -> None:
    network = Network(corrected())
    inputs = draw(ROWS + 1, OBS, EXTRA, A)
    np.testing.assert_allclose(network(*inputs)[:1], network(*(x[:1] for x in inputs)), atol=1e-5)


def test_an_operation_that_it_does_not_know_is_named() -> None:
    class Odd(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return torch.erf(x)

    with pytest.raises(TypeError, match="erf"):
        Lean(Odd(2, 2))
    with pytest.raises(TypeError, match="Sigmoid"):
        Lean(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()))
