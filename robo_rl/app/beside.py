"""Two logs in one video, side by side, on one axis of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robo_rl.app.states import Puppet
from robo_rl.app.video import write
from robo_rl.evaluate.aligned import times
from robo_rl.log.episode import Episode


class Side(NamedTuple):
    """What shows a log, and the log's period [s]."""

    puppet: Puppet
    dt: float


def render_beside(
    both: Iterable[tuple[Episode, Episode]], sides: tuple[Side, Side], align: str, camera: Any, path: Path
) -> None:
    """Write pairs of episodes as an MP4, one pair after the other; an episode stands still where it lacks time."""
    try:
        write((frame for pair in both for frame in _frames(pair, sides, align, camera)), sides[0].dt, path)
    finally:
        camera.close()


def _frames(pair: tuple[Episode, Episode], sides: tuple[Side, Side], align: str, camera: Any) -> Iterator[np.ndarray]:
    axes = [times(episode, side.dt, align) for episode, side in zip(pair, sides, strict=True)]
    states = [list(side.puppet.states(episode)) for episode, side in zip(pair, sides, strict=True)]
    first, last = min(axis[0] for axis in axes), max(axis[-1] for axis in axes)
    for now in np.arange(first, last + sides[0].dt / 2, sides[0].dt):
        shown = [part[_tick(axis, now)] for axis, part in zip(axes, states, strict=True)]
        yield np.concatenate([camera.states(state[None])[0] for state in shown], axis=1)


def _tick(axis: np.ndarray, now: float) -> int:
    """The last tick at or before a moment, with room for rounding; the first one before all."""
    return max(0, int(np.searchsorted(axis, now + 1e-9, side="right")) - 1)
