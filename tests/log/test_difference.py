"""Differences of signals and episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robo_rl.log.difference import Difference, SignalDifference, compare
from tests.log.test_log_env import episode


def test_equal_is_identical() -> None:
    difference = compare(episode(3), episode(3))
    assert difference.identical and difference.ticks == 8
    assert difference.to_json()["signals"]["action/applied"] == {
        "max_abs_error": 0.0,
        "mean_abs_error": 0.0,
        "identical": True,
    }


def test_errors_are_per_signal() -> None:
    left = episode(3)
    applied = left.applied.copy()
    applied[2, 1] += 0.5
    difference = compare(left, replace(left, applied=applied))
    assert not difference.identical and difference.signals["action/commanded"].identical
    assert abs(difference.signals["action/applied"].max_abs_error - 0.5) < 1e-6
    assert abs(difference.signals["action/applied"].mean_abs_error - 0.5 / 16) < 1e-6


def test_a_missing_tick_is_a_difference() -> None:
    left = episode(3)
    short = replace(left, **{name: getattr(left, name)[:6] for name in ("action", "applied", "reward", "kind")})
    difference = compare(left, replace(short, obs={"x": left.obs["x"][:6]}))
    assert difference.missed == 2 and not difference.identical
    assert all(signal.identical for signal in difference.signals.values())


def test_not_a_number_and_signed_zero() -> None:
    signal = SignalDifference()
    signal.add(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))
    assert signal.identical and signal.max_abs_error == 0.0
    signal.add(np.array([0.0, np.nan, np.inf]), np.array([-0.0, np.nan, np.inf]))
    assert not signal.identical and signal.max_abs_error == 0.0
    signal.add(np.array([1.0]), np.array([np.nan]))
    assert signal.max_abs_error == np.inf


def test_only_common_signals_are_compared() -> None:
    difference = Difference()
    difference.add({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1), "c": np.ones(1)})
    assert difference.signals.keys() == {"a"}
