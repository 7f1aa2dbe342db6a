"""What networks see: differences of like quantities, coarse and fine."""

from __future__ import annotations

import numpy as np
import torch

from policies.networks import Inputs, like_pairs
from robo_rl.spec import Feature, Spec
from robo_rl.tracking import pose_feature

SPEC = Spec({"a_pose": pose_feature(), "b_pose": pose_feature(), "speed": Feature((7,), unit="m/s"), "x": Feature(())})


def test_pairs_join_elements_of_the_same_name_and_unit() -> None:
    assert like_pairs(SPEC).tolist() == [[k, 7 + k] for k in range(7)]
    assert like_pairs(Spec({"x": Feature((3,)), "y": Feature((3,))})).shape == (0, 2)


def test_inputs_hold_differences_at_two_scales() -> None:
    rng = np.random.default_rng(0)
    packed = torch.from_numpy(SPEC.pack(SPEC.sample(500, rng)))
    inputs = Inputs.fit(packed, torch.full((22,), 1e-3), like_pairs(SPEC))
    out = inputs(packed)
    assert out.shape == (500, inputs.size) and inputs.size == 22 + 7 + 7
    assert torch.allclose(out[:, :29].mean(0), torch.zeros(29), atol=0.05)
    difference = packed[:, 0] - packed[:, 7]
    assert torch.allclose(out[:, 29], torch.tanh(difference / (0.1 * difference.std())), atol=1e-4)


def test_a_constant_observation_is_not_divided_by_its_spread() -> None:
    inputs = Inputs.fit(torch.ones(10, 2), torch.tensor([0.5, 0.5]), torch.tensor([[0, 1]]))
    assert torch.isfinite(inputs(torch.tensor([[1.1, 0.9]]))).all()
    assert inputs.std.tolist() == [0.5, 0.5, 0.5]
