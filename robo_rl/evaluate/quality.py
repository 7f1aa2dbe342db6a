"""How well an episode was done, besides whether it succeeded: from its arrays alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robo_rl.log.episode import Episode
from robo_rl.log.header import Specs
from robo_rl.types import Reason, Success

POSITION, VELOCITY, TORQUE = "joint_position", "joint_velocity", "joint_torque"
INTERVENTION = "intervention"  # extra of an action: 1 where a person acts


def row(episode: Episode, dt: float) -> dict[str, Any]:
    """An episode's line in `result.json`; what the log cannot tell is None, `smoothness` where nothing moved."""
    label = Success(int(episode.success[-1]))
    success = None if label is Success.UNKNOWN else label is Success.YES
    return {
        "seed": episode.seed,
        "success": success,
        "reason": Reason(int(episode.reason[-1])).label,
        "length": len(episode) - 1,
        "return": float(episode.reward[1:].sum()),
        "time_to_success_s": (len(episode) - 1) * dt if success else None,
        "smoothness": smoothness(episode.applied[1:], dt),
        "guarded_share": guarded_share(episode),
        **interventions(episode, dt),
        "energy_j": energy(episode, dt),
    }


def smoothness(setpoints: np.ndarray, dt: float) -> float | None:
    """Log dimensionless jerk of accepted setpoints (T, A) of a period dt [s]: larger is smoother.

    -ln(D^3 / v_peak^2 * integral |v''|^2 dt) with duration D and velocity v (N. Hogan and D. Sternad, Journal of Motor
    Behavior 41, 2009; S. Balasubramanian et al., IEEE Transactions on Biomedical Engineering 59, 2012). It depends on
    neither the movement's length nor its duration, but on the control period: compare logs of one robot.
    """
    if len(setpoints) < 5:
        return None
    velocity = np.diff(setpoints.astype(np.float64).reshape(len(setpoints), -1), axis=0) / dt
    jerk = np.diff(velocity, 2, axis=0) / dt**2
    peak, total = (velocity**2).sum(1).max(), float((jerk**2).sum() * dt)
    duration = len(velocity) * dt
    return float(-np.log(duration**3 / peak * total)) if peak > 0 and total > 0 else None


def guarded_share(episode: Episode, tolerance: float = 1e-6) -> float:
    """Share of the ticks in which the robot accepted another setpoint than was commanded."""
    if len(episode) < 2:
        return 0.0
    differs = np.abs(episode.applied[1:] - episode.action[:-1]) > tolerance
    return float(differs.reshape(len(differs), -1).any(1).mean())


def interventions(episode: Episode, dt: float) -> dict[str, Any]:
    """How often a person took over, in all and a minute, and the share of ticks; None where nobody could."""
    if INTERVENTION not in episode.extra:
        return {"interventions": None, "intervention_share": None, "interventions_per_minute": None}
    acting = episode.extra[INTERVENTION][:-1].reshape(len(episode) - 1, -1).max(1, initial=0.0) > 0.5
    begun = int((np.diff(acting.astype(np.int8), prepend=0) == 1).sum())
    minutes = len(acting) * dt / 60
    return {
        "interventions": begun,
        "intervention_share": float(acting.mean()) if len(acting) else 0.0,
        "interventions_per_minute": begun / minutes if minutes else 0.0,
    }


def energy(episode: Episode, dt: float) -> float | None:
    """Mechanical work of the joints, driving and braking alike [J]: the integral of |torque * speed|.

    None where the log has no `joint_torque`.
    """
    torque, speed = (episode.obs.get(key) for key in (TORQUE, VELOCITY))
    if torque is None or speed is None or torque.shape != speed.shape:
        return None
    return float(np.abs(torque[1:].astype(np.float64) * speed[1:]).sum() * dt)


class Tracking:
    """Distance of each measured joint from the setpoint that was accepted for it, over all episodes."""

    def __init__(self, specs: Specs) -> None:
        measured = specs.obs.get(POSITION)
        names = specs.action.names
        shared = [] if measured is None else [name for name in measured.names if name in names]
        self._names = shared
        self._pairs = [(list(measured.names).index(name), names.index(name)) for name in shared] if measured else []
        self._square, self._largest, self._ticks = np.zeros(len(shared)), np.zeros(len(shared)), 0

    def add(self, episode: Episode) -> None:
        """At index t, `applied` is what was asked of the robot for this tick, and the observation what came of it."""
        if not self._pairs:
            return
        measured, asked = (list(part) for part in zip(*self._pairs, strict=True))
        error = np.abs(episode.obs[POSITION][1:, measured].astype(np.float64) - episode.applied[1:, asked])
        self._square += (error**2).sum(0)
        self._largest = np.maximum(self._largest, error.max(0, initial=0.0))
        self._ticks += len(error)

    def to_json(self) -> dict[str, dict[str, float]]:
        """Joint -> rms and largest error, in the joint's unit."""
        rms = np.sqrt(self._square / max(1, self._ticks))
        values = zip(self._names, rms.tolist(), self._largest.tolist(), strict=True)
        return {name: {"rms": one, "max": largest} for name, one, largest in values}


class Ages:
    """How old each observation was at its tick [ms].

    Against the recorder's monotonic clock where the stamps are on it (hardware), else against the newest stamp of the
    tick (simulated time).
    """

    def __init__(self) -> None:
        self._ages: dict[str, list[np.ndarray]] = {}

    def add(self, episode: Episode, monotonic: np.ndarray | None) -> None:
        if not episode.stamp:
            return
        newest = np.max(np.stack([np.nan_to_num(stamp, nan=-np.inf) for stamp in episode.stamp.values()]), axis=0)
        now = newest
        if monotonic is not None and len(monotonic) == len(newest) and _is_clock_of(monotonic - newest):
            now = monotonic
        for key, stamp in episode.stamp.items():
            self._ages.setdefault(key, []).append((now - stamp)[np.isfinite(stamp)])

    def to_json(self) -> dict[str, dict[str, float]]:
        return {key: percentiles(np.concatenate(ages) * 1e3, "ms") for key, ages in self._ages.items()}


def _is_clock_of(age: np.ndarray) -> bool:
    """Whether ages [s] are those of one clock: none from the future, the most within ten seconds."""
    return bool(age.min() > -1e-3 and np.median(age) < 10.0)


def percentiles(values: np.ndarray, unit: str) -> dict[str, float]:
    """p50, p99 and the largest, named with their unit; zeros where there is nothing."""
    found = np.percentile(values, [50, 99, 100]) if len(values) else np.zeros(3)
    return {f"{name}_{unit}": float(value) for name, value in zip(("p50", "p99", "max"), found, strict=True)}


def cadence(timing: Mapping[str, np.ndarray], dt: float) -> dict[str, Any]:
    """Achieved rate and, of a loop in real time, wake-ups as `deploy` reports them.

    Wake-ups are the rig's own where the log has them (`late`, `misses`), else how far a period was over dt; a period
    over 1.5 dt counts as a miss. A loop that does not wait (a simulation at full speed) has a rate only.
    """
    clock = timing.get("monotonic", np.zeros(0))
    periods = np.diff(clock)
    if len(periods) == 0:
        return {"ticks": len(clock), "rate_hz": None, "realtime": False}
    found = {"ticks": len(clock), "rate_hz": float(1 / np.median(periods)), "realtime": False}
    if "late" not in timing and not 0.9 * dt < np.median(periods) < 1.1 * dt:
        return found
    late = timing["late"] if "late" in timing else np.maximum(0.0, periods - dt)
    misses = int(timing["misses"][-1] - timing["misses"][0]) if "misses" in timing else int((periods > 1.5 * dt).sum())
    wake = {f"wake_{name}": value for name, value in percentiles(late * 1e6, "us").items()}
    mean = float(len(periods) / (clock[-1] - clock[0]))
    return {**found, "rate_hz": mean, "realtime": True, **wake, "deadline_misses": misses}
