"""Why a robot moves otherwise than its simulated twin: what would explain the difference, best explanation first.

Every possible cause is put into the simulation, in several strengths, and the logged windows are simulated again. A
cause explains the share of the squared error that its best strength removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from sim.identification import Simulator, Windows
from sim.parameters import LATENCY
from sim.servo import MAX_LATENCY

GROUPS = ("gain", "frictionloss", "damping", LATENCY)  # numbers of the simulation that causes change
GAINS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.2, 1.5, 2.0, 3.0)
FRICTIONS = (0.0, 0.25, 0.5, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0)
RATES = (0.5, 0.625, 0.75, 0.875, 1.125, 1.25, 1.5, 2.0)
AT_ONCE = 16  # candidates that are simulated together


@dataclass(frozen=True)
class Cause:
    """One possible cause in its best strength.

    Attributes:
        explained: share of the squared error that it removes; below 0 where it makes things worse.
        error: root mean square error that remains (J,) [rad].
    """

    name: str
    detail: str
    explained: float
    error: np.ndarray


@dataclass(frozen=True)
class _Driven:
    """A change of what reaches the robot, or of how long a tick lasts."""

    order: Sequence[int]  # which joint's setpoint each joint gets
    sign: np.ndarray  # (J,)
    rate: float = 1.0


def causes(simulator: Simulator, windows: Windows, joints: Sequence[str]) -> list[Cause]:
    """All causes, the most likely first.

    Args:
        simulator: with the numbers of `GROUPS`.
        joints: names of the J joints.
    """
    usual = simulator.parameters.nominal[None]
    before = _squared(simulator.predict(usual, windows)[0], windows).sum()
    count = np.maximum(windows.weight.sum(axis=(0, 1)), 1.0)
    best: dict[str, Cause] = {}
    for name, detail, after in (
        *_other_numbers(simulator, windows, joints),
        *_other_drives(simulator, windows, joints),
    ):
        explained = 1.0 - float(after.sum() / max(before, 1e-12))
        if name not in best or explained > best[name].explained:
            best[name] = Cause(name, detail, explained, np.sqrt(after / count))
    return sorted(best.values(), key=lambda cause: -cause.explained)


def _other_numbers(
    simulator: Simulator, windows: Windows, joints: Sequence[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Cause, detail and remaining squared error (J,) with other numbers."""
    trials = list(_numbers(simulator, joints))
    for start in range(0, len(trials), AT_ONCE):
        part = trials[start : start + AT_ONCE]
        found = simulator.predict(np.stack([values for _, _, values in part]), windows)
        for (name, detail, _), predicted in zip(part, found, strict=True):
            yield name, detail, _squared(predicted, windows)


def _numbers(simulator: Simulator, joints: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    names, usual = np.array(simulator.parameters.names), simulator.parameters.nominal
    for delay in np.arange(0.25, MAX_LATENCY + 0.01, 0.25):
        yield "latency", f"{delay:g} ticks", np.where(names == LATENCY, delay, usual)
    factors = [("gain", "gain", x) for x in GAINS]
    factors += [("friction", group, x) for group in ("frictionloss", "damping") for x in FRICTIONS]
    for cause, group, factor in factors:
        each = {joint: names == f"{group}.{joint}" for joint in joints}
        for joint, which in {**each, "all joints": np.any(list(each.values()), axis=0)}.items():
            yield cause, f"{group} of {joint} x {factor:g}", np.where(which, usual * factor, usual)


def _other_drives(
    simulator: Simulator, windows: Windows, joints: Sequence[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    usual = simulator.parameters.nominal[None]
    for name, detail, drive in _drives(joints):
        changed = replace(windows, setpoint=windows.setpoint[..., drive.order] * drive.sign)
        with simulator.at_rate(drive.rate):
            yield name, detail, _squared(simulator.predict(usual, changed)[0], windows)


def _drives(joints: Sequence[str]) -> Iterator[tuple[str, str, _Driven]]:
    usual, ones = list(range(len(joints))), np.ones(len(joints))
    for left, right in combinations(usual, 2):
        order = [right if i == left else left if i == right else i for i in usual]
        yield "joint order", f"{joints[left]} and {joints[right]} exchanged", _Driven(order, ones)
    for index, joint in enumerate(joints):
        sign = np.where(np.arange(len(joints)) == index, -1.0, 1.0)
        yield "sign", f"{joint} turns the other way", _Driven(usual, sign)
    for rate in RATES:
        yield "rate", f"a tick lasts {rate:g} times as long", _Driven(usual, ones, rate)


def _squared(predicted: np.ndarray, windows: Windows) -> np.ndarray:
    """Sum of squared errors (J,) [rad2] of a prediction (W, T, J)."""
    return (windows.weight * (predicted - windows.position) ** 2).sum(axis=(0, 1))
