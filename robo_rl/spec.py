"""Specs: what an array is, before there is one.

A `Spec` names the arrays that flow between environment, policy, log and learner. It exists before data does: it
validates data, generates test data, and its fingerprint decides whether a policy, a log and a robot fit together.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from robo_rl.errors import SpecMismatch


@dataclass(frozen=True, eq=False)
class Feature:
    """One array without its batch axis.

    Args:
        shape: shape of one row, e.g. `(6,)`.
        dtype: numpy dtype name.
        low, high: bounds, broadcast to `shape` (infinite where there is none).
        unit: "rad", "m", "N.m", "px", ... or "" for a pure number.
        names: one name an element of the last axis, or ().
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: Any = -np.inf
    high: Any = np.inf
    unit: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "dtype", np.dtype(self.dtype).name)
        for side in ("low", "high"):
            bound = np.array(np.broadcast_to(np.asarray(getattr(self, side), np.float64), shape))
            bound.setflags(write=False)
            object.__setattr__(self, side, bound)
        if self.names and len(self.names) != shape[-1]:
            raise ValueError(f"names: {len(self.names)} given for a last axis of {shape[-1]}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Feature) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json()))

    @property
    def size(self) -> int:
        """Number of elements of one row."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def clip(self, value: np.ndarray) -> np.ndarray:
        """Value clamped to the bounds, (..., *shape), in the feature's dtype."""
        return np.clip(value, self.low, self.high).astype(self.dtype)

    def to_json(self) -> dict[str, Any]:
        bounds = {
            side: [_number_out(x) for x in getattr(self, side).ravel()]
            if np.unique(getattr(self, side)).size > 1
            else _number_out(getattr(self, side).ravel()[0] if self.size else 0.0)
            for side in ("low", "high")
        }
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "unit": self.unit,
            "names": list(self.names),
            **bounds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Feature:
        shape = tuple(data["shape"])
        low, high = (_bound_in(data[side], shape) for side in ("low", "high"))
        return cls(shape, data["dtype"], low, high, data["unit"], tuple(data["names"]))


def _number_out(value: float) -> float | str:
    return float(value) if np.isfinite(value) else str(float(value))


def _bound_in(bound: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray([float(x) for x in bound] if isinstance(bound, list) else float(bound))
    return values.reshape(shape) if values.ndim else np.broadcast_to(values, shape)


class Spec(Mapping[str, Feature]):
    """An ordered, immutable mapping from key to `Feature`."""

    def __init__(self, features: Mapping[str, Feature]) -> None:
        self._features = dict(features)

    def __getitem__(self, key: str) -> Feature:
        return self._features[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def __or__(self, other: Mapping[str, Feature]) -> Spec:
        return Spec({**self._features, **other})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __repr__(self) -> str:
        return f"Spec({self._features!r})"

    @cached_property
    def vector_keys(self) -> tuple[str, ...]:
        """Keys of the floating-point features, sorted, so that equal specs pack equally: what `pack` concatenates."""
        return tuple(sorted(key for key, feature in self.items() if feature.dtype.startswith("float")))

    @cached_property
    def vector_size(self) -> int:
        return sum(self[key].size for key in self.vector_keys)

    def without(self, prefix: str) -> Spec:
        """The spec without the keys under `prefix`."""
        return Spec({key: feature for key, feature in self.items() if not key.startswith(prefix)})

    def pack(self, values: Mapping[str, np.ndarray], out: np.ndarray | None = None) -> np.ndarray:
        """Floating-point features side by side, (N, vector_size) float32, in `out` where that is given."""
        parts = [values[key] for key in self.vector_keys]
        n = len(parts[0])
        flat = [part if part.ndim == 2 else part.reshape(n, -1) for part in parts]
        return np.concatenate(flat, axis=1, out=out, dtype=None if out is not None else np.float32)

    def unpack(self, packed: np.ndarray) -> dict[str, np.ndarray]:
        """The floating-point features that were put side by side in (N, vector_size)."""
        ends = np.cumsum([self[key].size for key in self.vector_keys])[:-1]
        parts = zip(self.vector_keys, np.split(packed, ends, axis=1), strict=True) if self.vector_keys else ()
        return {key: part.reshape(len(packed), *self[key].shape).astype(self[key].dtype) for key, part in parts}

    def zeros(self, n: int) -> dict[str, np.ndarray]:
        return {key: np.zeros((n, *f.shape), f.dtype) for key, f in self.items()}

    def sample(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random data inside the bounds (unbounded features: standard normal), n rows."""
        return {key: _sample(feature, n, rng) for key, feature in self.items()}

    def validate(self, values: Mapping[str, np.ndarray], n: int) -> None:
        """Raise `SpecMismatch` unless values hold exactly these keys, shapes and dtypes with n rows, all finite."""
        problems = [f"{key}: missing" for key in self if key not in values]
        problems += [f"{key}: not in the spec" for key in values if key not in self]
        for key, feature in self.items():
            if key in values:
                problems += [f"{key}: {text}" for text in _problems(feature, np.asarray(values[key]), n)]
        if problems:
            raise SpecMismatch("; ".join(problems))

    def to_json(self) -> dict[str, Any]:
        return {key: feature.to_json() for key, feature in self.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        return cls({key: Feature.from_json(value) for key, value in data.items()})

    def fingerprint(self) -> str:
        """16 hex digits over keys, shapes, dtypes, units, names and bounds."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def diff(self, other: Spec) -> list[str]:
        """One line a difference, `self` on the left; one that several keys share is said once."""
        lines = [f"{key}: only on the left" for key in self if key not in other]
        lines += [f"{key}: only on the right" for key in other if key not in self]
        found: dict[str, list[str]] = {}
        for key in self:
            if key in other:
                left, right = self[key].to_json(), other[key].to_json()
                for part in (part for part in left if left[part] != right[part]):
                    text = f"{left[part]} != {right[part]}"
                    if part == "names" and sorted(left[part]) == sorted(right[part]):
                        text = f"the same in another order: {text}"
                    found.setdefault(text, []).append(f"{key}.{part}")
        return lines + [f"{', '.join(keys)}: {text}" for text, keys in found.items()]


def _sample(feature: Feature, n: int, rng: np.random.Generator) -> np.ndarray:
    shape = (n, *feature.shape)
    if feature.bounded:
        return rng.uniform(feature.low, feature.high, shape).astype(feature.dtype)
    return feature.clip(rng.standard_normal(shape))


def _problems(feature: Feature, value: np.ndarray, n: int) -> list[str]:
    problems = []
    if value.shape != (n, *feature.shape):
        problems.append(f"shape {value.shape}, expected {(n, *feature.shape)}")
    if value.dtype.name != feature.dtype:
        problems.append(f"dtype {value.dtype.name}, expected {feature.dtype}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        problems.append("not finite")
    return problems


def other_period(left: float | None, right: float | None) -> list[str]:
    """What `Spec.diff` would say of two control periods [s]; one that nobody knows differs from none."""
    if left is None or right is None or math.isclose(left, right, rel_tol=1e-6):
        return []
    return [f"dt: {left:.4g} s ({1 / left:.4g} Hz) != {right:.4g} s ({1 / right:.4g} Hz)"]


def require_equal(left: Spec, right: Spec, what: str, further: Sequence[str] = ()) -> None:
    """Raise `SpecMismatch` with the printed difference unless the two specs are equal; `further` differences count."""
    lines = [*left.diff(right), *further]
    if lines:
        raise SpecMismatch(f"{what}: {'; '.join(lines)}")
