"""Episodes in, success rate out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from robo_rl.env import Env
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.statistics import wilson
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Reason, Step, Success


class Outcomes:
    """Observer of the loop: one row an episode that reached LAST, in the order they ended.

    A row holds `seed`, `success` (None where nobody could tell), `reason`, `length` [ticks], `return` and `smoothness`
    (see `quality.smoothness`; None where nothing moved).
    """

    def __init__(self, n: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._return = np.zeros(n)
        self._length = np.zeros(n, np.int64)
        self._motion = Motion(n)
        self._open = np.zeros(n, bool)  # an episode is under way that was seen from its FIRST
        self._start = time.monotonic()
        self.wall_clock_s = 0.0
        self.lost: Mapping[str, Any] = {}  # what was not recorded, see `Recorder.losses`

    def __call__(self, step: Step, action: Action) -> None:
        first = step.first
        self._return = np.where(first, 0.0, self._return + step.reward)
        self._length = np.where(first, 0, self._length + 1)
        self._motion.add(first, step.applied)
        self._open |= first
        for row in np.flatnonzero(step.last & self._open):
            self.rows.append(self._row(step, row))
        self._open &= ~step.last
        self.wall_clock_s = time.monotonic() - self._start

    def _row(self, step: Step, row: np.intp) -> dict[str, Any]:
        label = Success(int(step.success[row]))
        return {
            "seed": int(step.seed[row]),
            "success": None if label is Success.UNKNOWN else label is Success.YES,
            "reason": Reason(int(step.reason[row])).label,
            "length": int(self._length[row]),
            "return": float(self._return[row]),
            "smoothness": self._motion.smoothness(int(row)),
        }

    def summary(self, task: str, run: str, seed: int, env_steps_trained: int = 0, **more: Any) -> dict[str, Any]:
        """What `result.json` holds; see `summarise`."""
        about = (task, run, seed, env_steps_trained, self.wall_clock_s)
        return summarise(self.rows, *about, not_recorded=self.lost, **more)


class Motion:
    """`quality.smoothness` of the setpoints of N rows, tick by tick. The control period cancels out of it."""

    def __init__(self, n: int) -> None:
        self._last = [np.zeros((n, 0)) for _ in range(3)]  # setpoints, the newest first
        self._count = np.zeros(n, np.int64)
        self._peak, self._total = np.zeros(n), np.zeros(n)

    def add(self, first: np.ndarray, applied: np.ndarray) -> None:
        """`applied` (N, ...) of a tick; where an episode begins, (N,) bool, it answers no action and is left out."""
        now = applied.reshape(len(first), -1).astype(np.float64)
        if self._last[0].shape != now.shape:
            self._last = [now] * 3
        one, two, three = self._last
        self._count = np.where(first, 0, self._count + 1)
        speed, jerk = ((now - one) ** 2).sum(1), ((now - 3 * one + 3 * two - three) ** 2).sum(1)
        self._peak = np.where(self._count >= 2, np.maximum(self._peak, speed), 0.0)
        self._total = np.where(self._count >= 4, self._total + jerk, 0.0)
        self._last = [now, one, two]

    def smoothness(self, row: int) -> float | None:
        """Of the row's episode so far; None for fewer than five setpoints or where nothing moved."""
        count, peak, total = self._count[row], self._peak[row], self._total[row]
        return float(-np.log((count - 1) ** 3 / peak * total)) if count >= 5 and peak > 0 and total > 0 else None


def summarise(
    rows: list[dict[str, Any]],
    task: str,
    run: str,
    seed: int,
    env_steps_trained: int = 0,
    wall_clock_s: float = 0.0,
    **more: Any,
) -> dict[str, Any]:
    """Success rate with its Wilson 95 % interval over the labelled episodes, means over all; rows sorted by seed.

    The rate is None where no episode is labelled, the means where there is no episode.
    """
    labels = [row["success"] for row in rows if row["success"] is not None]
    low, high = wilson(sum(labels), len(labels))
    return {
        "task": task,
        "run": run,
        "episodes": len(rows),
        "seed": seed,
        "success_rate": sum(labels) / len(labels) if labels else None,
        "ci_low": low,
        "ci_high": high,
        "return_mean": _mean(rows, "return"),
        "episode_length_mean": _mean(rows, "length"),
        "success_length_mean": _mean([row for row in rows if row["success"]], "length"),
        "smoothness_mean": _mean([row for row in rows if row.get("smoothness") is not None], "smoothness"),
        "env_steps_trained": env_steps_trained,
        "wall_clock_s": wall_clock_s,
        "machine": describe_machine(),
        **more,
        "rows": sorted(rows, key=lambda row: row["seed"]),
    }


def _mean(rows: list[dict[str, Any]], key: str) -> float | None:
    return float(np.mean([row[key] for row in rows])) if rows else None


def evaluate(env: Env, policy: Policy, start_seed: int, episodes: int, observers: tuple = ()) -> Outcomes:
    """Run the episodes of seeds `start_seed`, `start_seed` + 1, ..., each exactly once, whatever the env's N.

    Rows that have no seed left idle until the longest episode is over, so long episodes count as often as short ones.
    """
    outcomes = Outcomes(env.n)
    run(env, policy, lambda step: step.exhausted, Seeds(start_seed, episodes), (outcomes, *observers))
    return outcomes
