"""Any Gymnasium environment as an `Env`: how other simulators and benchmarks come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robo_rl.adapt.gymnasium_rows import About, GymConfig, RemoteRows, Results, Rows
from robo_rl.env import Env
from robo_rl.ranges import whole
from robo_rl.seeds import Seeds
from robo_rl.types import NO_SEED, Kind, Reason, Step

UNSTATED_LIMIT = 1000  # [steps], where an environment does not say how long an episode may last


class GymEnv(Env):
    """N rows of a Gymnasium environment with Box actions, observations Box (key "state") or Dict of Box.

    Termination is discount 0, truncation discount 1; a row that yields or is asked for something not finite ends alone,
    DIVERGED. `applied` is the clipped action. An episode of seed s begins with `reset(seed=s % 2**31)`. Where the
    environment reports no success, the label is UNKNOWN.

    Args:
        env_id: "Pendulum-v1", or "module:Name-v0" to import `module` first.
        n: rows.
        env_kwargs: passed to `gymnasium.make`.
        success_key: key of `info`; default "success" or "is_success"; "terminated" where terminating is succeeding.
        limit: time limit in place of the environment's own [steps].
        dt: control period [s]; default what the environment says (`dt` or `render_fps`), or 0.05.
        end_on_success: success ends the episode, discount 0.
        reward: "env", or "success" for 1 on success and 0 otherwise.
        workers: processes that share the rows; 0 steps them in this one. Results do not depend on it.
    """

    def __init__(
        self,
        env_id: str,
        n: int = 1,
        env_kwargs: Mapping[str, Any] | None = None,
        success_key: str | None = None,
        limit: int | None = None,
        dt: float | None = None,
        end_on_success: bool = True,
        reward: str = "env",
        workers: int = 0,
    ) -> None:
        whole(0, n).check("task.env.workers", workers)
        config = GymConfig(env_id, dict(env_kwargs or {}), success_key, limit, end_on_success, reward)
        self.n, self._pending = n, False
        self._parts = _InProcess(config, n) if workers == 0 else _Workers(config, n, workers)
        about = self._parts.about
        self.obs_spec, self.act_spec = about.obs_spec, about.act_spec
        self.dt = dt or about.dt or 0.05
        self.limit = about.limit or UNSTATED_LIMIT
        self._kind = np.full(n, Kind.RESET, np.uint8)
        self._seed = np.full(n, NO_SEED, np.int64)
        self._live = np.zeros(n, bool)
        self._applied = np.zeros((n, *self.act_spec.shape), np.float32)
        self._seeds = Seeds(0, 0)

    def reset(self, where: np.ndarray, seeds: Seeds) -> Step:
        if self._pending:
            self._parts.recv()  # the answer to a command that nobody waits for any more
        self._seeds = seeds
        self._live = np.zeros(self.n, bool)
        self._begin(where)
        return self.recv()

    def send(self, action: np.ndarray) -> None:
        self._live = self._kind <= Kind.MID
        clipped = np.clip(action, self.act_spec.low, self.act_spec.high).astype(np.float32)
        self._applied = np.where(self._live[:, None], clipped, self._applied)
        self._begin(self._kind == Kind.LAST)

    def recv(self) -> Step:
        results = self._parts.recv()
        self._pending = False
        self._kind[self._live] = np.where(results.ended, Kind.LAST, Kind.MID)[self._live]
        first = (self._kind == Kind.RESET) & (self._seed != NO_SEED)
        self._kind[first] = Kind.FIRST
        terminal = (results.reason == Reason.SUCCESS) | (results.reason == Reason.FAILURE)
        applied = np.nan_to_num(self._applied)
        applied[first] = 0.0
        return Step(
            results.obs,
            results.reward,
            np.where(terminal, np.float32(0), np.float32(1)),
            self._kind.copy(),
            applied,
            results.success,
            results.reason,
            self._seed.copy(),
        )

    def close(self) -> None:
        self._parts.close()

    def _begin(self, where: np.ndarray) -> None:
        """Start a tick in which the rows `where` begin episodes, as long as there are seeds, and the live rows move."""
        drawn = self._seeds.take(where)
        self._seed = np.where(where, drawn, self._seed)
        self._kind[where] = Kind.RESET
        self._parts.send(self._applied, self._live, drawn)
        self._pending = True


class _InProcess:
    """All rows in this process; the work is done in `recv`, after the command has left."""

    def __init__(self, config: GymConfig, n: int) -> None:
        self._rows = Rows(config, n)
        self.about = self._rows.about

    def send(self, *request: np.ndarray) -> None:
        self._request = request

    def recv(self) -> Results:
        return self._rows.tick(*self._request)

    def close(self) -> None:
        self._rows.close()


class _Workers:
    """Rows in worker processes, in blocks as equal as can be."""

    def __init__(self, config: GymConfig, n: int, workers: int) -> None:
        blocks = [len(block) for block in np.array_split(np.arange(n), workers)]
        self._cuts = np.cumsum(blocks)[:-1]
        self._parts = [RemoteRows(config, block) for block in blocks]
        try:
            abouts = [part.recv() for part in self._parts]
        except Exception:
            self.close()
            raise
        self.about: About = abouts[0]

    def send(self, *request: np.ndarray) -> None:
        split = [np.split(array, self._cuts) for array in request]
        for index, part in enumerate(self._parts):
            part.send(*(array[index] for array in split))

    def recv(self) -> Results:
        answers = [part.recv() for part in self._parts]
        return Results(
            {key: np.concatenate([a.obs[key] for a in answers]) for key in answers[0].obs},
            *(np.concatenate([getattr(a, name) for a in answers]) for name in ("reward", "ended", "success", "reason")),
        )

    def close(self) -> None:
        for part in self._parts:
            part.close()
        self._parts = []
