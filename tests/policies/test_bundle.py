"""Bundles: what is saved is what is loaded, and nothing else ever is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.bundle import Bundle, load_bundle, write_folder
from policies.networks import ChunkNet, Features, Inputs, Normalise, ResidualHead, like_pairs
from robo_rl.errors import CorruptFile, SpecMismatch, UnknownName, UserError
from robo_rl.spec import Feature, Spec

OBS = Spec({"applied": Feature((2,), unit="m", names=("x", "y")), "goal": Feature((2,), unit="m", names=("x", "y"))})
ACT = Feature((2,), "float32", -1.0, 1.0, "rad", ("a", "b"))


def normalise(size: int) -> Normalise:
    return Normalise(torch.randn(size), torch.rand(size) + 0.5)


def inputs() -> Inputs:
    pairs = like_pairs(OBS)
    size = OBS.vector_size + len(pairs)
    return Inputs(torch.randn(size), torch.rand(size) + 0.5, pairs)


def make(residual: bool = True) -> Bundle:
    torch.manual_seed(0)
    network = ChunkNet(inputs(), normalise(2), 4, [8, 8], relative_to=0)
    bundle = Bundle(OBS, ACT, network, 3, meta={"task": "t"})
    if residual:
        bundle.features = Features(inputs(), normalise(2))
        bundle.head = ResidualHead(bundle.features.size(7), [8], torch.full((2,), 0.1), -torch.ones(2), torch.ones(2))
        torch.nn.init.normal_(bundle.head.body[-1].weight)
    return bundle


def act(bundle: Bundle, use: str = "") -> np.ndarray:
    policy = bundle.policy_for(use)
    policy.reset(np.ones(4, bool), np.arange(4))
    obs = OBS.sample(4, np.random.default_rng(1))
    return np.stack([policy.act(obs).value for _ in range(5)])


@pytest.mark.parametrize("residual", [True, False])
def test_round_trip(tmp_path: Path, residual: bool) -> None:
    bundle = make(residual)
    bundle.save(tmp_path / "policy")
    for place in (tmp_path, tmp_path / "policy"):
        loaded = load_bundle(place)
        assert loaded.uses == bundle.uses and loaded.meta == bundle.meta and loaded.fingerprint == bundle.fingerprint
        for use in bundle.uses:
            assert np.array_equal(act(loaded, use), act(bundle, use))


def test_residual_and_base_differ_and_unknown_use_is_refused(tmp_path: Path) -> None:
    bundle = make()
    assert not np.array_equal(act(bundle, "residual"), act(bundle, "base"))
    with pytest.raises(UnknownName, match=r"use=best.*base, residual"):
        bundle.policy_for("best")


@pytest.mark.parametrize("damage", ["cut", "flip", "json", "missing", "format", "shape"])
def test_a_damaged_bundle_is_one_line(tmp_path: Path, damage: str) -> None:
    make().save(tmp_path / "policy")
    weights, policy = tmp_path / "policy" / "weights.safetensors", tmp_path / "policy" / "policy.json"
    data = json.loads(policy.read_text())
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "flip":
        content = bytearray(weights.read_bytes())
        content[-5] ^= 1
        weights.write_bytes(bytes(content))
    elif damage == "json":
        policy.write_text(policy.read_text()[:-20])
    elif damage == "missing":
        weights.unlink()
    elif damage == "format":
        policy.write_text(json.dumps(data | {"format": 99}))
    else:
        data["base"]["hidden"] = [9, 9]
        policy.write_text(json.dumps(data))
    with pytest.raises(CorruptFile, match="corrupted bundle") as error:
        load_bundle(tmp_path)
    assert "\n" not in str(error.value)


def test_no_bundle_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no policy there"):
        load_bundle(tmp_path)


def test_a_wrong_spec_is_refused_with_the_difference() -> None:
    other = Feature((2,), "float32", -1.0, 1.0, "deg", ("a", "b"))
    with pytest.raises(SpecMismatch, match=r"action.unit: rad != deg"):
        make().require(OBS, other, "robot=x")


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "f", {"a": b"1", "b": b"2"})
    write_folder(tmp_path / "f", {"a": b"3"})
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "f").iterdir()} == {"a": b"3"}
