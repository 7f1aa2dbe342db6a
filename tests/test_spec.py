"""Specs exist before data, validate it, generate it, and tell two robots apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_rl.errors import SpecMismatch
from robo_rl.spec import Feature, Spec, require_equal

NAMES = st.text("abcdef", min_size=1, max_size=6)
BOUNDS = st.floats(allow_nan=False, width=32)


@st.composite
def features(draw: st.DrawFn) -> Feature:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=3)))
    low, high = sorted([draw(BOUNDS), draw(BOUNDS)])
    names = tuple(f"n{i}" for i in range(shape[-1])) if shape and draw(st.booleans()) else ()
    return Feature(
        shape, draw(st.sampled_from(["float32", "float64"])), low, high, draw(st.sampled_from(["", "m"])), names
    )


SPECS = st.dictionaries(NAMES, features(), max_size=4).map(Spec)


@given(SPECS)
def test_json_round_trip(spec: Spec) -> None:
    again = Spec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec and again.fingerprint() == spec.fingerprint() and not spec.diff(again)


@given(SPECS, st.integers(1, 3))
def test_zeros_fit_their_own_spec(spec: Spec, n: int) -> None:
    spec.validate(spec.zeros(n), n)


def test_samples_fit_their_own_spec_and_its_bounds() -> None:
    spec = Spec({"a": Feature((3,), low=[-1, 0, 1], high=[0, 1, 2]), "b": Feature((2, 2)), "c": Feature((), low=0.0)})
    values = spec.sample(100, np.random.default_rng(0))
    spec.validate(values, 100)
    for key, feature in spec.items():
        assert (values[key] >= feature.low - 1e-6).all() and (values[key] <= feature.high + 1e-6).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.zeros((2, 3))}, "not in the spec"),
        ({"a": np.zeros((2, 4), np.float32)}, "shape (2, 4), expected (2, 3)"),
        ({"a": np.zeros((2, 3))}, "dtype float64, expected float32"),
        ({"a": np.full((2, 3), np.nan, np.float32)}, "not finite"),
    ],
)
def test_validate_says_what_is_wrong(change: dict[str, np.ndarray], message: str) -> None:
    spec = Spec({"a": Feature((3,))})
    with pytest.raises(SpecMismatch) as error:
        spec.validate({**spec.zeros(2), **change}, 2)
    assert message in str(error.value)


def test_validate_names_missing_keys() -> None:
    with pytest.raises(SpecMismatch, match="a: missing"):
        Spec({"a": Feature((3,))}).validate({}, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"shape": (3,), "names": ()},
        {"dtype": "float64"},
        {"low": -2.0},
        {"high": [1.0, 3.0]},
        {"unit": "m"},
        {"names": ("y", "x")},
    ],
)
def test_every_part_of_a_feature_counts(other: dict) -> None:
    same = {"shape": (2,), "dtype": "float32", "low": -1.0, "high": 1.0, "unit": "rad", "names": ("x", "y")}
    left, right = Spec({"a": Feature(**same)}), Spec({"a": Feature(**{**same, **other})})
    assert left != right and left.fingerprint() != right.fingerprint()
    assert any(line.startswith("a.") for line in left.diff(right))
    with pytest.raises(SpecMismatch, match=r"robot: a\."):
        require_equal(left, right, "robot")


def test_a_difference_that_keys_share_is_said_once() -> None:
    left, right = ({key: Feature((2,), names=names) for key in "ab"} for names in (("x", "y"), ("y", "x")))
    assert Spec(left).diff(Spec(right)) == ["a.names, b.names: the same in another order: ['x', 'y'] != ['y', 'x']"]


def test_diff_names_keys_of_one_side() -> None:
    left, right = Spec({"a": Feature((1,))}), Spec({"b": Feature((1,))})
    assert left.diff(right) == ["a: only on the left", "b: only on the right"]


def test_equal_specs_pack_equally_whatever_their_order() -> None:
    a, b = Feature((2,)), Feature((1,))
    left, right = (
        Spec({"a": a, "b": b, "image": Feature((2,), "uint8")}),
        Spec({"image": Feature((2,), "uint8"), "b": b, "a": a}),
    )
    values = left.sample(3, np.random.default_rng(0))
    assert left == right and left.fingerprint() == right.fingerprint()
    assert np.array_equal(left.pack(values), right.pack(values))
    assert left.pack(values).shape == (3, left.vector_size) and left.vector_size == 3


def test_clip_keeps_the_dtype_and_passes_what_is_inside() -> None:
    feature = Feature((2,), low=[-0.1, -0.7], high=[0.1, 0.7])
    inside = np.array([[0.05, 0.3]], np.float32)
    assert np.array_equal(feature.clip(inside), inside)
    assert feature.clip(np.array([[9.0, -9.0]])).dtype == np.float32
    assert np.allclose(feature.clip(np.array([[9.0, -9.0]])), [[0.1, -0.7]])


def test_names_must_fit() -> None:
    with pytest.raises(ValueError, match="names: 1 given for a last axis of 2"):
        Feature((2,), names=("x",))


def test_specs_combine_and_drop_prefixes() -> None:
    spec = Spec({"a": Feature((1,))}) | {"privileged/b": Feature((1,))}
    assert list(spec) == ["a", "privileged/b"] and list(spec.without("privileged/")) == ["a"]


def test_what_was_packed_is_unpacked() -> None:
    spec = Spec(
        {"b": Feature((2, 3)), "count": Feature((1,), "int64"), "a": Feature((4,)), "d": Feature((), "float64")}
    )
    values = spec.sample(3, np.random.default_rng(0))
    floating = {key: values[key].astype(np.float32).astype(values[key].dtype) for key in ("b", "a", "d")}
    values |= floating
    unpacked = spec.unpack(spec.pack({**values, "d": values["d"][:, None]}))
    assert set(unpacked) == {"a", "b", "d"}
    for key, value in unpacked.items():
        assert value.dtype == values[key].dtype and np.array_equal(value, values[key]), key
    assert Spec({}).unpack(np.zeros((1, 0), np.float32)) == {}
