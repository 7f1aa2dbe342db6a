"""Two episodes side by side, on one axis of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from robo_rl.evaluate.curves import signals
from robo_rl.evaluate.plots import Line, Plot
from robo_rl.log.episode import Episode

MOVED = 0.02  # share of a setpoint's way in the episode that counts as having begun to move
MOST_ELEMENTS = 4


def _start(episode: Episode) -> int:
    return 0


def _motion(episode: Episode) -> int:
    """The tick at which accepted setpoints have begun to move."""
    setpoints = episode.applied[1:].reshape(max(0, len(episode) - 1), -1).astype(np.float64)
    if not len(setpoints):
        return 0
    way = np.abs(setpoints - setpoints[0])
    moved = np.flatnonzero((way > MOVED * way.max(0)).any(1) & (way.max() > 0))
    return int(moved[0]) + 1 if len(moved) else 0


def _end(episode: Episode) -> int:
    return len(episode) - 1


ALIGN: Mapping[str, Callable[[Episode], int]] = {"start": _start, "motion": _motion, "end": _end}
"""What two episodes have at time zero: their beginnings, the first motion, or their ends."""


def pairs(one: Sequence[Episode], two: Sequence[Episode]) -> list[tuple[Episode, Episode]]:
    """Episodes of equal seeds; where no seed is in both, one after the other."""
    other = {episode.seed: episode for episode in reversed(two)}
    shared = [(episode, other[episode.seed]) for episode in one if episode.seed in other]
    return shared or list(zip(one, two, strict=False))


def times(episode: Episode, dt: float, align: str) -> np.ndarray:
    """Time of each tick [s], zero where `align` says."""
    return (np.arange(len(episode)) - ALIGN[align](episode)) * dt


def overlaid(names: tuple[str, str], both: tuple[Episode, Episode], dt: tuple[float, float], align: str) -> list[Plot]:
    """One plot a signal that both episodes have, the second one's lines behind the first one's."""
    axes = [times(episode, period, align).tolist() for episode, period in zip(both, dt, strict=True)]
    found = [signals(episode) for episode in both]
    plots = []
    for name in [name for name in found[0] if name in found[1]]:
        lines = [
            Line(f"{label} [{element}]", axis, column.tolist())
            for label, axis, values in zip(names, axes, (part[name] for part in found), strict=True)
            for element, column in enumerate(values[:, :MOST_ELEMENTS].astype(np.float64).T)
        ]
        plots.append(Plot(name, "time [s]", name, lines, x_range=(_bound(axes, min, 0), _bound(axes, max, -1))))
    return plots


def _bound(axes: Sequence[Sequence[float]], best: Callable[..., float], at: int) -> float:
    return best(axis[at] for axis in axes)
