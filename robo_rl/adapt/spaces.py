"""Gymnasium spaces to specs, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from robo_rl.errors import UserError
from robo_rl.spec import Feature, Spec

STATE = "state"
"""Key of an observation space that is one Box."""


def feature_of(space: spaces.Box) -> Feature:
    """A Box as a feature; floating-point data becomes float32."""
    dtype = "float32" if np.issubdtype(space.dtype, np.floating) else np.dtype(space.dtype).name
    return Feature(space.shape, dtype, space.low, space.high)


def spec_of(space: spaces.Space, what: str) -> Spec:
    """A Box, or a Dict of them, as a spec; nested keys are joined with "/". Raises `UserError` for anything else."""
    if isinstance(space, spaces.Box):
        return Spec({STATE: feature_of(space)})
    if not isinstance(space, spaces.Dict):
        raise UserError(f"{what}: observation space {type(space).__name__} is not supported; valid: Box, Dict of Box")
    features: dict[str, Feature] = {}
    for key, part in space.spaces.items():
        for name, feature in spec_of(part, what).items():
            features[key if isinstance(part, spaces.Box) else f"{key}/{name}"] = feature
    return Spec(features)


def flat_observation(obs: Any) -> dict[str, Any]:
    """An environment's observation by the keys of `spec_of`."""
    if not isinstance(obs, Mapping):
        return {STATE: obs}
    flat: dict[str, Any] = {}
    for key, part in obs.items():
        if isinstance(part, Mapping):
            flat |= {f"{key}/{name}": value for name, value in flat_observation(part).items()}
        else:
            flat[key] = part
    return flat


def action_feature(space: spaces.Space, what: str) -> Feature:
    """A one-dimensional Box of floating-point actions. Raises `UserError` for anything else."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise UserError(f"{what}: action space {space} is not supported; valid: a Box of one dimension")
    return feature_of(space)


def box_of(feature: Feature) -> spaces.Box:
    """A feature as a Box, its bounds rounded to the feature's dtype."""
    dtype = np.dtype(feature.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = (np.clip(bound, limits.min, limits.max) for bound in (feature.low, feature.high))
    else:
        low, high = feature.low, feature.high
    return spaces.Box(low.astype(dtype), high.astype(dtype), feature.shape, dtype.type)


def dict_of(spec: Spec) -> spaces.Dict:
    """A spec as a Dict of Boxes."""
    return spaces.Dict({key: box_of(feature) for key, feature in spec.items()})


def flat_box_of(spec: Spec) -> spaces.Box:
    """What `Spec.pack` makes of a row, (vector_size,) float32."""
    parts = [spec[key] for key in spec.vector_keys]
    low, high = (
        np.concatenate([getattr(f, side).ravel() for f in parts]).astype(np.float32) for side in ("low", "high")
    )
    return spaces.Box(low, high, dtype=np.float32)
