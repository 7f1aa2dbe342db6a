"""Chunks computed while the robot moves: for base policies that take longer than a tick.

A chunk that is asked for at tick t and arrives at tick t + d begins at its action d; what is late is dropped. Until the
first one is there the robot holds. What happened when rides in `extra`, so that a log can be repeated tick by tick.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

import numpy as np

from policies.compose import Chunked
from robo_rl import random
from robo_rl.policy import Planner, Policy
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Obs

NONE = -1  # no chunk yet
SEAM = 1e6  # parts of an action's unit that a jump is counted in: logs carry it, networks do not read it
COUNTS = ("chunk_from", "chunk_at", "chunk_asked", "seam")
ONE = np.zeros(1, np.int64)


class Background(ABC):
    """Where chunks are computed, one at a time."""

    @abstractmethod
    def submit(self, obs: Obs, tick: int, draw: int) -> None:
        """Ask for the chunk that begins at `tick`, from observations (1, ...) that nobody changes any more."""

    @abstractmethod
    def poll(self, tick: int) -> np.ndarray | None:
        """The chunk (H, A) that was asked for, once it is there; `tick` is now. Never waits."""

    @abstractmethod
    def drop(self) -> None:
        """Forget what was asked for."""


class Thread(Background):
    """A thread of this process. Whatever raises in it is raised by `poll`.

    The first chunk of all is computed by whoever asks for it: networks set themselves up in their first computation,
    and two of them must not do so at the same time. Ask for it before the clock runs.
    """

    def __init__(self, planner: Planner) -> None:
        self._fresh = True
        self._planner, self._wanted = planner, threading.Semaphore(0)
        self._lock, self._number = threading.Lock(), 0
        self._job: tuple[int, Obs, int] | None = None
        self._done: tuple[int, np.ndarray | BaseException] | None = None
        threading.Thread(target=self._work, name="chunks", daemon=True).start()

    def submit(self, obs: Obs, tick: int, draw: int) -> None:
        with self._lock:
            self._number += 1
            self._job = (self._number, {key: value.copy() for key, value in obs.items()}, draw)
        if self._fresh:
            self._fresh = False
            self._compute()
        else:
            self._wanted.release()

    def poll(self, tick: int) -> np.ndarray | None:
        with self._lock:
            done, self._done = self._done, None
        if done is None or done[0] != self._number:
            return None
        if isinstance(done[1], BaseException):
            raise done[1]
        return done[1]

    def drop(self) -> None:
        with self._lock:
            self._number += 1
            self._job = self._done = None

    def _work(self) -> None:
        while True:
            self._wanted.acquire()
            self._compute()

    def _compute(self) -> None:
        with self._lock:
            job, self._job = self._job, None
        if job is None:
            return
        found: np.ndarray | BaseException
        try:
            found = self._planner.plan(job[1], ONE, 1, np.array([job[2]], np.int64))[0, 0]
        except BaseException as error:
            found = error
        with self._lock:
            self._done = (job[0], found)


class Scheduled(Background):
    """Chunks that arrive when a log says they did: computed at once, handed out at that tick.

    Args:
        planner: the one that was logged.
        arrivals: (tick of the observation, tick of arrival) of an episode's chunks.
    """

    def __init__(self, planner: Planner, arrivals: Iterable[tuple[int, int]]) -> None:
        self._planner, self._arrivals = planner, dict(arrivals)
        self._due, self._chunk = NONE, np.zeros(0)

    def submit(self, obs: Obs, tick: int, draw: int) -> None:
        self._due = self._arrivals.get(tick, NONE)
        if self._due != NONE:
            self._chunk = self._planner.plan(obs, ONE, 1, np.array([draw], np.int64))[0, 0]

    def poll(self, tick: int) -> np.ndarray | None:
        if tick != self._due:
            return None
        self._due = NONE
        return self._chunk

    def drop(self) -> None:
        self._due = NONE


def schedule_of(extra: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """(tick of the observation, tick of arrival) of every chunk in an episode's logged `extra` (T, ...), of those that
    came too late to be used, too."""
    adopted = zip(extra["chunk_from"][:, 0].tolist(), extra["chunk_at"][:, 0].tolist(), strict=True)
    asked = extra["chunk_asked"][:, 0].tolist()
    gone = [(before, tick) for tick, (before, now) in enumerate(pairwise(asked), 1) if before not in (NONE, now)]
    return sorted({pair for pair in (*adopted, *gone) if pair[0] != NONE})


def repeating(extra: Mapping[str, np.ndarray]) -> Callable[[Planner, int, Feature], Ahead]:
    """`Ahead` with the schedule of an episode's logged `extra`."""

    def made(planner: Planner, execute: int, act_spec: Feature) -> Ahead:
        return Ahead(planner, execute, act_spec, Scheduled(planner, schedule_of(extra)))

    return made


class Ahead(Policy):
    """`Chunked` for one row, whose next chunk is computed in the background while the last one is executed.

    `extra` has what `Chunked`'s has, so that a residual reads the same, and: `chunk_from` and `chunk_at`, the ticks of
    the observation and of the arrival of the chunk that acts (-1: none yet), `chunk_asked`, the tick of the observation
    from which one is being computed (-1: none is), and `seam`, how far the new chunk was from
    the old one when it arrived [1e-6 of the action's unit], 0 elsewhere.

    Args:
        planner: with a horizon that is longer than what it takes to compute.
        execute: actions of a chunk that are executed before the next one is asked for, as far as it comes in time.
        act_spec: of the robot.
        background: default a thread.
        blend: ticks over which a new chunk takes over from what is left of the old one.
    """

    def __init__(
        self, planner: Planner, execute: int, act_spec: Feature, background: Background | None = None, blend: int = 3
    ) -> None:
        waiting = Chunked(planner, execute, act_spec)
        counts = {name: Feature((1,), "int64") for name in COUNTS}
        self.extra_spec = waiting.extra_spec | Spec(counts)
        self.planner, self.execute, self.act_spec, self._blend = planner, execute, act_spec, blend
        self.background = Thread(planner) if background is None else background
        self._plan = np.zeros((0, act_spec.size), np.float32)  # actions from tick `_start` on
        self._start, self._from, self._at, self._asked = 0, NONE, NONE, NONE
        self._seed, self._tick = 0, 0

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        if len(where) != 1:
            raise ValueError(f"Ahead: one row is needed, got {len(where)}")
        if where[0]:
            self.background.drop()
            self._plan, self._start = self._plan[:0], 0
            self._from = self._at = self._asked = NONE
            self._seed, self._tick = int(seeds[0]), 0

    def act(self, obs: Obs) -> Action:
        seam = self._adopt()
        self._ask(obs)
        seam += self._adopt() if self._from == NONE else 0
        ahead = self._rest(obs)
        place = (self._tick - self._from) if self._from != NONE else 0
        phase = np.full((1, 1), min(place, self.execute - 1) / self.execute, np.float32)
        extra = {"base_action": ahead[:1], "chunk_rest": ahead[None, 1:], "chunk_phase": phase}
        counts = dict(zip(COUNTS, (self._from, self._at, self._asked, seam), strict=True))
        self._tick += 1
        return Action(ahead[:1].copy(), extra | {name: np.full((1, 1), value) for name, value in counts.items()})

    def _ask(self, obs: Obs) -> None:
        """Ask for the next chunk as soon as so much of this one was executed."""
        if self._asked == NONE and (self._from == NONE or self._tick - self._from >= self.execute):
            self._asked = self._tick
            draw = random.mix(np.array([self._seed]), np.array([self._tick]))
            self.background.submit(obs, self._tick, int(draw[0]))

    def _adopt(self) -> int:
        """Go over to a chunk that has arrived, unless it is late altogether; how far it is from the old one."""
        chunk = None if self._asked == NONE else self.background.poll(self._tick)
        if chunk is None:
            return 0
        begun, self._asked = self._asked, NONE
        fresh = self.act_spec.clip(chunk)[self._tick - begun :]
        if not len(fresh):
            return 0
        old = self._plan[self._tick - self._start :]
        jump = float(np.abs(fresh[0] - old[0]).max()) if len(old) else 0.0
        shared = min(len(old), len(fresh), self._blend)
        weight = (np.arange(1, shared + 1, dtype=np.float32) / (self._blend + 1))[:, None]
        fresh[:shared] = weight * fresh[:shared] + (1 - weight) * old[:shared]
        self._plan, self._start = fresh, self._tick
        self._from, self._at = begun, self._tick
        return round(SEAM * jump)

    def _rest(self, obs: Obs) -> np.ndarray:
        """(execute, A): the action of this tick and those that follow; the last one stands when a chunk runs out."""
        left = self._plan[self._tick - self._start :]
        if not len(left):
            last = self._plan[-1:] if len(self._plan) else obs["applied"].astype(np.float32)
            left = self.act_spec.clip(last)
        places = np.minimum(np.arange(self.execute), len(left) - 1)
        return left[places]
