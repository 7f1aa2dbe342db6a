"""The networks that a learner trains, by what its actions are: corrections of a base, or actions of its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from policies.actors import HEADS, Critic, Features, Head, OwnFeatures
from policies.bundle import Bundle
from policies.chunk_actor import ChunkFeatures
from policies.flow import FlowHead
from policies.networks import ChunkNet, Inputs, Normalise
from policies.vision import Eyes
from robo_rl.errors import UnknownName, UserError
from robo_rl.ranges import POSITIVE
from robo_rl.spec import Feature, Spec

LEAST_CORRECTION = 0.05  # least range of an action that a correction's bound is a share of, raw units
LEAST_OWN = 1e-3
EYES = ("fresh", "base")


@dataclass(frozen=True)
class Agent:
    features: Features | OwnFeatures
    head: Head
    critic: Critic


@dataclass(frozen=True)
class Shape:
    """Widths of critic and head, critics in the ensemble, what they are made of, and what they look at.

    `cameras`: names of those that they see; None: those that the base sees. `eyes`: "fresh" are new ones, "base" begin
    as the base's.
    """

    hidden: Sequence[int]
    heads: int
    norm: bool = True
    dropout: float = 0.0
    cameras: Sequence[str] | None = None
    eyes: str = "fresh"


def eyes_for(bundle: Bundle, shape: Shape) -> Eyes | None:
    """The eyes of a learner on a bundle.

    Raises:
        UserError: the base has none to begin with, or sees other cameras.
    """
    if shape.eyes not in EYES:
        raise UnknownName("learner.eyes", shape.eyes, EYES)
    of_base, seen = bundle.network.eyes, bundle.cameras
    wanted = seen if shape.cameras is None else tuple(shape.cameras)
    if shape.eyes == "fresh" or not wanted:
        return Eyes.of(bundle.obs_spec, wanted, "learner.cameras")
    if of_base is None or wanted != seen:
        raise UserError(f"learner.eyes=base: the base sees cameras={list(seen)}, not {list(wanted)}")
    return copy.deepcopy(of_base).requires_grad_(True)


def residual(
    bundle: Bundle, obs: np.ndarray, actions: np.ndarray, shape: Shape, scale: float, seed: int,
    head: str = "deterministic", chunk: bool = True,
) -> Agent:  # fmt: skip
    """A correction of the base, bounded by `scale` of half the range of the demonstrated `actions` (F, A).

    `chunk=False` hides from it which part of its chunk the base is at.
    """
    POSITIVE.check("learner.scale", scale)
    torch.manual_seed(seed)
    observation, action = copy.deepcopy(bundle.network.observation), copy.deepcopy(bundle.network.action)
    features = Features(observation, action, chunk, eyes_for(bundle, shape))
    bound = scale * torch.clamp(_middle_and_half(actions)[1], min=LEAST_CORRECTION)
    return _agent(bundle, features, bound, shape, seed, head, own=False)


def own(
    bundle: Bundle, obs: np.ndarray, actions: np.ndarray, shape: Shape, scale: float, seed: int,
    head: str = "gaussian",
) -> Agent:  # fmt: skip
    """A policy of its own: the demonstrated range of actions, relative to the last setpoint where the base's are, made
    wider by `scale`. `obs` (F, D) packed, `actions` (F, A)."""
    torch.manual_seed(seed)
    offset = bundle.network.relative_to
    relative = actions if offset is None else actions - obs[:, offset : offset + actions.shape[1]]
    centre, half = _middle_and_half(relative)
    observation, action = copy.deepcopy(bundle.network.observation), copy.deepcopy(bundle.network.action)
    features = OwnFeatures(observation, action, centre, offset, eyes_for(bundle, shape))
    bound = (1 + scale) * torch.clamp(half, min=LEAST_OWN)
    return _agent(bundle, features, bound, shape, seed, head, own=True)


def chunks(bundle: Bundle, obs: np.ndarray, actions: np.ndarray, shape: Shape, scale: float, seed: int) -> Agent:
    """Proposes and values whole chunks; `actions` (F, H * A) are what was executed from `obs` (F, D) on."""
    if eyes_for(bundle, shape) is not None:
        raise UserError("learner.cameras: a learner of whole chunks looks at no pictures; give learner.cameras=[]")
    torch.manual_seed(seed)
    offset, width = bundle.network.relative_to, bundle.act_spec.size
    horizon = actions.shape[1] // width
    relative = actions if offset is None else actions - np.tile(obs[:, offset : offset + width], horizon)
    centre, half = _middle_and_half(relative)
    observation, action = copy.deepcopy(bundle.network.observation), copy.deepcopy(bundle.network.action)
    features = ChunkFeatures(observation, action, centre, offset)
    bound = (1 + scale) * torch.clamp(half, min=LEAST_OWN)
    return _agent(bundle, features, bound, shape, seed, FlowHead.kind, own=True, actions=horizon)


def _agent(
    bundle: Bundle, features: Features | OwnFeatures, bound: Tensor, shape: Shape, seed: int, head: str, own: bool,
    actions: int = 1,
) -> Agent:  # fmt: skip
    kinds: dict[str, type[Head]] = {**HEADS, FlowHead.kind: FlowHead}
    if head not in kinds:
        raise UnknownName("learner.agent.head", head, HEADS)
    limits = (bundle.act_spec.low, bundle.act_spec.high)
    low, high = (torch.from_numpy(np.tile(np.array(b), actions)).float() for b in limits)
    size = features.size(bundle.policy_for("base").extra_spec.vector_size)
    actor = kinds[head](size, shape.hidden, bound, low, high, shape.norm, shape.dropout).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    critic = Critic(size, len(bound), shape.hidden, shape.heads, generator, shape.norm, own)
    return Agent(features, actor, critic)


def no_base(obs_spec: Spec, act_spec: Feature) -> Bundle:
    """For learning from nothing: a base that asks for the middle of the action range; inputs are taken as they are."""
    size, actions = obs_spec.vector_size, act_spec.size
    inputs = Inputs(torch.zeros(size), torch.ones(size), torch.zeros((0, 2), dtype=torch.long), math.inf)
    low, high = (torch.from_numpy(np.broadcast_to(b, actions).copy()).float() for b in (act_spec.low, act_spec.high))
    network = ChunkNet(inputs, Normalise((low + high) / 2, (high - low) / 2), 1, [1])
    for parameter in network.body.parameters():
        torch.nn.init.zeros_(parameter)
    return Bundle(obs_spec, act_spec, network, 1)


def _middle_and_half(values: np.ndarray) -> tuple[Tensor, Tensor]:
    low, high = (torch.from_numpy(bound(0)).float() for bound in (values.min, values.max))
    return (low + high) / 2, (high - low) / 2
