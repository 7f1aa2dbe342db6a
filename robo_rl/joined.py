"""Several robots as one rig: what they have in common lies side by side, in the order of the robots.

Features of the same key become one, their names told apart by the robots' prefixes: `joint_position` of two arms is one
array with the names left/shoulder_pan, ..., right/shoulder_pan, .... A key that one robot alone has stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from robo_rl.robot import Stamp
from robo_rl.spec import Feature, Spec
from robo_rl.types import Obs


def joined_feature(features: Sequence[Feature]) -> Feature:
    """Vectors as one vector. Raises `ValueError` where two elements have the same name."""
    if len(features) == 1:
        return features[0]
    low, high = (np.concatenate([getattr(feature, side) for feature in features]) for side in ("low", "high"))
    names = tuple(name for feature in features for name in feature.names)
    if len(set(names)) != len(names):
        raise ValueError(f"robots of one rig need different prefixes: {', '.join(names)}")
    units = {feature.unit for feature in features}
    return Feature((len(low),), features[0].dtype, low, high, units.pop() if len(units) == 1 else "", names)


def joined_spec(specs: Sequence[Spec]) -> Spec:
    """What robots with these specs observe together."""
    return Spec({key: joined_feature(parts) for key, parts in _by_key(specs).items()})


def joined_readings(readings: Sequence[tuple[Obs, Stamp]]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What robots have read, (N, ...) each, as one reading; a joined key's stamp is its oldest part's."""
    if len(readings) == 1:
        return dict(readings[0][0]), dict(readings[0][1])
    values, times = (_by_key([reading[part] for reading in readings]) for part in (0, 1))
    obs = {key: parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1) for key, parts in values.items()}
    return obs, {key: np.min(parts, axis=0) for key, parts in times.items()}


def _by_key(mappings: Iterable[Mapping]) -> dict[str, list]:
    found: dict[str, list] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            found.setdefault(key, []).append(value)
    return found
