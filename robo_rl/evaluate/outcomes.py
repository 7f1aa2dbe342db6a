"""Episodes in, success rate out."""

from __future__ import annotations

import time
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

    A row holds `seed`, `success` (None where nobody could tell), `reason`, `length` [ticks] and `return`.
    """

    def __init__(self, n: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._return = np.zeros(n)
        self._length = np.zeros(n, np.int64)
        self._open = np.zeros(n, bool)  # an episode is under way that was seen from its FIRST
        self._start = time.monotonic()
        self.wall_clock_s = 0.0

    def __call__(self, step: Step, action: Action) -> None:
        first = step.first
        self._return = np.where(first, 0.0, self._return + step.reward)
        self._length = np.where(first, 0, self._length + 1)
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
        }

    def summary(self, task: str, run: str, seed: int, env_steps_trained: int = 0, **more: Any) -> dict[str, Any]:
        """What `result.json` holds; see `summarise`."""
        return summarise(self.rows, task, run, seed, env_steps_trained, self.wall_clock_s, **more)


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
