"""Environments: a rig with a task, or a finished log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from robo_rl.errors import SpecMismatch
from robo_rl.log.episode import Episode
from robo_rl.robot import Rig
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.task import Task
from robo_rl.types import NO_SEED, Kind, Reason, Step, Success

# An enum's member takes NumPy several times as long as a plain number.
_FIRST, _MID, _LAST, _RESET = map(int, Kind)
_RUNNING, _TIMEOUT, _DIVERGED = int(Reason.RUNNING), int(Reason.TIMEOUT), int(Reason.DIVERGED)
_FAILURE, _FAULT = int(Reason.FAILURE), int(Reason.FAULT)
_NO = int(Success.NO)


class Env(ABC):
    """N rows of episodes. `send` then `recv` is one step; LAST is followed by FIRST (or RESET ticks, then FIRST)."""

    obs_spec: Spec
    act_spec: Feature
    n: int
    dt: float  # [s]
    limit: int  # [ticks] that an episode lasts at most

    @abstractmethod
    def reset(self, where: np.ndarray, seeds: Seeds) -> Step:
        """Begin new episodes in rows `where` (N,) bool. Rows take their seeds from `seeds`, now and at every automatic
        reset; a row for which none is left stays RESET with seed NO_SEED."""

    @abstractmethod
    def send(self, action: np.ndarray) -> None:
        """Command (N, A). Rows that are not live ignore it: nothing is written to their robot."""

    @abstractmethod
    def recv(self) -> Step:
        """Let one control period pass and observe."""

    def close(self) -> None:
        """Release everything. May be called twice."""


class RigEnv(Env):
    """A task on a rig."""

    def __init__(self, rig: Rig, task: Task) -> None:
        self.rig, self.task = rig, task
        self.obs_spec = rig.obs_spec | task.obs_spec
        self.act_spec, self.n, self.dt = rig.act_spec, rig.n, rig.dt
        self.limit = round(task.limit / rig.dt)  # [ticks]
        self._kind = np.full(self.n, _RESET, np.uint8)
        self._seed = np.full(self.n, NO_SEED, np.int64)
        self._tick = np.zeros(self.n, np.int64)
        self._home = np.zeros(self.n, bool)
        self._applied = np.zeros((self.n, *rig.act_spec.shape), np.float32)
        self._live = np.zeros(self.n, bool)
        self._obs: dict[str, np.ndarray] = {}
        self._seeds = Seeds(0, 0)

    def reset(self, where: np.ndarray, seeds: Seeds) -> Step:
        self._seeds = seeds
        self._draw(where)
        first = self._prepare(self._waiting())
        return self._first_step(first)

    def send(self, action: np.ndarray) -> None:
        self._live = self._kind <= _MID
        self._applied = self.rig.write(action, self._live)

    def recv(self) -> Step:
        live = self._live
        self.rig.tick(live)
        if live.all():
            return self._judge(live)
        self._draw(self._kind == _LAST)
        first = self._prepare(self._waiting())
        return self._judge(live, first)

    def close(self) -> None:
        self.rig.close()

    def _draw(self, where: np.ndarray) -> None:
        """Give rows that start over their next seed; they are RESET until rig and task are ready."""
        if where.any():
            self._seed = np.where(where, self._seeds.take(where), self._seed)
            self._kind[where] = _RESET
            self._home = self._home & ~where

    def _waiting(self) -> np.ndarray:
        return (self._kind == _RESET) & (self._seed != NO_SEED)

    def _prepare(self, where: np.ndarray) -> np.ndarray:
        """Home, then begin the rows `where`; (N,) bool: rows whose episode starts now."""
        if not where.any():
            return where
        homing = where & ~self._home
        if homing.any():
            self._home = self._home | (self.rig.home(homing, self._seed) & homing)
        ready = where & self._home
        if ready.any():
            ready = self.task.begin(ready, self._seed) & ready
        self._kind[ready] = _FIRST
        self._tick[ready] = 0
        return ready

    def _first_step(self, first: np.ndarray) -> Step:
        zeros = np.zeros(self.n, np.float32)
        self._applied = np.zeros_like(self._applied)
        return self._step(self._observe(), zeros, np.ones(self.n, np.float32), np.zeros(self.n, np.int8), first)

    def _observe(self) -> tuple[dict[str, np.ndarray], Mapping[str, np.ndarray]]:
        obs, stamp = self.rig.read()
        obs.update(self.task.observe())
        return obs, stamp

    def _judge(self, live: np.ndarray, first: np.ndarray | None = None) -> Step:
        """The step after a tick in which the rows `live` moved and the rows `first` started an episode."""
        observed = self._observe()
        verdict = self.task.judge(observed[0], self._applied)
        self._tick[live] += 1
        condition = self.rig.condition
        broken = condition != _RUNNING
        ended = live & (verdict.terminal | (self._tick >= self.limit) | broken)
        reward, reason = verdict.reward.astype(np.float32), verdict.reason.astype(np.uint8)
        success, discount = verdict.success.astype(np.int8), np.ones(self.n, np.float32)
        self._kind[live] = _MID
        if first is None and live.all() and not ended.any():  # as in most ticks, nothing begins and nothing ends
            return self._step(observed, reward, discount, success, first, reason)
        if broken.any():
            # a robot that falls may do so by the task's and by the guard's measure at once: that is the task's failure
            broken = broken & ~(verdict.terminal & (reason == _FAILURE) & (condition == _FAULT))
            reward[broken], success[broken], reason[broken] = 0, _NO, condition[broken]
            self._keep_finite(observed[0], broken)
        over = np.flatnonzero(ended)
        why = reason[over]
        if (verdict.terminal[over] & (why == _RUNNING)).any():
            raise ValueError(f"task {self.task.name}: a terminal verdict needs a reason")
        why[why == _RUNNING] = _TIMEOUT
        reason[over], self._kind[over] = why, _LAST
        discount[over[(why != _TIMEOUT) & (why != _DIVERGED)]] = 0
        still = ~live
        reward[still], success[still], reason[still] = 0, _NO, _RUNNING
        return self._step(observed, reward, discount, success, first, reason)

    def _keep_finite(self, obs: dict[str, np.ndarray], broken: np.ndarray) -> None:
        """A diverged row shows its last finite observation."""
        for key, value in obs.items():
            bad = broken & ~np.isfinite(value.reshape(self.n, -1)).all(axis=1)
            value[bad] = self._obs[key][bad]

    def _step(
        self,
        observed: tuple[dict[str, np.ndarray], Mapping[str, np.ndarray]],
        reward: np.ndarray,
        discount: np.ndarray,
        success: np.ndarray,
        first: np.ndarray | None,
        reason: np.ndarray | None = None,
    ) -> Step:
        obs, stamp = observed
        self._obs = obs
        applied = self._applied.copy()
        if first is not None:
            applied[first] = 0.0
        reason = np.zeros(self.n, np.uint8) if reason is None else reason
        return Step(obs, reward, discount, self._kind.copy(), applied, success, reason, self._seed.copy(), stamp)


class LogEnv(Env):
    """A recorded episode as an environment of one row: actions are ignored, every logged step is observed once.

    After the last logged step the row idles: RESET with seed NO_SEED. `reset` starts over; the episode brings its own
    seed, so none is taken from `seeds`.

    Raises:
        SpecMismatch: the episode lacks an observation of `obs_spec`.
    """

    n = 1

    def __init__(self, episode: Episode, obs_spec: Spec, act_spec: Feature, dt: float) -> None:
        missing = [key for key in obs_spec if key not in episode.obs]
        if missing:
            raise SpecMismatch(f"log: the episode with seed {episode.seed} lacks {', '.join(missing)}")
        self.episode, self.obs_spec, self.act_spec, self.dt = episode, obs_spec, act_spec, dt
        self.limit = len(episode)
        self._cursor = 0

    def __len__(self) -> int:
        return len(self.episode)

    def reset(self, where: np.ndarray, seeds: Seeds) -> Step:
        if where.any():
            self._cursor = 0
        return self._observe()

    def send(self, action: np.ndarray) -> None:
        """Nothing: the log knows what happened."""

    def recv(self) -> Step:
        self._cursor += 1
        return self._observe()

    def _observe(self) -> Step:
        episode, over = self.episode, self._cursor >= len(self)
        at = slice(len(self) - 1, len(self)) if over else slice(self._cursor, self._cursor + 1)
        return Step(
            {key: value[at].copy() for key, value in episode.obs.items()},
            np.zeros(1, np.float32) if over else episode.reward[at].copy(),
            np.ones(1, np.float32) if over else episode.discount[at].copy(),
            np.full(1, Kind.RESET, np.uint8) if over else episode.kind[at].copy(),
            episode.applied[at].copy(),
            np.full(1, Success.NO, np.int8) if over else episode.success[at].copy(),
            np.full(1, Reason.RUNNING, np.uint8) if over else episode.reason[at].copy(),
            np.full(1, NO_SEED if over else episode.seed, np.int64),
            {key: stamp[at].copy() for key, stamp in episode.stamp.items()},
        )
