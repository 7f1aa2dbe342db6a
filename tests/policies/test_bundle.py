"""Bundles: what is saved is what is loaded, and nothing else ever is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.actors import Actor, Critic, Features, GaussianHead, OwnFeatures, ResidualHead
from policies.agents import no_base
from policies.bundle import Bundle, Dither, load_bundle
from policies.chunk_actor import ChunkActor, ChunkFeatures
from policies.flow import FlowHead, FlowNet
from policies.networks import LIMIT, ChunkNet, Inputs, Normalise, like_pairs
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


def actor(kind: str) -> Actor | ChunkActor | None:
    one = torch.ones(2)
    if kind in ("base", "flow"):
        return None
    if kind == "chunk":
        return chunk_actor()
    if kind == "residual":
        features, head = Features(inputs(), normalise(2)), ResidualHead
    elif kind == "edit":
        features, head = Features(inputs(), normalise(2), chunk=False), GaussianHead
    else:
        features, head = OwnFeatures(inputs(), normalise(2), 0.1 * one, relative_to=0), ResidualHead
    size = features.size(7)
    made = head(size, [8], 0.1 * one, -one, one, norm=kind != "edit", dropout=0.5 if kind == "own" else 0.0)
    torch.nn.init.normal_(made.body[-1].weight)
    if kind == "residual":
        return Actor(features, made)
    critic = Critic(size, 2, [8, 8], 3, torch.Generator().manual_seed(0), norm=kind == "own", own=kind == "own")
    return Actor(features, made, critic).eval()


def chunk_actor() -> ChunkActor:
    features, one = ChunkFeatures(inputs(), normalise(2), 0.1 * torch.ones(6), relative_to=0), torch.ones(6)
    head = FlowHead(features.size(0), [8], 0.1 * one, -one, one)
    critic = Critic(features.size(0), 6, [8, 8], 3, torch.Generator().manual_seed(0), own=True)
    return ChunkActor(features, head, critic, samples=4)


def make(kind: str = "residual") -> Bundle:
    torch.manual_seed(0)
    network = (FlowNet if kind == "flow" else ChunkNet)(inputs(), normalise(2), 4, [8, 8], relative_to=0)
    return Bundle(OBS, ACT, network, 3, actor(kind), meta={"task": "t"})


def act(bundle: Bundle, use: str = "") -> np.ndarray:
    policy = bundle.policy_for(use)
    policy.reset(np.ones(4, bool), np.arange(4))
    obs = OBS.sample(4, np.random.default_rng(1))
    return np.stack([policy.act(obs).value for _ in range(5)])


@pytest.mark.parametrize("kind", ["base", "flow", "residual", "edit", "own", "chunk"])
def test_round_trip(tmp_path: Path, kind: str) -> None:
    bundle = make(kind)
    bundle.save(tmp_path / "policy")
    for place in (tmp_path, tmp_path / "policy"):
        loaded = load_bundle(place)
        assert loaded.uses == bundle.uses and loaded.meta == bundle.meta and loaded.fingerprint == bundle.fingerprint
        for use in bundle.uses:
            assert np.array_equal(act(loaded, use), act(bundle, use))


def test_noise_that_belongs_to_a_policy_is_part_of_its_bundle(tmp_path: Path) -> None:
    still, bundle = make(), make()
    bundle.dither = Dither("held", 0.5)
    bundle.save(tmp_path / "policy")
    loaded = load_bundle(tmp_path)
    assert loaded.dither == bundle.dither
    assert np.array_equal(act(loaded), act(bundle)) and not np.array_equal(act(loaded), act(still))
    assert np.array_equal(act(loaded, "base"), act(still, "base"))


def test_a_bundle_from_before_there_were_other_actors_is_read(tmp_path: Path) -> None:
    bundle = make()
    bundle.save(tmp_path / "policy")
    place = tmp_path / "policy" / "policy.json"
    data = json.loads(place.read_text())
    data["residual"] = {"hidden": data["residual"]["hidden"]}
    place.write_text(json.dumps(data))
    assert np.array_equal(act(load_bundle(tmp_path)), act(bundle))


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


def test_another_control_period_is_refused_unless_nobody_knows_it(tmp_path: Path) -> None:
    bundle = make()
    bundle.require(OBS, ACT, "robot=x", 0.02)
    bundle.dt = 0.04
    bundle.save(tmp_path)
    loaded = load_bundle(tmp_path)
    loaded.require(OBS, ACT, "robot=x", 0.04)
    words = r"dt: 0.04 s \(25 Hz\) != 0.02 s \(50 Hz\); it was trained with task=t: use it there"
    with pytest.raises(SpecMismatch, match=words):
        loaded.require(OBS, ACT, "robot=x", 0.02)


def test_without_a_base_observations_are_taken_as_they_are(tmp_path: Path) -> None:
    bundle = no_base(OBS, ACT)
    bundle.save(tmp_path)
    far = torch.full((2, OBS.vector_size), 50.0)
    for one in (bundle, load_bundle(tmp_path)):
        assert torch.equal(one.network.observation(far), far)
    clone = make()
    assert clone.network.observation(far).abs().max() <= LIMIT
    clone.save(tmp_path)
    assert torch.equal(load_bundle(tmp_path).network.observation(far), clone.network.observation(far))


def test_a_bundle_of_before_inputs_were_described_is_read(tmp_path: Path) -> None:
    bundle = make()
    bundle.save(tmp_path)
    data = json.loads((tmp_path / "policy.json").read_text())
    del data["base"]["inputs"]
    (tmp_path / "policy.json").write_text(json.dumps(data))
    far = torch.full((2, OBS.vector_size), 50.0)
    assert torch.equal(load_bundle(tmp_path).network.observation(far), bundle.network.observation(far))
