"""How far two streams of signals lie apart: replay against log, policy against log, log against log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robo_rl.log.episode import Episode
from robo_rl.log.layout import APPLIED, COMMANDED
from robo_rl.types import NO_SEED, Action, Kind, Step


@dataclass
class SignalDifference:
    """Running difference of one signal; NaN against a number counts as infinite."""

    max_abs_error: float = 0.0
    identical: bool = True  # bit by bit, shape and dtype too
    by_tick: dict[int, float] = field(default_factory=dict)  # tick of the episode -> largest error, where there is one
    _sum: float = 0.0
    _count: int = 0

    @property
    def mean_abs_error(self) -> float:
        return self._sum / self._count if self._count else 0.0

    def add(self, left: np.ndarray, right: np.ndarray, at: int | None = None) -> None:
        """Take in two arrays of one shape, of tick `at` of an episode."""
        left, right = np.asarray(left), np.asarray(right)
        if left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes():
            self._count += left.size
            return
        self.identical = False
        equal = (left == right) | (_nan(left) & _nan(right))
        with np.errstate(invalid="ignore"):
            error = np.abs(left.astype(np.float64) - right.astype(np.float64))
        error = np.where(equal, 0.0, np.where(np.isnan(error), np.inf, error))
        worst = float(error.max(initial=0.0))
        self.max_abs_error = max(self.max_abs_error, worst)
        if at is not None and worst > 0:
            self.by_tick[at] = max(worst, self.by_tick.get(at, 0.0))
        self._sum += float(error.sum())
        self._count += error.size

    def to_json(self) -> dict[str, Any]:
        return {
            "max_abs_error": self.max_abs_error,
            "mean_abs_error": self.mean_abs_error,
            "identical": self.identical,
        }


def _nan(value: np.ndarray) -> np.ndarray:
    return np.isnan(value) if value.dtype.kind == "f" else np.zeros(value.shape, bool)


class Difference:
    """Differences by signal name.

    Attributes:
        ticks: compared ticks.
        missed: ticks that only one side has.
    """

    def __init__(self) -> None:
        self.signals: dict[str, SignalDifference] = {}
        self.ticks = self.missed = self._longest = 0

    @property
    def identical(self) -> bool:
        """Whether every signal is, bit by bit, with as many ticks on both sides."""
        return self.missed == 0 and all(signal.identical for signal in self.signals.values())

    def add(
        self,
        left: Mapping[str, np.ndarray],
        right: Mapping[str, np.ndarray],
        ticks: int = 1,
        at: int | None = None,
    ) -> None:
        """Take in `ticks` ticks of the signals that both sides have; of one tick, `at` is its place in the episode."""
        for name in left:
            if name in right:
                self.signals.setdefault(name, SignalDifference()).add(left[name], right[name], at)
        self.ticks += ticks
        self._longest = max(self._longest, ticks if at is None else at + 1)

    def over_time(self) -> dict[str, list[float]]:
        """Largest error of each signal at each tick of an episode, over all episodes."""
        ticks = range(self._longest)
        return {name: [signal.by_tick.get(tick, 0.0) for tick in ticks] for name, signal in self.signals.items()}

    def to_json(self) -> dict[str, Any]:
        signals = {name: signal.to_json() for name, signal in self.signals.items()}
        return {"ticks": self.ticks, "missed": self.missed, "identical": self.identical, "signals": signals}


def compare(left: Episode, right: Episode) -> Difference:
    """Difference of two episodes over the ticks that both have."""
    difference, ticks = Difference(), min(len(left), len(right))
    difference.missed = max(len(left), len(right)) - ticks
    difference.add(signals(left, slice(0, ticks)), signals(right, slice(0, ticks)), ticks)
    return difference


def signals(episode: Episode, at: slice | int) -> dict[str, np.ndarray]:
    """What is compared of an episode, by name."""
    found = {f"obs/{key}": value[at] for key, value in episode.obs.items()}
    return found | {COMMANDED: episode.action[at], APPLIED: episode.applied[at], "reward": episode.reward[at]}


class DifferenceToLog(Difference):
    """Observer of the loop: compares every row with the logged episode of its seed, tick by tick.

    At LAST the command is ignored by the robot, so it is not compared.
    """

    def __init__(self, episodes: Iterable[Episode]) -> None:
        super().__init__()
        self._episodes = {episode.seed: episode for episode in reversed(list(episodes))}
        self._tick = np.zeros(0, np.int64)

    def __call__(self, step: Step, action: Action) -> None:
        if len(self._tick) != step.n:
            self._tick = np.zeros(step.n, np.int64)
        self._tick[step.first] = 0
        for row in np.flatnonzero((step.seed != NO_SEED) & (step.kind != Kind.RESET)):
            episode = self._episodes.get(int(step.seed[row]))
            if episode is not None:
                self._compare(episode, step, action, int(row))
        self._tick += 1

    def _compare(self, episode: Episode, step: Step, action: Action, row: int) -> None:
        tick = int(self._tick[row])
        if tick >= len(episode):
            self.missed += 1
            return
        live = {f"obs/{key}": value[row] for key, value in step.obs.items()}
        live |= {APPLIED: step.applied[row], "reward": step.reward[row]}
        if not step.last[row]:
            live[COMMANDED] = action.value[row]
        self.add(live, signals(episode, tick), at=tick)
        if step.last[row]:
            self.missed += len(episode) - 1 - tick
