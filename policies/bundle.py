"""Policy bundles: a folder with `policy.json` and `weights.safetensors`. Loading one never executes code.

The JSON says what to build, with which specs; the weights fill it. A bundle is written beside its place and moved
there whole.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from policies.actors import Actor, empty_actor
from policies.chunk_actor import Beside, BestOf, ChunkActor, Proposals, Steering, empty_chunk_actor
from policies.cloned import ClonedPlanner
from policies.compose import NOISES, Chunked, Noise, Residual
from policies.flow import FlowHead, FlowNet, FlowPlanner
from policies.networks import LIMIT, ChunkNet, ChunkNetwork, Inputs, Normalise, like_pairs
from policies.vision import empty_eyes
from robo_rl.cameras import CAMERA
from robo_rl.errors import CorruptFile, SpecMismatch, UnknownName, UserError
from robo_rl.folders import write_folder
from robo_rl.policy import Planner, Policy
from robo_rl.spec import Feature, Spec, other_period, require_equal

FORMAT = 1
BASES: Mapping[str, tuple[type[ChunkNetwork], Any]] = {
    ChunkNet.kind: (ChunkNet, ClonedPlanner),
    FlowNet.kind: (FlowNet, FlowPlanner),
}
"""Kinds of base policies: the network, and the planner that runs it."""


@dataclass(frozen=True)
class Dither:
    """Noise that belongs to a policy: what was measured to do better with it than without (contact, stiction)."""

    kind: str  # of `compose.NOISES`
    std: float  # in units of the correction's bound

    def noise(self, size: int) -> Noise:
        return NOISES[self.kind](size, self.std)


@dataclass
class Bundle:
    """A base policy, perhaps with an actor learned on it, and the specs it fits.

    `actor` is None for a base alone. `steering` lasts as long as this object: it is not saved. `dither` is the noise
    that the actor is deployed with. `meta` holds what it was trained on (task, robot, seeds, results); `dt` is the
    control period [s] there, None where nobody knows.
    """

    obs_spec: Spec
    act_spec: Feature
    network: ChunkNetwork
    execute: int
    actor: Actor | ChunkActor | None = None
    steering: Steering | None = None
    dither: Dither | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    dt: float | None = None
    chunking: Callable[[Planner, int, Feature], Policy] = Chunked  # what executes the base's chunks

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.obs_spec, self.act_spec)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of those that the base looks at."""
        return () if self.network.eyes is None else tuple(key.removeprefix(CAMERA) for key in self.network.eyes.keys)

    @property
    def uses(self) -> tuple[str, ...]:
        return ("base",) if self.actor is None else ("residual", "base")

    def policy_for(self, use: str = "", noise: Noise | None = None) -> Policy:
        """A fresh policy: `use` "residual" or "base" ("" is the best the bundle has)."""
        use = use or self.uses[0]
        if use not in self.uses:
            raise UnknownName("use", use, self.uses)
        if use == "base":
            return self._base()
        assert self.actor is not None
        return self.acting(self.actor.eval(), noise)

    def acting(self, actor: Actor | ChunkActor, noise: Noise | None = None) -> Residual | Beside:
        """The base under an actor. One that acts in chunks explores by what it draws, whatever `noise` is."""
        if not isinstance(actor, ChunkActor):
            if noise is None and self.dither is not None:
                noise = self.dither.noise(self.act_spec.size)
            return Residual(self._base(), actor, self.obs_spec, noise)
        best = BestOf(Proposals(actor, self.obs_spec), actor, self.obs_spec, actor.samples)
        return Beside(Chunked(best, actor.features.horizon, self.act_spec), self._base())

    def _base(self) -> Policy:
        planner = BASES[self.network.kind][1](self.network, self.obs_spec)
        if self.steering is not None:
            planner = BestOf(planner, self.steering.actor.eval(), self.obs_spec, self.steering.candidates)
        return self.chunking(planner, self.execute, self.act_spec)

    def require(self, obs_spec: Spec, act_spec: Feature, where: str, dt: float | None = None) -> None:
        """Raise `SpecMismatch` with the difference unless the bundle fits these specs and this control period [s]."""
        have, need = Spec({**self.obs_spec, "action": self.act_spec}), Spec({**obs_spec, "action": act_spec})
        try:
            require_equal(have, need, f"the bundle (left) does not fit {where} (right)", other_period(self.dt, dt))
        except SpecMismatch as error:
            made = " ".join(f"{key}={self.meta[key]}" for key in ("task", "robot") if key in self.meta)
            advice = f"; it was trained with {made}: use it there, or train one that fits" if made else ""
            raise SpecMismatch(f"{error}{advice}") from None

    def to(self, device: str) -> Bundle:
        for module in _modules(self).values():
            module.to(device)
        return self

    def save(self, folder: str | Path) -> None:
        """Write the bundle atomically; an older one at the same place is replaced."""
        weights = save_tensors(_tensors(self))
        data = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "sha256": hashlib.sha256(weights).hexdigest(),
            "obs_spec": self.obs_spec.to_json(),
            "act_spec": self.act_spec.to_json(),
            "base": {**self.network.config(), "execute": self.execute},
            "residual": None if self.actor is None else self.actor.config(),
            "dither": None if self.dither is None else asdict(self.dither),
            "dt": self.dt,
            "meta": self.meta,
        }
        files = {"weights.safetensors": weights, "policy.json": json.dumps(data, indent=1).encode()}
        write_folder(Path(folder), files)


def fingerprint(obs_spec: Spec, act_spec: Feature) -> str:
    """What must agree between a policy, a log and a rig."""
    return Spec({**obs_spec, "action": act_spec}).fingerprint()


def load_bundle(folder: str | Path, device: str = "cpu", key: str = "run") -> Bundle:
    """Read a bundle, or the one in a run folder, that `key` names. Raises `UserError` in one line when there is none
    or it is broken."""
    folder = Path(folder).expanduser()
    place = next((path for path in (folder, folder / "policy") if (path / "policy.json").exists()), None)
    if place is None:
        raise UserError(f"{key}={folder}: no policy there (expected policy.json or policy/policy.json in it)")
    try:
        return _read(place).to(device)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CorruptFile(f"{key}={folder}: corrupted bundle: {type(error).__name__}: {_first_line(error)}") from error


def _read(place: Path) -> Bundle:
    data = json.loads((place / "policy.json").read_text())
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
    weights = (place / "weights.safetensors").read_bytes()
    if hashlib.sha256(weights).hexdigest() != data["sha256"]:
        raise ValueError("weights.safetensors does not have the checksum in policy.json")
    obs_spec, act_spec = Spec.from_json(data["obs_spec"]), Feature.from_json(data["act_spec"])
    pairs, actions, base = like_pairs(obs_spec), act_spec.size, data["base"]

    seen = base.get("inputs", {"pairs": True, "limit": LIMIT})  # bundles of before it was written down
    pairs = pairs if seen["pairs"] else pairs[:0]

    def inputs() -> Inputs:
        size = obs_spec.vector_size + len(pairs)
        return Inputs(torch.zeros(size), torch.ones(size), pairs, math.inf if seen["limit"] is None else seen["limit"])

    kind = BASES[base.get("kind", ChunkNet.kind)][0]
    shape = {"relative_to": base["relative_to"], "eyes": empty_eyes(base.get("eyes"))}
    network = kind(inputs(), _identity(actions), base["horizon"], base["hidden"], **shape)
    bundle = Bundle(obs_spec, act_spec, network, base["execute"], meta=data["meta"], dt=data.get("dt"))
    learned = data["residual"]
    if learned is not None and learned.get("head") == FlowHead.kind:
        bundle.actor = empty_chunk_actor(learned, inputs(), _identity(actions))
    elif learned is not None:
        bundle.actor = empty_actor(learned, inputs(), _identity(actions), actions * base["execute"] + 1)
    if data.get("dither") is not None:
        bundle.dither = Dither(NOISES[data["dither"]["kind"]].kind, float(data["dither"]["std"]))
    tensors = load_tensors(weights)
    for name, module in _modules(bundle).items():
        own = {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}
        module.load_state_dict(own)
    return bundle


def _identity(size: int) -> Normalise:
    return Normalise(torch.zeros(size), torch.ones(size))


def _modules(bundle: Bundle) -> dict[str, nn.Module]:
    parts = {} if bundle.actor is None else dict(bundle.actor.named_children())
    return {"base": bundle.network, **parts}


def _tensors(bundle: Bundle) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, module in _modules(bundle).items()
        for key, value in module.state_dict().items()
    }


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
