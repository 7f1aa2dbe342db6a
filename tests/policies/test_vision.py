"""Policies that look at pictures: a saved one acts as it did, and what it sees matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policies import agents
from policies.actors import Actor
from policies.bundle import Bundle, load_bundle
from policies.flow import FlowNet
from policies.networks import ChunkNet, ChunkNetwork, Inputs, Normalise
from policies.vision import Eyes
from robo_rl.errors import UserError
from robo_rl.spec import Feature, Spec

SPEC = Spec({"x": Feature((2,)), **{f"camera/{name}": Feature((20, 24, 3), "uint8", 0, 255) for name in "ab"}})
ACT = Feature((2,), "float32", -1.0, 1.0, "rad", ("p", "q"))
PLAIN = Normalise(torch.zeros(2), torch.ones(2))


def base(kind: type[ChunkNetwork], cameras: str = "ba") -> Bundle:
    torch.manual_seed(0)
    inputs = Inputs(torch.zeros(2), torch.ones(2), torch.zeros((0, 2), dtype=torch.long))
    network = kind(inputs, PLAIN, 4, [16], eyes=Eyes.of(SPEC, list(cameras), "cameras", 8))
    return Bundle(SPEC, ACT, network, 2)


def corrected(bundle: Bundle, **eyes: object) -> Bundle:
    """With a correction that is not zero."""
    shape = agents.Shape([16], 2, **eyes)  # type: ignore[arg-type]
    agent = agents.residual(
        bundle, np.zeros((2, 2), np.float32), np.array([[-1, -1], [1, 1]], np.float32), shape, 0.5, 0
    )
    torch.nn.init.normal_(agent.head.body[-1].weight)  # type: ignore[arg-type]
    bundle.actor = Actor(agent.features, agent.head)
    return bundle


def acted(bundle: Bundle, seed: int, rows: int = 3) -> np.ndarray:
    obs = SPEC.sample(rows, np.random.default_rng(seed))
    obs["x"] = np.zeros((rows, 2), np.float32)
    policy = bundle.policy_for()
    policy.reset(np.ones(rows, bool), np.arange(rows))
    return policy.act(obs).value


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("kind", [ChunkNet, FlowNet])
def test_a_saved_policy_acts_as_it_did(tmp_path: Path, kind: type[ChunkNetwork], learned: bool) -> None:
    bundle = corrected(base(kind), cameras=["a"]) if learned else base(kind)
    bundle.save(tmp_path / "policy")
    again = load_bundle(tmp_path / "policy")
    assert again.cameras == ("b", "a")
    np.testing.assert_array_equal(acted(bundle, 1), acted(again, 1))
    assert not np.allclose(acted(bundle, 1), acted(bundle, 2), atol=1e-4)  # the pictures are all that differs


def test_one_row_acts_as_many_do() -> None:
    bundle = corrected(base(ChunkNet))
    one = bundle.policy_for()
    obs = SPEC.sample(3, np.random.default_rng(0))
    one.reset(np.ones(1, bool), np.zeros(1, np.int64))
    alone = one.act({key: value[:1] for key, value in obs.items()}).value
    many = bundle.policy_for()
    many.reset(np.ones(3, bool), np.zeros(3, np.int64))
    np.testing.assert_allclose(many.act(obs).value[:1], alone, atol=1e-5)


def test_eyes_of_the_base_or_of_its_own() -> None:
    bundle = base(ChunkNet)
    eyes = bundle.network.eyes
    assert eyes is not None

    def same(other: Eyes | None) -> bool:
        assert other is not None and other is not eyes
        return all(torch.equal(one, two) for one, two in zip(eyes.parameters(), other.parameters(), strict=True))

    assert same(agents.eyes_for(bundle, agents.Shape([8], 2, eyes="base")))
    assert eyes.each == 8 and agents.eyes_for(bundle, agents.Shape([8], 2)).keys == eyes.keys  # type: ignore[union-attr]
    assert agents.eyes_for(bundle, agents.Shape([8], 2, cameras=[])) is None
    with pytest.raises(UserError, match=r"learner.eyes=base: the base sees cameras=\['b', 'a'\], not \['a'\]"):
        agents.eyes_for(bundle, agents.Shape([8], 2, cameras=["a"], eyes="base"))
    with pytest.raises(UserError, match=r"learner\.eyes=new: unknown; valid choices: base, fresh"):
        agents.eyes_for(bundle, agents.Shape([8], 2, eyes="new"))
